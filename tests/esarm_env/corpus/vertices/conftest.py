"""VOCASET in miniature: our own head stands in for FLAME, its motion is known, so is the answer."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from esarm_env.face.head import load_head

TRAIN, VALIDATION, TEST = (
    "FaceTalk_170728_03272_TA",
    "FaceTalk_170811_03275_TA",
    "FaceTalk_170809_00138_TA",
)
N_FRAMES = 36  # at 60 a second
SOUND_HZ = 22_000


def smooth_motion(n_frames: int, seed: int) -> np.ndarray:
    """Return motion (T, 52) whose channels come to 0 and to 1."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(n_frames)[:, None] / 60
    waves = np.sin(2 * np.pi * (rng.uniform(0.5, 3, 52) * time_s + rng.uniform(0, 1, 52)))
    return (rng.uniform(0, 0.6, 52) + rng.uniform(0, 0.6, 52) * waves).clip(0, 1)


@dataclass
class Miniature:
    """A corpus of vertices by our own head.

    Attributes:
        motion: Coefficients (T, 52) at 60 fps that moved the vertices, by take.
        vertices: Shape (T, V, 3), float32, in m, by take.
        templates: Shape (V, 3), in m, by subject.
    """

    motion: dict[str, np.ndarray] = field(default_factory=dict)
    vertices: dict[str, np.ndarray] = field(default_factory=dict)
    templates: dict[str, np.ndarray] = field(default_factory=dict)

    def sound(self, take: str) -> np.ndarray:
        """Return the sound of a take, 16 bits."""
        n_samples = len(self.motion[take]) * SOUND_HZ // 60
        return np.random.default_rng(len(take)).normal(0, 3000, n_samples).astype(np.int16)

    def write_published(self, root: Path) -> Path:
        """Write it as VOCASET is published."""
        root.mkdir(parents=True, exist_ok=True)
        numbers: dict[str, Any] = {}
        sounds: dict[str, Any] = {}
        first = 0
        for take, motion in self.motion.items():
            subject, _, sequence = take.rpartition("_")
            rows = {number: first + number for number in range(len(motion))}
            numbers.setdefault(subject, {})[sequence] = rows
            sound = {"audio": self.sound(take), "sample_rate": SOUND_HZ}
            sounds.setdefault(subject, {})[sequence] = sound
            first += len(motion)
        np.save(root / "data_verts.npy", np.concatenate(list(self.vertices.values())))
        self.pickle(root / "subj_seq_to_idx.pkl", numbers)
        self.pickle(root / "raw_audio_fixed.pkl", sounds)
        self.pickle(root / "templates.pkl", self.templates)
        return root

    def write_files(self, root: Path) -> Path:
        """Write it as FaceFormer and CodeTalker take it."""
        for folder in ("vertices_npy", "wav", "templates"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for take, vertices in self.vertices.items():
            np.save(root / "vertices_npy" / f"{take}.npy", vertices.reshape(len(vertices), -1))
            soundfile.write(root / "wav" / f"{take}.wav", self.sound(take), SOUND_HZ)
        (root / "templates" / "FLAME_sample.ply").write_text("ply")
        self.pickle(root / "templates.pkl", self.templates)
        return root

    def pickle(self, path: Path, content: object) -> None:
        """Write a pickle as Python 2 did."""
        path.write_bytes(pickle.dumps(content, protocol=2))


def make_miniature(*takes: str, noise_mm: float = 0.0, n_frames: int = N_FRAMES) -> Miniature:
    """Return a corpus of these takes; each subject has a face of its own, beside the origin."""
    head, made = load_head(), Miniature()
    rng = np.random.default_rng(7)
    for number, take in enumerate(takes):
        subject = take.rpartition("_")[0]
        if subject not in made.templates:
            face = head.vertices * (1 + 0.02 * number) + rng.normal(0, 2, 3)
            made.templates[subject] = face / 1000
        motion = smooth_motion(n_frames, seed=number)
        moved = head.apply(motion) - head.vertices
        moved = moved + noise_mm * rng.normal(0, 1, moved.shape)
        made.motion[take] = motion
        made.vertices[take] = (made.templates[subject] + moved / 1000).astype(np.float32)
    return made


OFFICIAL = (f"{TRAIN}_sentence01", f"{VALIDATION}_sentence21", f"{TEST}_sentence22")


@pytest.fixture(scope="session")
def miniature() -> Miniature:
    """Return one take for each official split."""
    return make_miniature(*OFFICIAL)


@pytest.fixture(scope="session", name="make_miniature")
def make_miniature_fixture() -> Callable[..., Miniature]:
    """Return the function `make_miniature(*takes, noise_mm=, n_frames=)`."""
    return make_miniature


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep fits of one test from another."""
    monkeypatch.setenv("ESARM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
