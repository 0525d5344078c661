"""Vertex recordings: meshes over time in a memory-mapped file, subjects, official splits.

VOCASET (Cudeiro et al. 2019, "Capture, learning, and synthesis of 3D speaking styles") is 60 frames
a second of FLAME's 5023 vertices in metres; BIWI (Fanelli et al. 2010) 25 a second of 23370
vertices on a scale of its own. The field takes every second frame of VOCASET. Splits are those of
VOCA, FaceFormer (Fan et al. 2022) and CodeTalker (Xing et al. 2023).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.track import MOST_FRAMES
from esarm_env.formats.files import check_regular, reading

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import DoubleArray, IntArray

_VOCASET = {
    "train": """
        FaceTalk_170728_03272_TA FaceTalk_170904_00128_TA FaceTalk_170725_00137_TA
        FaceTalk_170915_00223_TA FaceTalk_170811_03274_TA FaceTalk_170913_03279_TA
        FaceTalk_170904_03276_TA FaceTalk_170912_03278_TA
    """,
    "validation": "FaceTalk_170811_03275_TA FaceTalk_170908_03277_TA",
    "test": "FaceTalk_170809_00138_TA FaceTalk_170731_00024_TA",
}
_VOCASET_SPLIT = {name: split for split, names in _VOCASET.items() for name in names.split()}
_HELD_OUT_FROM = 21  # of VOCASET's 40 sentences; the others are of no split for these subjects
_BIWI_TRAIN = frozenset("F2 F3 F4 M3 M4 M5".split())
_BIWI_TEST = frozenset("F1 F5 F6 F7 F8 M1 M2 M6".split())
_BIWI_NAMES = {"train": range(1, 33), "validation": range(33, 37), "test": range(37, 41)}
_NAME = re.compile(r"(.+?)_(?:sentence|e)?(\d+)")
# Commonest first. Recordings last as long as their sound at one of these.
RATES_HZ = (60.0, 30.0, 25.0)
_RATE_TOLERANCE = 0.08  # 30 and 25 are 18 % apart
FULL_RATE_HZ = 60.0  # of which every second frame is taken


@dataclass(frozen=True, eq=False)
class VertexTake:
    """One recording of vertices, not yet read.

    Attributes:
        id: `SUBJECT_sentenceNN`, or what its file is called.
        subject: Whose template counts.
        split: The official split, or None for a subject that no paper has.
        path: The array: (T, V, 3) or (T, 3V), or all recordings' (N, V, 3).
        rows: Shape (T,), of the rows of the array that are this recording's; None for all.
        audio: Its sound file.
        n_frames: T, at the file's rate.
    """

    id: str
    subject: str
    split: str | None
    path: Path
    rows: IntArray | None
    audio: Path
    n_frames: int

    def places(self, step: int) -> IntArray:
        """Return the rows of every `step`-th frame."""
        rows = np.arange(self.n_frames) if self.rows is None else self.rows
        return np.asarray(rows[::step], dtype=np.int64)

    def read(self, step: int, frames: slice = slice(None)) -> DoubleArray:
        """Return vertices (T', V, 3) of every `step`-th frame, in the file's unit; nan stays."""
        array, places = open_array(self.path), self.places(step)[frames]
        with reading(self.path, "a whole .npy array"):
            chosen = np.asarray(array[places], dtype=np.float64)
        return chosen.reshape(len(places), -1, 3)


def open_array(path: Path) -> npt.NDArray[Any]:
    """Map a `.npy` file of vertices, (N, V, 3) or (N, 3V), into memory; nothing is read.

    Raises:
        InputError: If it is none, is cut short, or holds something else.
    """
    check_regular(path)
    with reading(path, "a whole .npy array of vertices"):
        array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    fits = (array.ndim == 3 and array.shape[2] == 3) or (
        array.ndim == 2 and array.shape[1] > 0 and array.shape[1] % 3 == 0
    )
    if not fits or array.dtype.kind != "f" or not 1 <= len(array) <= MOST_FRAMES:
        rule = f"floats of shape (T, V, 3) or (T, 3V), T 1 to {MOST_FRAMES}"
        raise InputError(f"{path}: must hold {rule}, got {array.dtype} {array.shape}")
    return array


def n_vertices_of(array: npt.NDArray[Any]) -> int:
    """Return V of an array that `open_array` gave."""
    return int(np.prod(array.shape[1:])) // 3


def subject_of(name: str) -> tuple[str, int | None]:
    """Return subject and sentence number of a recording by its name.

    >>> subject_of("FaceTalk_170725_00137_TA_sentence07"), subject_of("F2_e31")
    (('FaceTalk_170725_00137_TA', 7), ('F2', 31))
    """
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2])) if found else (name.rpartition("_")[0] or name, None)


def official_split(subject: str, sentence: int | None) -> tuple[str | None, bool]:
    """Return the split that the papers give a recording, and whether they leave it out.

    Sentences 1 to 20 of VOCASET's held-out subjects, and of BIWI's all that is not tested, are in
    no split: trained on, they would show the subjects that are tested.
    """
    if (split := _VOCASET_SPLIT.get(subject)) is not None:
        out = split != "train" and sentence is not None and sentence < _HELD_OUT_FROM
        return (None, True) if out else (split, False)
    if subject not in _BIWI_TRAIN | _BIWI_TEST or sentence is None:
        return None, False
    split = next((name for name, part in _BIWI_NAMES.items() if sentence in part), None)
    if subject in _BIWI_TEST and split != "test":
        split = None
    return split, split is None


def rate_of_takes(n_frames: list[int], durations_s: list[float], *, where: Path) -> float:
    """Return the frame rate of a folder's recordings: 60, 30 or 25, as their sounds tell.

    Raises:
        InputError: If half of them last otherwise.
    """
    rate_hz = float(np.median(np.array(n_frames) / np.array(durations_s)))
    nearest = min(RATES_HZ, key=lambda known: abs(known / rate_hz - 1))
    if abs(nearest / rate_hz - 1) > _RATE_TOLERANCE:
        known = ", ".join(f"{rate:g}" for rate in RATES_HZ)
        raise InputError(
            f"{where}: must have one of {known} frames of vertices in a second of its sound, got "
            f"{rate_hz:.1f}; do sounds and vertices belong together?"
        )
    return nearest
