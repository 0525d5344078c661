"""`.npz` archives, read whole within bounds: nothing is unpickled, no declared size is believed."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

from esarm_env.formats.files import check_regular, reading

AnyArray = npt.NDArray[Any]

# What all arrays of a file may take: what 10 MB of zeros unpack to would fill any machine.
LARGEST = 1 << 29
MOST_UNPACKED = 50  # times the size of the file, where that is more; ours unpack to 20 times
_MOST_ARRAYS = 1_000
_HEADERS = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; others unpack unbounded


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
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if len(members) > _MOST_ARRAYS:
        raise ValueError(f"{len(members)} arrays")
    arrays, left = {}, most
    for member in members:
        if member.compress_type not in _PACKINGS:
            raise ValueError(f"an array compressed by method {member.compress_type}")
        with archive.open(member) as stream:
            array = _read_array(stream, size=member.file_size, most=left, unit=unit)
        left -= array.nbytes if unit == "bytes" else array.size
        arrays[member.filename.removesuffix(".npy")] = array
    return arrays


def _read_array(stream: IO[bytes], *, size: int, most: int, unit: str) -> AnyArray:
    """Return the array in `size` bytes of `.npy` format."""
    version = read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array of version {version}")
    shape, by_columns, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("an array of objects")
    n_numbers = math.prod(shape)
    n_bytes = n_numbers * dtype.itemsize
    if min(shape, default=0) < 0 or (n_bytes if unit == "bytes" else n_numbers) > most:
        raise ValueError(f"an array of shape {shape}, at most {most} {unit} can be")
    if n_bytes > size:
        raise ValueError(f"an array of shape {shape} in {size} bytes")
    raw = stream.read(n_bytes)
    if len(raw) != n_bytes:
        raise ValueError(f"the first {len(raw)} of {n_bytes} bytes of an array")
    if not n_bytes:
        return np.zeros(shape, dtype)
    flat: AnyArray = np.frombuffer(bytearray(raw), dtype)
    return flat.reshape(shape, order="F" if by_columns else "C")
