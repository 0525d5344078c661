"""Readers of named arrays in `.npz` and `.pkl` files, with checks of shape and type."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, one_line
from esarm_env.face.loaders.plain_pickle import MOST_NUMBERS, AnyArray, read_pickled_arrays
from esarm_env.formats.archives import read_members

if TYPE_CHECKING:
    from esarm_env.face.loaders.surfaces import Faces, Points


PICKLE_SUFFIXES = (".pkl", ".pickle")

_LARGEST_VALUE = 1e6  # in any unit that a head comes in


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
            return read_members(file, most=MOST_NUMBERS, unit="numbers")
    # What a damaged zip file raises depends on the byte: nine kinds of error were seen.
    except Exception as error:
        raise InputError(
            f"{path}: must be a .npz or .pkl file of arrays, got {one_line(error)}"
        ) from error


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
