"""Regions of a head from a file of the user's, such as FLAME's published masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from esarm_env.errors import InputError
from esarm_env.face.head import REQUIRED_REGIONS
from esarm_env.face.loaders.array_files import need, read_arrays
from esarm_env.types import IntArray

# FLAME_masks.pkl has its own word.
_OTHER_NAMES = {"eye_region": "eyes"}


def read_regions(path: Path, n_vertices: int) -> dict[str, IntArray]:
    """Read vertex indices by region from a `.pkl` or `.npz` file.

    Args:
        path: Holds "lips", "forehead" and "eyes" (FLAME's "eye_region" will do), each an array of
            vertex indices in any order; other arrays are kept under their names.
        n_vertices: Number of vertices of the head.

    Raises:
        InputError: If a region is missing or no list of existing vertices.
    """
    arrays = read_arrays(path)
    named = {_OTHER_NAMES.get(name, name): array for name, array in arrays.items()}
    need(named, REQUIRED_REGIONS, path=path)
    for name, array in named.items():
        if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
            got = f"{array.dtype} {array.shape}"
            raise InputError(f"{path}: `{name}` must be vertex indices of shape (n,), got {got}")
        if array.min() < 0 or array.max() >= n_vertices:
            got = f"{array.min()}..{array.max()}"
            raise InputError(f"{path}: `{name}` must index the {n_vertices} vertices, got {got}")
    return {name: np.unique(array).astype(np.int64) for name, array in named.items()}
