"""Recordings in miniature: noise in bursts for speech, and motion that tells the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from esarm_env.audio.sound_files import open_file
from esarm_env.core.types import N_CHANNELS
from esarm_env.face import ARKIT_NAMES

RAMP_S = 64.0  # `ramp` reaches 1 after this long


def speech(duration_s: float, *, rate_hz: int = 16_000, seed: int = 0) -> np.ndarray:
    """Return two seconds of noise, a short pause, and so on."""
    rng = np.random.default_rng(seed)
    n_samples = round(duration_s * rate_hz)
    loudness = np.where(np.arange(n_samples) / rate_hz % 2.2 < 2.0, 0.1, 1e-4)
    return (rng.normal(0, 1, n_samples) * loudness).clip(-1, 1).astype(np.float32)


def ramp(n_frames: int, *, fps: float = 30.0) -> np.ndarray:
    """Return motion whose channels all tell the time: 1 after 64 s."""
    return np.tile((np.arange(n_frames) / fps / RAMP_S)[:, None], (1, N_CHANNELS))


def write_motion(path: Path, motion: np.ndarray, *, fps: float) -> None:
    """Write motion in the format of the suffix; all but `.npy` tell the rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(len(motion)) / fps
    if path.suffix == ".npy":
        np.save(path, motion)
    elif path.suffix == ".npz":
        np.savez(path, values=motion, fps=fps)
    elif path.suffix == ".csv":
        header = ",".join(["time_s", *ARKIT_NAMES])
        table = np.column_stack([time_s, motion])
        np.savetxt(path, table, fmt="%.6f", delimiter=",", header=header, comments="")
    else:
        frames = [
            {"weights": row, "time": time}
            for row, time in zip(motion.tolist(), time_s.tolist(), strict=True)
        ]
        path.write_text(json.dumps({"names": ARKIT_NAMES, "frames": frames}))


def write_take(
    root: Path,
    name: str,
    *,
    duration_s: float = 3.0,
    rate_hz: int = 16_000,
    fps: float = 30.0,
    n_frames: int | None = None,
    motion: np.ndarray | None = None,
    kind: str = ".npy",
    seed: int = 0,
) -> None:
    """Write `audio/NAME.wav` and `blendshape/NAME` with `n_frames` of `ramp`, or other motion."""
    path = root / "audio" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech(duration_s, rate_hz=rate_hz, seed=seed), rate_hz)
    if motion is None:
        motion = ramp(round(duration_s * fps) if n_frames is None else n_frames, fps=fps)
    write_motion(root / "blendshape" / f"{name}{kind}", motion, fps=fps)


def envelope(time_s: np.ndarray, *, seed: int) -> np.ndarray:
    """Return syllables of uneven strength and distance, 0 to 1."""
    rng = np.random.default_rng(seed)
    centres = np.cumsum(rng.uniform(0.15, 0.5, 60))
    heights, widths = rng.uniform(0.3, 1, 60), rng.uniform(0.04, 0.09, 60)
    # They are smooth: millisecond steps and lines between them are all that 16 kHz can tell.
    steps_s = np.arange(time_s[0], time_s[-1] + 1e-3, 1e-3)
    bumps = heights * np.exp(-0.5 * ((steps_s[:, None] - centres) / widths) ** 2)
    return np.interp(time_s, steps_s, bumps.sum(axis=1).clip(0, 1))


@pytest.fixture(scope="session", name="speech")
def speech_fixture() -> Callable[..., np.ndarray]:
    """Return the function `speech(duration_s, rate_hz=, seed=)`."""
    return speech


@pytest.fixture(scope="session", name="ramp")
def ramp_fixture() -> Callable[..., np.ndarray]:
    """Return the function `ramp(n_frames, fps=)`."""
    return ramp


@pytest.fixture(scope="session", name="write_motion")
def write_motion_fixture() -> Callable[..., None]:
    """Return the function `write_motion(path, motion, fps=)`."""
    return write_motion


@pytest.fixture(scope="session", name="write_take")
def write_take_fixture() -> Callable[..., None]:
    """Return the function `write_take(root, name, ...)`."""
    return write_take


@pytest.fixture
def three_takes(tmp_path: Path) -> Path:
    """Return a folder of three good takes of 3 s, by two speakers, as 3D-ETF has them."""
    for seed, name in enumerate(("anna_1", "anna_2", "ben_1")):
        write_take(tmp_path / "corpus", name, seed=seed)
    return tmp_path / "corpus"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test a cache folder that no other test has written to."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("ESARM_CACHE", str(folder))
    return folder


@pytest.fixture
def sounds_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the name of each sound file that the package opens."""
    opened: list[str] = []

    def counted(path: Path) -> AbstractContextManager[FileIO]:
        opened.append(path.name)
        return open_file(path)

    monkeypatch.setattr("esarm_env.audio.loading.open_file", counted)
    return opened
