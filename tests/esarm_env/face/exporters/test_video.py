"""Videos of a clip, decoded by PyAV: every frame in order, and the sound at its time."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.face import Head
from esarm_env.face.exporters import Sound, frames, video, write_motion
from esarm_env.face.exporters.frames import SIDE, rendered

av: Any = pytest.importorskip("av")
CLICK_S = 0.25


@pytest.fixture
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw pictures of a twentieth of the pixels."""
    monkeypatch.setattr(frames, "SIDE", 112)
    monkeypatch.setattr(video, "SIDE", 112)


@pytest.fixture
def click() -> Sound:
    """Return half a second of silence with a click in the middle."""
    samples = np.zeros(8000, "f4")
    samples[round(CLICK_S * 16000) :][:160] = 0.9
    return Sound(samples, 16000, "click.wav")


def pictures(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Return the frames of a video, and their times."""
    with av.open(str(path)) as file:
        seen = list(file.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in seen], [frame.time for frame in seen]


@pytest.mark.usefixtures("small_pictures")
@pytest.mark.parametrize(
    ("suffix", "rate_hz", "codecs"),
    [(".mp4", 30, ["h264", "aac"]), (".mp4", 60, ["h264", "aac"]), (".webm", 30, ["vp9", "opus"])],
)
def test_a_video_has_every_frame_and_its_sound_in_time(
    small_head: Head, motion: np.ndarray, click: Sound, tmp_path: Path, suffix, rate_hz, codecs
) -> None:
    """Sound that is late by a block of AAC is seen by everyone who looks at lips."""
    path = tmp_path / f"a{suffix}"
    write_motion(path, motion, head=small_head, speech=click, rate_hz=rate_hz)
    with av.open(str(path)) as file:
        assert [stream.codec_context.name.removeprefix("lib") for stream in file.streams] == codecs
        blocks = list(file.decode(audio=0))
    seen, times = pictures(path)
    assert len(seen) == 15 if rate_hz == 30 else 29
    np.testing.assert_allclose(times, np.arange(len(times)) / rate_hz, atol=2e-3)
    heard = np.concatenate([frame.to_ndarray().reshape(-1, frame.samples)[0] for frame in blocks])
    first = float(blocks[0].time) + np.flatnonzero(np.abs(heard) > 0.4)[0] / blocks[0].sample_rate
    assert first == pytest.approx(CLICK_S, abs=0.01)


@pytest.mark.usefixtures("small_pictures")
def test_pictures_are_those_of_the_renderer(
    small_head: Head, motion: np.ndarray, tmp_path: Path
) -> None:
    """Frames in another order, or mirrored, would look right one by one."""
    write_motion(tmp_path / "a.mp4", motion, head=small_head)
    seen, _ = pictures(tmp_path / "a.mp4")
    drawn = list(rendered(small_head, motion))
    off = np.array([[np.abs(a.astype(int) - b).mean() for b in drawn] for a in seen])
    assert (off.argmin(axis=1) == np.arange(15)).all()
    assert np.diag(off).max() < 4, "of 255: what the encoder may lose"
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert not file.streams.audio, "no silent track where there is no sound"


def test_several_processes_draw_the_same(small_head: Head, motion: np.ndarray) -> None:
    """Their frames come in turns; one too early and the face trembles."""
    alone = list(rendered(small_head, motion[:5], n_processes=1))
    together = list(rendered(small_head, motion[:5], n_processes=2))
    assert alone[0].shape == (SIDE, SIDE, 3)
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_a_missing_extra_is_told_with_the_pip_line(
    motion: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a frame is drawn."""
    monkeypatch.setitem(sys.modules, "av", None)
    message = "A video needs `av`: run `pip install 'esarm[video]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        write_motion(tmp_path / "a.mp4", motion)


def test_a_pyav_without_encoders_is_told(
    small_head: Head, motion: np.ndarray, tmp_path: Path
) -> None:
    """As some distributions build it; half a file would be left."""
    codecs = video._Codecs("mp4", {"no_such": {}}, {"aac": {}})
    with pytest.raises(InputError, match="PyAV must have one of the encoders no_such, got none"):
        video._write(codecs, tmp_path / "a.mp4", motion, rate_hz=30, head=small_head)


def test_a_process_that_ends_early_is_told(
    small_head: Head, motion: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where memory runs out; a video that is cut short would look whole."""
    monkeypatch.setattr(frames, "_COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    message = "a process that renders frames ended with 3 before its last frame"
    with pytest.raises(OSError, match=message):
        list(rendered(small_head, motion, n_processes=2))
