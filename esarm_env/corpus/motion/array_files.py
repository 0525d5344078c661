"""NumPy motion readers: `.npy`, one array, and `.npz`, arrays of motion, names, time and quality.

A record array is read as the arrays that its fields are. Nothing is read before its header has told
a size that a take can have (see `esarm_env.formats.archives`).
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.frames import extent_of_frames, track_of_frames
from esarm_env.corpus.motion.named_arrays import (
    LARGEST_ARRAY,
    Archive,
    Arrays,
    Parts,
    check_motion_shape,
    fields_of,
    find_parts,
    read_clock,
    read_quality,
    read_table,
)
from esarm_env.corpus.motion.track import (
    MOST_FRAMES,
    Extent,
    MotionTrack,
    order_of_width,
    track_of_table,
)
from esarm_env.formats.archives import ArrayHeader, read_array, read_header
from esarm_env.formats.files import check_regular, reading
from esarm_env.formats.spellings import TIME_NAMES, keys_called, note_on_others


def measure_npy(path: Path) -> Extent:
    """Return the extent of a `.npy` file from its header; its size tells whether it is whole.

    A record array is read, for its times.

    Raises:
        InputError: If it is no whole array of numbers with 51 or 52 columns, or too large.
    """
    header = _npy_header(path)
    if header.dtype.names:
        return _extent(_records(path))
    order_of_width(path, header.shape[1])
    return Extent(header.shape[0], None)


def read_npy(path: Path) -> MotionTrack:
    """Read a `.npy` file of shape (T, 52), or (T, 51) without `tongueOut`, of any number type.

    A record array of shape (T,) has fields called as the arrays of a `.npz` file may be.

    Raises:
        InputError: As `measure_npy`.
    """
    header = _npy_header(path)
    if header.dtype.names:
        return _track(_records(path))
    with reading(path, "a whole .npy array"):
        table = np.load(path, allow_pickle=False)
        return track_of_table(path, order_of_width(path, table.shape[1]), table)


def measure_npz(path: Path) -> Extent:
    """Return the extent of a `.npz` file: the motion's header and the times are read, no more.

    Raises:
        InputError: As `read_npz`, as far as that shows without reading the motion.
    """
    check_regular(path)
    with reading(path, "a whole .npz archive"), zipfile.ZipFile(path) as archive:
        return _extent(Archive(path, archive).opened())


def read_npz(path: Path) -> MotionTrack:
    """Read a `.npz` file.

    Keys, in any spelling: one of `VALUE_KEYS` (T, n), or one array (T,) for each channel, called as
    the channel is; `names` (n,), without which n is 52 or 51 in alphabetical order; `time_s` (T,)
    or another of `TIME_NAMES`, in numbers, text or NumPy's dates, or one of `RATE_NAMES`; `quality`
    (T,) in [0, 1]. All but the first are optional, others are left out with a note. A single array
    without a name will do.

    Raises:
        InputError: If it is no whole archive with an array of numbers that is the motion, an array
            is too large, or names, times or quality do not fit.
    """
    check_regular(path)
    with reading(path, "a whole .npz archive"), zipfile.ZipFile(path) as archive:
        return _track(Archive(path, archive).opened())


def _npy_header(path: Path) -> ArrayHeader:
    """Return the header of a `.npy` file, once it fits its size and a take."""
    size = check_regular(path)
    with reading(path, "a whole .npy array"), path.open("rb") as file:
        header = read_header(file)
    if not header.dtype.names:
        check_motion_shape(path, header, n_bytes=size)
    elif len(header.shape) != 1 or not 1 <= header.shape[0] <= MOST_FRAMES:
        rule = f"records of shape (T,), T at most {MOST_FRAMES}"
        raise InputError(f"{path}: must be {rule}, got shape {header.shape}")
    elif size != header.begin + header.n_bytes:
        rule = f"{header.begin + header.n_bytes} bytes for {header.shape[0]} records"
        raise InputError(f"{path}: must have {rule}, got {size}; copy or export it again")
    return header


def _records(path: Path) -> Arrays:
    """Return the fields of a record array."""
    with reading(path, "a whole .npy array"), path.open("rb") as file:
        return fields_of(path, read_array(file, size=path.stat().st_size, most=LARGEST_ARRAY))


def _extent(arrays: Arrays) -> Extent:
    """Return the extent that `_track` will have; a table with times in it is read."""
    parts = find_parts(arrays)
    if keys_called(parts.names, TIME_NAMES):
        track = _track(arrays)
        if track.time_s is None:
            return Extent(len(track.values), None)
        return Extent.of_times(len(track.values), float(track.time_s[0]), float(track.time_s[-1]))
    stamps, claimed_hz, _ = read_clock(arrays, parts)
    return extent_of_frames(arrays.path, parts.n_frames, stamps=stamps, claimed_hz=claimed_hz)


def _track(arrays: Arrays) -> MotionTrack:
    """Return the track of named arrays."""
    parts: Parts = find_parts(arrays)
    stamps, claimed_hz, notes = read_clock(arrays, parts)
    return track_of_frames(
        arrays.path,
        parts.names,
        read_table(arrays, parts),
        stamps=stamps,
        claimed_hz=claimed_hz,
        quality=read_quality(arrays, parts),
        notes=(*note_on_others(parts.others, what="arrays that are no part of it"), *notes),
    )
