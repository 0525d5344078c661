"""NumPy motion readers: `.npy`, one array, and `.npz`, an array with names, time and quality."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.track import (
    Extent,
    MotionTrack,
    check_rate,
    check_times,
    order_of_width,
    regular_times,
    track_of_table,
)

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

VALUE_KEYS = ("values", "motion", "blendshapes", "coefficients")
RATE_KEYS = ("rate_hz", "fps")


def measure_npy(path: Path) -> Extent:
    """Return the extent of a `.npy` file from its header; its size tells whether it is whole.

    Raises:
        InputError: If it is no whole array of numbers with 51 or 52 columns.
    """
    with _told(path, "a whole .npy array"), path.open("rb") as file:
        shape = _read_shape(file, path, n_bytes=path.stat().st_size)
    order_of_width(path, shape[1])
    return Extent(shape[0], None)


def read_npy(path: Path) -> MotionTrack:
    """Read a `.npy` file of shape (T, 52), or (T, 51) without `tongueOut`, of any number type.

    Raises:
        InputError: As `measure_npy`.
    """
    measure_npy(path)
    with _told(path, "a whole .npy array"):
        table = np.load(path, allow_pickle=False)
    return track_of_table(path, order_of_width(path, table.shape[1]), table)


def measure_npz(path: Path) -> Extent:
    """Return the extent of a `.npz` file: the motion's header and the times are read, no more.

    Raises:
        InputError: If it is no whole archive with an array of numbers under one of `VALUE_KEYS`.
    """
    with _told(path, "a whole .npz archive"), zipfile.ZipFile(path) as archive:
        n_frames, n_columns = _values_shape(archive, path)
        time_s = _read_times(archive, path, n_frames)
        if "names" not in _keys(archive):
            order_of_width(path, n_columns)
    if time_s is None:
        return Extent(n_frames, None)
    return Extent.of_times(n_frames, float(time_s[0]), float(time_s[-1]))


def read_npz(path: Path) -> MotionTrack:
    """Read a `.npz` file.

    Keys: one of `VALUE_KEYS` (T, n); `names` (n,), without which n is 52 or 51 in alphabetical
    order; `time_s` (T,) or one of `RATE_KEYS`; `quality` (T,) in [0, 1]. All but the first are
    optional, others are not looked at. Nothing is unpickled.

    Raises:
        InputError: As `measure_npz`, or if names, times or quality do not fit.
    """
    with _told(path, "a whole .npz archive"), zipfile.ZipFile(path) as archive:
        n_frames, n_columns = _values_shape(archive, path)
        table = _member(archive, _values_key(archive, path))
        time_s = _read_times(archive, path, n_frames)
        keys = _keys(archive)
        names = list(order_of_width(path, n_columns)) if "names" not in keys else None
        if names is None:
            names = np.ravel(_member(archive, "names")).astype(str).tolist()  # also of bytes
        quality = _column(archive, path, "quality", n_frames) if "quality" in keys else None
    if len(names) != n_columns:
        got = f"{len(names)} for {n_columns} columns"
        raise InputError(f"{path}: must have one of `names` for each column, got {got}")
    known = None if quality is None else quality.astype(np.float32)
    return track_of_table(path, names, table, time_s=time_s, quality=known)


@contextmanager
def _told(path: Path, rule: str) -> Iterator[None]:
    """Turn NumPy's and zipfile's errors about a damaged file into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except (
        ValueError,
        EOFError,
        OSError,
        RuntimeError,  # encrypted, or packed in a way that this Python lacks
        SyntaxError,  # of the header, which is Python
        tokenize.TokenError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(f"{path}: must be {rule}, got {error}; copy or export it again") from error


def _read_shape(file: IO[bytes], path: Path, *, n_bytes: int) -> tuple[int, int]:
    """Return the shape in an array's header, once it fits the size of the file."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise InputError(f"{path}: must be an array of format 1.0 or 2.0, got {version}")
    if dtype.kind not in "fiu" or len(shape) != 2:
        raise InputError(
            f"{path}: must be numbers of shape (T, 52) or (T, 51), got {dtype} {shape}"
        )
    if not shape[0]:
        raise InputError(f"{path}: must hold at least one frame, got shape {shape}")
    whole = file.tell() + shape[0] * shape[1] * dtype.itemsize
    if n_bytes != whole:
        raise InputError(
            f"{path}: must have {whole} bytes for {dtype} {shape} as its header says, "
            f"got {n_bytes}; copy or export it again"
        )
    return int(shape[0]), int(shape[1])


def _keys(archive: zipfile.ZipFile) -> list[str]:
    names = archive.namelist()
    return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]


def _values_key(archive: zipfile.ZipFile, path: Path) -> str:
    """Return the key of the motion."""
    found = [key for key in VALUE_KEYS if key in _keys(archive)]
    if len(found) != 1:
        raise InputError(
            f"{path}: must hold one of {', '.join(VALUE_KEYS)}, got {_keys(archive) or 'nothing'}"
        )
    return found[0]


def _values_shape(archive: zipfile.ZipFile, path: Path) -> tuple[int, int]:
    """Return (T, n) from the header of the motion."""
    member = f"{_values_key(archive, path)}.npy"
    with archive.open(member) as file:
        return _read_shape(file, path, n_bytes=archive.getinfo(member).file_size)


def _member(archive: zipfile.ZipFile, key: str) -> np.ndarray[Any, Any]:
    """Return an array of the archive."""
    with archive.open(f"{key}.npy") as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _column(archive: zipfile.ZipFile, path: Path, key: str, n_frames: int) -> DoubleArray:
    """Return an array with one number per frame."""
    column = _member(archive, key)
    if column.shape != (n_frames,) or column.dtype.kind not in "fiu":
        got = f"{column.dtype} {column.shape}"
        raise InputError(f"{path}: `{key}` must be numbers of shape ({n_frames},), got {got}")
    return column.astype(np.float64)


def _read_times(archive: zipfile.ZipFile, path: Path, n_frames: int) -> DoubleArray | None:
    """Return the times of the frames, None if the archive knows neither time nor rate."""
    keys = _keys(archive)
    rates = [check_rate(path, _member(archive, key).item()) for key in RATE_KEYS if key in keys]
    if len(set(rates)) > 1:
        raise InputError(f"{path}: {' and '.join(RATE_KEYS)} must agree, got {rates}")
    claimed_hz = rates[0] if rates else None
    if "time_s" in keys:
        times = _column(archive, path, "time_s", n_frames)
        return check_times(path, times, claimed_hz=claimed_hz)
    return None if claimed_hz is None else regular_times(n_frames, claimed_hz)
