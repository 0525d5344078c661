"""Named arrays as motion: which of them is what, in an archive or in the fields of records."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.stamps import Stamps, claimed_rate
from esarm_env.corpus.motion.track import MOST_FRAMES, check_names, order_of_width
from esarm_env.face.names import MOST_COLUMNS, find_column
from esarm_env.formats.archives import (
    AnyArray,
    ArrayHeader,
    member_header,
    member_keys,
    member_size,
    read_member,
    read_members,
)
from esarm_env.formats.spellings import (
    BOOKKEEPING,
    FRAME_KEYS,
    NAME_KEYS,
    PERIOD_NAMES,
    QUALITY_NAME,
    RATE_NAMES,
    TIME_NAMES,
    TIMECODE_NAME,
    UNNAMED_ARRAY,
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
_LONGEST_TIME = 256  # of a time as text, in bytes
_NUMBERS = "fiu"


class Arrays:
    """Arrays by name that are in memory."""

    def __init__(self, path: Path, arrays: Mapping[str, AnyArray]) -> None:
        """Take the arrays, and the file they come from for messages."""
        self.path, self._arrays = path, arrays

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self._arrays)

    def header(self, key: str) -> ArrayHeader:
        """Return type and shape of an array."""
        array = self._arrays[key]
        return ArrayHeader(array.shape, array.dtype, by_columns=False, begin=0)

    def size(self, key: str) -> int:
        """Return how many bytes it takes with its header."""
        return self._arrays[key].nbytes

    def read(self, key: str, *, most: int) -> AnyArray:
        """Return it, if it has at most so many bytes."""
        return self._arrays[key]


class Archive(Arrays):
    """Arrays in an opened `.npz` file."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        """Take the archive; nothing is read yet."""
        self.path, self._archive = path, archive

    def opened(self) -> Arrays:
        """Return the arrays, those of records in the place of the motion."""
        key = _motion_key(self)
        if key is None or not self.header(key).dtype.names:
            return self
        whole = read_members(self._archive, most=LARGEST_ARRAY)
        return fields_of(self.path, whole.pop(key), beside=whole)

    def keys(self) -> list[str]:
        """Return the names of the arrays."""
        return member_keys(self._archive)

    def header(self, key: str) -> ArrayHeader:
        """Return type and shape of an array."""
        return member_header(self._archive, key)

    def size(self, key: str) -> int:
        """Return how many bytes it takes with its header, as the archive says."""
        return member_size(self._archive, key)

    def read(self, key: str, *, most: int) -> AnyArray:
        """Return it, if it has at most so many bytes."""
        return read_member(self._archive, key, most=most)


def fields_of(
    path: Path, records: AnyArray, *, beside: Mapping[str, AnyArray] | None = None
) -> Arrays:
    """Return the fields of records as arrays; those of fields in fields have a point between.

    Args:
        path: The file, for messages.
        records: Shape (T,).
        beside: Other arrays.

    Raises:
        InputError: If they are more than a take has columns.
    """
    found: dict[str, AnyArray] = dict(beside or {})
    waiting = [("", records)]
    while waiting:
        name, array = waiting.pop()
        if array.dtype.names is None:
            found[name] = array
        else:
            parts = [
                (f"{name}.{each}" if name else each, array[each]) for each in array.dtype.names
            ]
            waiting += parts[::-1]
        if len(found) + len(waiting) > MOST_COLUMNS:
            raise InputError(f"{path}: must have at most {MOST_COLUMNS} fields; take some out")
    return Arrays(path, found)


@dataclass(frozen=True)
class Parts:
    """Which arrays are what.

    Attributes:
        n_frames: Number of frames.
        names: Names of the columns.
        motion: The array that holds them all, or, of the same names, one for each.
        others: Those that are no part of it.
    """

    n_frames: int
    names: Sequence[str]
    motion: str | Sequence[str]
    others: Sequence[str]


def find_parts(arrays: Arrays) -> Parts:
    """Tell the motion among the arrays, and its names.

    Raises:
        InputError: If no array or more than one can be the motion, it is not whole or too large, or
            names do not fit it.
    """
    keys, path = arrays.keys(), arrays.path
    known = {*TIME_NAMES, *RATE_NAMES, *PERIOD_NAMES, *BOOKKEEPING, *NAME_KEYS}
    known |= {TIMECODE_NAME, QUALITY_NAME}
    rest = [key for key in keys if plain(key) not in known]
    motion = _motion_key(arrays)
    if motion is not None:
        header = arrays.header(motion)
        check_motion_shape(path, header, n_bytes=arrays.size(motion))
        names = _names(arrays, header.shape[1])
        return Parts(header.shape[0], names, motion, [key for key in rest if key != motion])
    if len(rest) > MOST_COLUMNS or not any(find_column(key) is not None for key in rest):
        shown = [key[:40] for key in keys[:8]] or "nothing"
        raise InputError(
            f"{path}: must hold one of values, motion, blendshapes, coefficients, got {shown}"
        )
    chosen = [rest[place] for place in check_names(path, rest).places]
    n_frames = _check_channels(arrays, chosen)
    return Parts(n_frames, chosen, chosen, [key for key in rest if key not in chosen])


def _motion_key(arrays: Arrays) -> str | None:
    """Return the array that holds the motion, None if there is none by name."""
    keys = arrays.keys()
    found = keys_called(keys, VALUE_KEYS)
    if not found:
        tables = (*keys_called(keys, FRAME_KEYS), *(k for k in keys if k == UNNAMED_ARRAY))
        found = [key for key in tables if _may_be_table(arrays.header(key))]
    if len(found) > 1:
        raise InputError(
            f"{arrays.path}: must hold one of values, motion, blendshapes, coefficients, "
            f"got {found[:8]}"
        )
    return found[0] if found else None


def _may_be_table(header: ArrayHeader) -> bool:
    return len(header.shape) == 2 or bool(header.dtype.names)


def check_motion_shape(path: Path, header: ArrayHeader, *, n_bytes: int) -> None:
    """Raise an error unless a header fits the size of its array, and of a take.

    Raises:
        InputError: If it is no table of numbers with a frame, in `n_bytes` bytes, or too large.
    """
    shape, dtype = header.shape, header.dtype
    if len(shape) == 2 and not shape[0]:
        raise InputError(f"{path}: must hold at least one frame, got shape {shape}")
    if dtype.kind not in _NUMBERS or len(shape) != 2 or min(shape) < 1 or shape[1] > MOST_COLUMNS:
        raise InputError(
            f"{path}: must be numbers of shape (T, 52) or (T, 51), got {dtype} {shape}"
        )
    whole = header.begin + header.n_bytes
    if n_bytes != whole:
        raise InputError(
            f"{path}: must have {whole} bytes for {dtype} {shape} as its header says, "
            f"got {n_bytes}; copy or export it again"
        )
    if header.n_bytes > LARGEST_ARRAY or header.n_numbers > MOST_NUMBERS:
        limit = min(LARGEST_ARRAY // dtype.itemsize, MOST_NUMBERS) // shape[1]
        raise InputError(
            f"{path}: must hold at most {limit} frames of {shape[1]} {dtype}, "
            f"got {shape[0]}; cut it first"
        )


def _check_channels(arrays: Arrays, keys: Sequence[str]) -> int:
    """Return how many frames arrays of one channel each have."""
    headers = {key: arrays.header(key) for key in keys}
    n_frames = headers[keys[0]].n_numbers
    for key, header in headers.items():
        fits = header.n_numbers == n_frames and header.shape[:1] == (n_frames,)
        if not fits or header.dtype.kind not in _NUMBERS:
            rule, got = f"numbers of shape ({n_frames},)", f"{header.dtype} {header.shape}"
            raise InputError(f"{arrays.path}: `{key}` must be {rule} as others are, got {got}")
    if not 1 <= n_frames <= MOST_FRAMES:
        rule = f"1 to {MOST_FRAMES} frames"
        raise InputError(f"{arrays.path}: must hold {rule}, got {n_frames}")
    return n_frames


def _names(arrays: Arrays, n_columns: int) -> Sequence[str]:
    """Return the names of the columns, checked."""
    path, keys = arrays.path, keys_called(arrays.keys(), NAME_KEYS)
    if not keys:
        return order_of_width(path, n_columns)
    names: list[str] = np.ravel(_small(arrays, keys[0])).astype(str).tolist()  # or bytes
    if len(names) != n_columns:
        got = f"{len(names)} for {n_columns} columns"
        raise InputError(f"{path}: must have one of `names` for each column, got {got}")
    check_names(path, [name for name in names if plain(name) not in TIME_NAMES])
    return names


def _small(arrays: Arrays, key: str) -> AnyArray:
    """Return an array that describes the motion, if header and index agree that it is small."""
    header = arrays.header(key)
    size = max(header.n_bytes, arrays.size(key) - header.begin)
    if not isinstance(arrays, Archive):
        return arrays.read(key, most=size)  # a field of records, in memory already
    if min(header.shape, default=0) < 0 or size > _LARGEST_SMALL:
        rule, got = f"at most {_LARGEST_SMALL} bytes", f"{header.dtype} {header.shape}"
        raise InputError(f"{arrays.path}: `{key}` must have {rule}, got {got}")
    return arrays.read(key, most=_LARGEST_SMALL)


def read_table(arrays: Arrays, parts: Parts) -> AnyArray:
    """Return the motion, shape (T, n)."""
    if isinstance(parts.motion, str):
        return arrays.read(parts.motion, most=LARGEST_ARRAY)
    columns = (arrays.read(key, most=LARGEST_ARRAY) for key in parts.motion)
    table = np.empty((parts.n_frames, len(parts.motion)), np.float32)
    with np.errstate(over="ignore"):
        for place, column in enumerate(columns):
            table[:, place] = column.reshape(-1)
    return table


def read_quality(arrays: Arrays, parts: Parts) -> DoubleArray | None:
    """Return how well the face was tracked in each frame, None if that is not known."""
    keys = keys_called(arrays.keys(), {QUALITY_NAME})
    if not keys:
        return None
    return _column(arrays, keys[0], parts.n_frames, kinds=_NUMBERS).astype(np.float64)


def read_clock(arrays: Arrays, parts: Parts) -> tuple[Stamps | None, float | None, tuple[str, ...]]:
    """Return the times of the frames, the stated rate, None for what is not known, and notes.

    Raises:
        InputError: If arrays of time are two or do not fit the motion, or a rate is none.
    """
    claimed_hz, notes = _stated_rate(arrays)
    keys = arrays.keys()
    timed = keys_called(keys, TIME_NAMES) or keys_called(keys, {TIMECODE_NAME})
    if len(timed) > 1:
        got = ", ".join(timed)
        raise InputError(f"{arrays.path}: must have one array of time at most, got {got}")
    if not timed:
        return None, claimed_hz, notes
    cells = _column(arrays, timed[0], parts.n_frames, kinds=f"{_NUMBERS}mMUS")
    return _stamps(arrays.path, timed[0], cells), claimed_hz, notes


def _stated_rate(arrays: Arrays) -> tuple[float | None, tuple[str, ...]]:
    """Return the frame rate that the arrays state, and notes."""
    found = keys_called(arrays.keys(), RATE_NAMES)
    found.sort(key=lambda key: RATE_NAMES.index(plain(key)))
    stated: list[tuple[str, object]] = []
    for key in (*found, *keys_called(arrays.keys(), PERIOD_NAMES)):
        values = np.unique(np.ravel(_small(arrays, key)))  # of records, one for each frame
        if len(values) != 1:
            header = arrays.header(key)
            got = f"{header.dtype} {header.shape}"
            raise InputError(f"{arrays.path}: `{key}` must be one frame rate, got {got}")
        stated.append((key, _plain_value(values[0])))
    return claimed_rate(arrays.path, stated)


def _plain_value(value: Any) -> object:
    found = value.item()
    return found.decode(errors="replace") if isinstance(found, bytes) else found


def _column(arrays: Arrays, key: str, n_frames: int, *, kinds: str) -> AnyArray:
    """Return an array with one entry per frame."""
    header = arrays.header(key)
    fits = header.shape in ((n_frames,), (n_frames, 1)) and header.dtype.kind in kinds
    if not fits or header.dtype.itemsize > _LONGEST_TIME:
        got = f"{header.dtype} {header.shape}"
        raise InputError(
            f"{arrays.path}: `{key}` must be numbers of shape ({n_frames},), got {got}"
        )
    return arrays.read(key, most=n_frames * max(1, header.dtype.itemsize)).reshape(-1)


def _stamps(path: Path, name: str, cells: AnyArray) -> Stamps:
    """Return times of any type that NumPy has for them."""
    if cells.dtype.kind in "mM":
        unit = np.datetime_data(cells.dtype)[0]
        if unit == "generic":
            raise InputError(f"{path}: `{name}` must have a unit, got {cells.dtype}")
        counts = cells.astype(f"{cells.dtype.kind}8[ns]")
        seconds = counts.astype(np.int64) / 1e9
        return Stamps(np.where(np.isnat(counts), np.nan, seconds))
    if cells.dtype.kind in "US":
        texts = [_plain_value(cell) for cell in cells]
        return Stamps.of_cells(path, name, texts)
    return Stamps.called(name, cells.astype(np.float64))
