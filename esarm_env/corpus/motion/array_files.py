"""NumPy motion readers: `.npy`, one array, and `.npz`, an array with names, time and quality.

Nothing is unpickled, and nothing is read before its header has told a size that a take can have:
an archive of megabytes may unpack to terabytes.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.frames import MOST_FRAMES, kept_frames, track_of_frames
from esarm_env.corpus.motion.track import (
    Extent,
    MotionTrack,
    check_names,
    check_rate,
    order_of_width,
    regular_times,
    track_of_table,
)
from esarm_env.face.names import MOST_COLUMNS
from esarm_env.formats.files import check_regular, reading
from esarm_env.formats.spellings import (
    NAME_KEYS,
    QUALITY_NAME,
    RATE_NAMES,
    TIME_NAMES,
    VALUE_KEYS,
    keys_called,
    plain,
)

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

# Of the motion as stored: 645,000 frames of 52 doubles, three hours at 60 fps.
LARGEST_ARRAY = 1 << 28
MOST_NUMBERS = 52 * MOST_FRAMES  # of bytes or halves, whose arrays grow when they are read
_LARGEST_SMALL = 1 << 20  # of names, in bytes
_LONGEST_HEADER = 1 << 14
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; others unpack unbounded


def measure_npy(path: Path) -> Extent:
    """Return the extent of a `.npy` file from its header; its size tells whether it is whole.

    Raises:
        InputError: If it is no whole array of numbers with 51 or 52 columns, or too large.
    """
    size = check_regular(path)
    with reading(path, "a whole .npy array"), path.open("rb") as file:
        shape = _motion_shape(file, path, n_bytes=size)
    order_of_width(path, shape[1])
    return Extent(shape[0], None)


def read_npy(path: Path) -> MotionTrack:
    """Read a `.npy` file of shape (T, 52), or (T, 51) without `tongueOut`, of any number type.

    Raises:
        InputError: As `measure_npy`.
    """
    measure_npy(path)
    with reading(path, "a whole .npy array"):
        table = np.load(path, allow_pickle=False)
        return track_of_table(path, order_of_width(path, table.shape[1]), table)


def measure_npz(path: Path) -> Extent:
    """Return the extent of a `.npz` file: the motion's header and the times are read, no more.

    Raises:
        InputError: If it is no whole archive with an array of numbers under one of `VALUE_KEYS`, or
            an array is too large.
    """
    check_regular(path)
    with reading(path, "a whole .npz archive"), zipfile.ZipFile(path) as archive:
        n_frames, n_columns = _values_shape(archive, path)
        _read_names(archive, path, n_columns)
        times, claimed_hz = _read_times(archive, path, n_frames)
        if times is None and claimed_hz is not None:
            times = regular_times(n_frames, claimed_hz)
        if times is None:
            return Extent(n_frames, None)
        times = times[kept_frames(path, times).mask]
    return Extent.of_times(len(times), float(times[0]), float(times[-1]))


def read_npz(path: Path) -> MotionTrack:
    """Read a `.npz` file.

    Keys, in any spelling: one of `VALUE_KEYS` (T, n); `names` (n,), without which n is 52 or 51 in
    alphabetical order; `time_s` (T,) or another of `TIME_NAMES`, or one of `RATE_NAMES`; `quality`
    (T,) in [0, 1]. All but the first are optional, others are not looked at.

    Raises:
        InputError: As `measure_npz`, or if names, times or quality do not fit.
    """
    check_regular(path)
    with reading(path, "a whole .npz archive"), zipfile.ZipFile(path) as archive:
        n_frames, n_columns = _values_shape(archive, path)
        names = _read_names(archive, path, n_columns)
        table = _member(archive, path, _values_key(archive, path), largest=LARGEST_ARRAY)
        times, claimed_hz = _read_times(archive, path, n_frames)
        rated = keys_called(_keys(archive), {QUALITY_NAME})
        quality = _column(archive, path, rated[0], n_frames) if rated else None
        if times is None and quality is None:
            time_s = None if claimed_hz is None else regular_times(n_frames, claimed_hz)
            return track_of_table(path, names, table, time_s=time_s)
        return track_of_frames(
            path, names, table, times=times, claimed_hz=claimed_hz, quality=quality
        )


def _read_header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape and type of an array, and how many bytes its header takes.

    What NumPy is given to parse is bounded here: the header itself may claim to have gigabytes.
    """
    start = file.read(10)
    version, prefix = start[6:8], 10
    if not start.startswith(b"\x93NUMPY") or len(start) < 10:
        raise InputError(f"{path}: must be a whole .npy array, got {start[:6]!r} at its begin")
    if version == b"\x02\x00":
        start += file.read(2)
        prefix = 12
    elif version != b"\x01\x00":
        got = tuple(version)
        raise InputError(f"{path}: must be an array of format 1.0 or 2.0, got {got}")
    length = int.from_bytes(start[8:], "little")
    if length > _LONGEST_HEADER:
        raise InputError(f"{path}: must have a header of a line, got {length} bytes")
    header = io.BytesIO(start + file.read(length))
    header.seek(8)
    parse = {10: np.lib.format.read_array_header_1_0, 12: np.lib.format.read_array_header_2_0}
    shape, _, dtype = parse[prefix](header)
    return shape, dtype, prefix + length


