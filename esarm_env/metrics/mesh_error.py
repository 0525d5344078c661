"""Vertex error of meshes of any topology: FLAME, BIWI, MetaHuman, whatever has a lip region.

A mesh does not tell what its numbers mean, so the unit is asked for and never assumed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.metrics.inputs import check_one_shape, frame_counts
from esarm_env.metrics.reduction import reduce_squared
from esarm_env.metrics.variant import UNITS, Variant
from esarm_env.types import IntArray

_MM = {"mm": 1.0, "cm": 10.0, "m": 1e3}


def vertex_error_of_meshes(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    vertices: npt.ArrayLike,
    mesh_unit: str,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return the vertex error of meshes of any topology, per utterance.

    Args:
        predicted: Vertex positions, shape (T, V, 3) or (B, T, V, 3).
        target: The truth, same shape.
        vertices: Shape (R,), the indices of the region's vertices.
        mesh_unit: What the positions are in: "mm", "cm", "m" or "norm" (a scale without a length).
        reduce: "max" or "mean" over the region's vertices.
        power: 1 for the distance, 2 for its square.
        centre: "lips" takes each side's mean over the region off first; "none" does not.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        unit: "mm" or "m"; "norm" if and only if `mesh_unit` is.

    Returns:
        Shape (B,), 1 for one utterance, in `unit` (squared with `power=2`).

    Raises:
        InputError: If shapes do not fit, a choice is unknown or a counted position is not finite.
    """
    Variant("lips", reduce, power, centre, unit)  # refuses unknown choices
    scale = length_scale(mesh_unit, unit)
    first, second = as_meshes(predicted, "predicted"), as_meshes(target, "target")
    check_one_shape(first, second)
    indices = region_indices(vertices, first.shape[2])
    counts = frame_counts(lengths, *first.shape[:2])
    errors = np.empty(len(first))
    for row, count in enumerate(counts):
        apart = np.subtract(first[row, :count, indices], second[row, :count, indices], dtype=float)
        if not np.all(np.isfinite(apart)):  # (R, n, 3)
            raise InputError("`predicted` and `target` must be finite, got nan or infinity")
        if centre == "lips":
            apart = apart - apart.mean(axis=0)
        squared = np.einsum("rnk,rnk->nr", apart, apart)
        errors[row] = reduce_squared(squared, [(reduce, power)])[reduce, power].mean()
    return errors * scale**power


def as_meshes(positions: npt.ArrayLike, name: str) -> npt.NDArray[np.floating]:
    """Return vertex positions (T, V, 3) or (B, T, V, 3) as (B, T, V, 3)."""
    given = np.asarray(positions)
    if given.ndim not in (3, 4) or given.shape[-1] != 3 or given.shape[-3] < 1:
        rule = "(T, V, 3) or (B, T, V, 3) with T at least 1"
        raise InputError(
            f"`{name}` must have shape {rule}, got {given.shape}; reshape flat vertices first"
        )
    return given if given.ndim == 4 else given[None]


def region_indices(vertices: npt.ArrayLike, n_vertices: int) -> IntArray:
    """Return the indices of a region of a mesh, checked."""
    indices = np.asarray(vertices)
    if indices.ndim != 1 or not len(indices) or not np.issubdtype(indices.dtype, np.integer):
        got = f"{indices.dtype} {indices.shape}"
        raise InputError(f"`vertices` must be integers of shape (R,) with R at least 1, got {got}")
    if indices.min() < 0 or indices.max() >= n_vertices:
        got = f"{indices.min()}..{indices.max()}"
        raise InputError(f"`vertices` must index the {n_vertices} vertices, got {got}")
    return indices.astype(np.int64)


def length_scale(mesh_unit: str, unit: str) -> float:
    """Return the factor from the meshes' unit to the result's."""
    known = (*_MM, "norm")
    if mesh_unit not in known:
        raise InputError(f"`mesh_unit` must be one of {known}, got {mesh_unit!r}")
    if unit not in UNITS:
        raise InputError(f"`unit` must be one of {UNITS}, got {unit!r}")
    if (mesh_unit == "norm") != (unit == "norm"):
        raise InputError(
            f"`unit` must be 'norm' exactly where `mesh_unit` is, got {unit!r} and {mesh_unit!r}"
        )
    return 1.0 if unit == "norm" else _MM[mesh_unit] / _MM[unit]
