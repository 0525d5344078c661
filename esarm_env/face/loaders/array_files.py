"""Readers of named arrays in `.npz` and `.pkl` files, with checks of shape and type."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

from esarm_env.core.errors import InputError, one_line
from esarm_env.face.loaders.plain_pickle import MOST_NUMBERS, AnyArray, read_pickled_arrays

if TYPE_CHECKING:
    from esarm_env.face.loaders.surfaces import Faces, Points


PICKLE_SUFFIXES = (".pkl", ".pickle")

_MOST_ARRAYS = 1_000
_LARGEST_VALUE = 1e6  # in any unit that a head comes in
_HEADERS = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}


def stored_names(path: Path) -> list[str]:
    """List the array names of a `.npz` file without reading the arrays.

    Raises:
        InputError: If the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return sorted(name.removesuffix(".npy") for name in file.namelist())
    except Exception as error:
        raise InputError(f"{path}: must be a .npz file of arrays, got {one_line(error)}") from error


def read_arrays(path: Path) -> dict[str, AnyArray]:
    """Read the arrays of a `.npz` or `.pkl` file by name; no code in it is executed.

    Raises:
        InputError: If the file is damaged, of another kind, or larger than any head.
    """
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return read_pickled_arrays(path)
    try:
        if not path.is_file():
            raise ValueError("a folder" if path.is_dir() else "no such file")
        if not zipfile.is_zipfile(path):
            raise ValueError("another kind of file, or part of one")
        with zipfile.ZipFile(path) as file:
            return _members(file)
    # What a damaged zip file raises depends on the byte: nine kinds of error were seen.
    except Exception as error:
        raise InputError(
            f"{path}: must be a .npz or .pkl file of arrays, got {one_line(error)}"
        ) from error


def _members(file: zipfile.ZipFile) -> dict[str, AnyArray]:
    """Return all arrays of a `.npz` file, whose sizes are checked before memory is taken."""
    members = [member for member in file.infolist() if member.filename.endswith(".npy")]
    if len(members) > _MOST_ARRAYS:
        raise ValueError(f"{len(members)} arrays")
    arrays, left = {}, MOST_NUMBERS
    for member in members:
        # Only these take no more memory than they give.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"an array compressed by method {member.compress_type}")
        with file.open(member) as stream:
            array = _read_array(stream, size=member.file_size, most=left)
        left -= array.size
        arrays[member.filename.removesuffix(".npy")] = array
    return arrays


def _read_array(stream: IO[bytes], *, size: int, most: int) -> AnyArray:
    """Return the array in `size` bytes of `.npy` format, of at most so many numbers."""
    version = read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array of version {version}")
    shape, by_columns, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("an array of objects")
    n_numbers = math.prod(shape)
    if min(shape, default=0) < 0 or n_numbers > most:
        raise ValueError(f"an array of shape {shape}, at most {MOST_NUMBERS} numbers can be")
    n_bytes = n_numbers * dtype.itemsize
    if n_bytes > size:
        raise ValueError(f"an array of shape {shape} in {size} bytes")
    raw = stream.read(n_bytes)
    if len(raw) != n_bytes:
        raise ValueError(f"the first {len(raw)} of {n_bytes} bytes of an array")
    if not n_bytes:
        return np.zeros(shape, dtype)
    flat: AnyArray = np.frombuffer(raw, dtype)
    return flat.reshape(shape, order="F" if by_columns else "C")


def need(arrays: Mapping[str, AnyArray], names: Iterable[str], *, path: Path) -> None:
    """Raise an error if a file lacks one of these arrays."""
    missing = [name for name in names if name not in arrays]
    if missing:
        got = f"none called {', '.join(missing)} (only {', '.join(sorted(arrays)) or 'nothing'})"
        raise InputError(f"{path}: must hold arrays of numbers {', '.join(names)}, got {got}")


def as_points(array: AnyArray, shape: tuple[int | None, ...], *, name: str, path: Path) -> Points:
    """Validate an array of finite numbers; `shape` has None for any length; return float64."""
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, got) for wanted, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in "iuf":
        rule = str(tuple("any" if length is None else length for length in shape))
        got = f"{array.dtype} {array.shape}"
        raise InputError(f"{path}: `{name}` must be numbers of shape {rule}, got {got}")
    if not array.size:
        raise InputError(f"{path}: `{name}` must not be empty, got shape {array.shape}")
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: `{name}` must be finite, got nan or infinity")
    if np.abs(numbers).max() > _LARGEST_VALUE:
        got = f"{np.abs(numbers).max():.3g}"
        raise InputError(f"{path}: `{name}` must be within {_LARGEST_VALUE:.0g} of 0, got {got}")
    return numbers


def as_faces(array: AnyArray, n_vertices: int, *, name: str, path: Path) -> Faces:
    """Validate triangle indices; return int32."""
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iu" or not len(array):
        got = f"{array.dtype} {array.shape}"
        raise InputError(f"{path}: `{name}` must be integers of shape (F, 3), got {got}")
    if array.min() < 0 or array.max() >= n_vertices:
        got = f"{array.min()}..{array.max()}"
        raise InputError(f"{path}: `{name}` must index the {n_vertices} vertices, got {got}")
    return array.astype(np.int32)