def _motion_shape(file: IO[bytes], path: Path, *, n_bytes: int) -> tuple[int, int]:
    """Return the shape in an array's header, once it fits the size of the file and of a take."""
    shape, dtype, begin = _read_header(file, path)
    if dtype.kind not in "fiu" or len(shape) != 2:
        raise InputError(
            f"{path}: must be numbers of shape (T, 52) or (T, 51), got {dtype} {shape}"
        )
    if not shape[0]:
        raise InputError(f"{path}: must hold at least one frame, got shape {shape}")
    if min(shape) < 1 or shape[1] > MOST_COLUMNS:
        raise InputError(
            f"{path}: must be numbers of shape (T, 52) or (T, 51), got {dtype} {shape}"
        )
    n_numbers = math.prod(shape)
    whole = begin + n_numbers * dtype.itemsize
    if n_bytes != whole:
        raise InputError(
            f"{path}: must have {whole} bytes for {dtype} {shape} as its header says, "
            f"got {n_bytes}; copy or export it again"
        )
    if n_numbers * dtype.itemsize > LARGEST_ARRAY or n_numbers > MOST_NUMBERS:
        limit = min(LARGEST_ARRAY // dtype.itemsize, MOST_NUMBERS) // shape[1]
        raise InputError(
            f"{path}: must hold at most {limit} frames of {shape[1]} {dtype}, "
            f"got {shape[0]}; cut it first"
        )
    return int(shape[0]), int(shape[1])


def _keys(archive: zipfile.ZipFile) -> list[str]:
    names = archive.namelist()
    return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]


def _values_key(archive: zipfile.ZipFile, path: Path) -> str:
    """Return the key of the motion."""
    found = keys_called(_keys(archive), VALUE_KEYS)
    if len(found) != 1:
        shown = [key[:40] for key in _keys(archive)[:8]] or "nothing"
        raise InputError(
            f"{path}: must hold one of values, motion, blendshapes, coefficients, got {shown}"
        )
    return found[0]


def _opened(archive: zipfile.ZipFile, path: Path, key: str) -> IO[bytes]:
    """Return a member of the archive, opened, if it is packed as NumPy packs."""
    info = archive.getinfo(f"{key}.npy")
    if info.compress_type not in _PACKINGS:
        raise InputError(f"{path}: must be packed as NumPy packs, got another way for `{key}`")
    return archive.open(info)


def _values_shape(archive: zipfile.ZipFile, path: Path) -> tuple[int, int]:
    """Return (T, n) from the header of the motion."""
    key = _values_key(archive, path)
    with _opened(archive, path, key) as file:
        return _motion_shape(file, path, n_bytes=archive.getinfo(f"{key}.npy").file_size)


def _member(
    archive: zipfile.ZipFile, path: Path, key: str, *, largest: int = _LARGEST_SMALL
) -> np.ndarray[Any, Any]:
    """Return an array of the archive, if header and index agree that it is not larger."""
    with _opened(archive, path, key) as file:
        shape, dtype, begin = _read_header(file, path)
    size = math.prod(shape) * dtype.itemsize
    declared = archive.getinfo(f"{key}.npy").file_size
    if min(shape, default=0) < 0 or max(size, declared - begin) > largest:
        raise InputError(f"{path}: `{key}` must have at most {largest} bytes, got {dtype} {shape}")
    with _opened(archive, path, key) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


def _read_names(archive: zipfile.ZipFile, path: Path, n_columns: int) -> list[str]:
    """Return the names of the columns, checked."""
    keys = keys_called(_keys(archive), NAME_KEYS)
    if not keys:
        return list(order_of_width(path, n_columns))
    names: list[str] = np.ravel(_member(archive, path, keys[0])).astype(str).tolist()  # or bytes
    if len(names) != n_columns:
        got = f"{len(names)} for {n_columns} columns"
        raise InputError(f"{path}: must have one of `names` for each column, got {got}")
    check_names(path, names)
    return names


def _column(archive: zipfile.ZipFile, path: Path, key: str, n_frames: int) -> DoubleArray:
    """Return an array with one number per frame."""
    with _opened(archive, path, key) as file:
        shape, dtype, _ = _read_header(file, path)
    if shape != (n_frames,) or dtype.kind not in "fiu":
        got = f"{dtype} {shape}"
        raise InputError(f"{path}: `{key}` must be numbers of shape ({n_frames},), got {got}")
    largest = n_frames * dtype.itemsize
    return _member(archive, path, key, largest=largest).astype(np.float64)


def _read_times(
    archive: zipfile.ZipFile, path: Path, n_frames: int
) -> tuple[DoubleArray | None, float | None]:
    """Return the times of the frames in seconds and the rate; None for what it does not know."""
    keys = _keys(archive)
    found = sorted(keys_called(keys, RATE_NAMES), key=lambda key: RATE_NAMES.index(plain(key)))
    rates = [check_rate(path, _member(archive, path, key).item()) for key in found]
    if len(set(rates)) > 1:
        raise InputError(f"{path}: {' and '.join(found)} must agree, got {rates}")
    claimed_hz = rates[0] if rates else None
    timed = keys_called(keys, TIME_NAMES)
    if len(timed) > 1:
        raise InputError(f"{path}: must have one array of time at most, got {', '.join(timed)}")
    if not timed:
        return None, claimed_hz
    seconds = _column(archive, path, timed[0], n_frames) * TIME_NAMES[plain(timed[0])]
    return seconds, claimed_hz
