"""`read_track`: motion files of every format, by suffix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.array_files import measure_npy, measure_npz, read_npy, read_npz
from esarm_env.corpus.motion.text_files import measure_csv, measure_json, read_csv, read_json

if TYPE_CHECKING:
    from esarm_env.corpus.motion.track import Extent, MotionTrack

# The order is the order of preference where one take has several.
_READERS: dict[str, Callable[[Path], MotionTrack]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".csv": read_csv,
    ".json": read_json,
}
_MEASURES: dict[str, Callable[[Path], Extent]] = {
    ".npy": measure_npy,
    ".npz": measure_npz,
    ".csv": measure_csv,
    ".json": measure_json,
}
MOTION_SUFFIXES = tuple(_READERS)


def read_track(path: Path) -> MotionTrack:
    """Read a motion file by its suffix, one of `MOTION_SUFFIXES`, in any case.

    `read_npy`, `read_npz`, `read_csv` and `read_json` say what each format may hold. Values are
    returned as stored: see `fill_gaps`, `check_values`, `at_frame_rate` for what comes next.

    Raises:
        InputError: If the file is missing, empty, truncated, of another kind, or its columns
            cannot be named.
    """
    return _READERS[_suffix(path)](path)


def measure_track(path: Path) -> Extent:
    """Return the extent of a motion file, from its header where the format allows.

    `.npy` and `.npz`: headers, times and sizes, which tell a truncated file without reading it.
    `.csv`: lines, first and last time. `.json`: read as a whole.

    Raises:
        InputError: As `read_track`, as far as that shows without reading the motion.
    """
    return _MEASURES[_suffix(path)](path)


def _suffix(path: Path) -> str:
    """Return the suffix of a file, checked to exist, to be known and not empty."""
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise InputError(f"{path}: must end in {', '.join(MOTION_SUFFIXES)}, got {suffix!r}")
    if not path.is_file():
        raise InputError(f"{path}: must be a motion file, got no such file")
    if not path.stat().st_size:
        raise InputError(f"{path}: must hold motion, got an empty file (0 bytes)")
    return suffix
