"""`read_track`: motion files of every format, by suffix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.array_files import measure_npy, measure_npz, read_npy, read_npz
from esarm_env.corpus.motion.json_files import measure_json, read_json
from esarm_env.corpus.motion.text_files import measure_csv, read_csv
from esarm_env.formats.files import check_regular, reading
from esarm_env.formats.spellings import MOTION_SUFFIXES

if TYPE_CHECKING:
    from esarm_env.corpus.motion.track import Extent, MotionTrack

_Result = TypeVar("_Result")
_READERS: dict[str, Callable[[Path], MotionTrack]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".csv": read_csv,
    ".json": read_json,
    ".jsonl": read_json,
    ".ndjson": read_json,
}
_MEASURES: dict[str, Callable[[Path], Extent]] = {
    ".npy": measure_npy,
    ".npz": measure_npz,
    ".csv": measure_csv,
    ".json": measure_json,
    ".jsonl": measure_json,
    ".ndjson": measure_json,
}


def read_track(path: Path) -> MotionTrack:
    """Read a motion file by its suffix, one of `MOTION_SUFFIXES`, in any case.

    `read_npy`, `read_npz`, `read_csv` and `read_json` say what each format may hold. Values are
    returned as stored: see `fill_gaps`, `check_values`, `at_frame_rate` for what comes next.

    Raises:
        InputError: If the file is missing, empty, truncated, of another kind, or its columns
            cannot be named.
    """
    return _within_bounds(path, _READERS)


def measure_track(path: Path) -> Extent:
    """Return the extent of a motion file, from its header where the format allows.

    `.npy` and `.npz`: headers, times and sizes, which tell a truncated file without reading it.
    `.csv`: lines, first and last time. `.json`, `.jsonl`: read as a whole.

    Raises:
        InputError: As `read_track`, as far as that shows without reading the motion.
    """
    return _within_bounds(path, _MEASURES)


def _within_bounds(path: Path, readers: dict[str, Callable[[Path], _Result]]) -> _Result:
    """Call the reader for a file; whatever it raises becomes one line."""
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InputError(f"{path}: must end in {', '.join(MOTION_SUFFIXES)}, got {suffix!r}")
    if not check_regular(path, "a motion file", missing="no such file"):
        raise InputError(f"{path}: must hold motion, got an empty file (0 bytes)")
    # Numbers near the end of their range overflow in differences; checks of values tell them.
    with reading(path, "a motion file"), np.errstate(all="ignore"):
        return readers[suffix](path)
