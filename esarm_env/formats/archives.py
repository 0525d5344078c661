"""`.npy` and `.npz` arrays within bounds: nothing is unpickled, no declared size is believed.

An archive of megabytes may unpack to terabytes, and the header of an array is Python: what it says
is parsed by NumPy, once it is short enough, and checked before memory is taken.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0

from esarm_env.formats.files import check_regular, reading

AnyArray = npt.NDArray[Any]

# What all arrays of a file may take: what 10 MB of zeros unpack to would fill any machine.
LARGEST = 1 << 29
MOST_UNPACKED = 50  # times the size of the file, where that is more; ours unpack to 20 times
_MOST_ARRAYS = 1_000
_LONGEST_HEADER = 1 << 14
# By version: bytes before the header's text, and what parses it.
_HEADERS = {b"\1\0": (10, read_array_header_1_0), b"\2\0": (12, read_array_header_2_0)}
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; others unpack unbounded
_SUFFIX = ".npy"


@dataclass(frozen=True)
class ArrayHeader:
    """What the header of an array says, be it possible or not.

    Attributes:
        shape: Of the array; a hostile one has lengths below 0.
        dtype: Of its numbers; of objects, nothing is read.
        by_columns: Whether the first axis varies fastest, as in Fortran.
        begin: How many bytes the header takes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool
    begin: int

    @property
    def n_numbers(self) -> int:
        """How many numbers the array has."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """How many bytes they take."""
        return self.n_numbers * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> ArrayHeader:
    """Return the header at the begin of an array in `.npy` format.

    Raises:
        ValueError: If it is none, or longer than any.
    """
    start = stream.read(10)
    if not start.startswith(b"\x93NUMPY") or len(start) < 10:
        raise ValueError(f"{start[:6]!r} at its begin")
    if start[6:8] not in _HEADERS:
        raise ValueError(f"an array of format {start[6]}.{start[7]}, only 1.0 and 2.0 are read")
    prefix, parse = _HEADERS[start[6:8]]
    start += stream.read(prefix - 10)
    length = int.from_bytes(start[8:], "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes where a line can be")
    header = io.BytesIO(start[8:] + stream.read(length))
    shape, by_columns, dtype = parse(header)
    return ArrayHeader(shape, dtype, by_columns, prefix + length)


def read_npz(path: Path, what: str, *, remedy: str) -> dict[str, AnyArray]:
    """Read every array of a `.npz` file by name.

    Args:
        path: The file.
        what: What it must be, for the message: `a measured curve`.
        remedy: What to do where it is not.

    Raises:
        InputError: If it is no regular file, damaged, holds objects, or unpacks to more than
            `LARGEST` bytes and `MOST_UNPACKED` times its size.
    """
    size = check_regular(path, what)
    with reading(path, what, remedy=remedy), zipfile.ZipFile(path) as archive:
        return read_members(archive, most=max(LARGEST, MOST_UNPACKED * size))


def read_members(
    archive: zipfile.ZipFile, *, most: int, unit: Literal["bytes", "numbers"] = "bytes"
) -> dict[str, AnyArray]:
    """Return all arrays of an archive by name; their sizes are checked before memory is taken.

    Args:
        archive: Opened.
        most: How much all arrays may hold together.
        unit: Of `most`.

    Raises:
        ValueError: If they are more or larger than can be, or not what their headers say.
    """
    arrays, left = {}, most
    for key in member_keys(archive):
        array = read_member(archive, key, most=left, unit=unit)
        left -= array.nbytes if unit == "bytes" else array.size
        arrays[key] = array
    return arrays


def member_keys(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays in an archive.

    Raises:
        ValueError: If they are more than any archive has.
    """
    names = [name for name in archive.namelist() if name.endswith(_SUFFIX)]
    if len(names) > _MOST_ARRAYS:
        raise ValueError(f"{len(names)} arrays")
    return [name.removesuffix(_SUFFIX) for name in names]


def member_header(archive: zipfile.ZipFile, key: str) -> ArrayHeader:
    """Return the header of an array in an archive.

    Raises:
        ValueError: As `read_header`, or if it is packed in another way than NumPy packs.
    """
    with _opened(archive, key) as stream:
        return read_header(stream)


def member_size(archive: zipfile.ZipFile, key: str) -> int:
    """Return how many bytes an array takes with its header, as the archive says."""
    return archive.getinfo(key + _SUFFIX).file_size


def read_member(
    archive: zipfile.ZipFile, key: str, *, most: int, unit: Literal["bytes", "numbers"] = "bytes"
) -> AnyArray:
    """Return one array of an archive.

    Raises:
        ValueError: If it is larger than `most`, or not what its header says.
    """
    with _opened(archive, key) as stream:
        return read_array(stream, size=member_size(archive, key), most=most, unit=unit)


def _opened(archive: zipfile.ZipFile, key: str) -> IO[bytes]:
    member = archive.getinfo(key + _SUFFIX)
    if member.compress_type not in _PACKINGS:
        raise ValueError(
            f"an array compressed by method {member.compress_type}, which NumPy never does"
        )
    return archive.open(member)


def read_array(
    stream: IO[bytes], *, size: int, most: int, unit: Literal["bytes", "numbers"] = "bytes"
) -> AnyArray:
    """Return the array in `size` bytes of `.npy` format.

    Raises:
        ValueError: If it is larger than `most`, or not what its header says.
    """
    header = read_header(stream)
    if header.dtype.hasobject:
        raise ValueError("an array of objects")
    # Numbers of no bytes, as of empty text, get some when they are made.
    if (
        min(header.shape, default=0) < 0
        or max(header.n_numbers, header.n_bytes if unit == "bytes" else 0) > most
    ):
        raise ValueError(f"an array of shape {header.shape}, at most {most} {unit} can be")
    if header.n_bytes > size:
        raise ValueError(f"an array of shape {header.shape} in {size} bytes")
    raw = stream.read(header.n_bytes)
    if len(raw) != header.n_bytes:
        raise ValueError(f"the first {len(raw)} of {header.n_bytes} bytes of an array")
    if not header.n_bytes:
        return np.zeros(header.shape, header.dtype)
    flat: AnyArray = np.frombuffer(bytearray(raw), header.dtype)
    return flat.reshape(header.shape, order="F" if header.by_columns else "C")
