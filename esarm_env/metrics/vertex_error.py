"""Vertex errors: LVE (lips) and EVE (upper face), on coefficients or on meshes of any topology.

`vertex_error` computes one variant on coefficients, `vertex_errors` any number of them with one
pass per region and centring. `vertex_error_of_meshes` takes meshes (FLAME, BIWI, MetaHuman, ...);
a mesh does not tell what its numbers mean, so the unit is asked for and never assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.metrics.inputs import Batch, check_one_shape, difference_of, frame_counts
from esarm_env.metrics.region import reduce_squared, reduced_displacements, region_of
from esarm_env.metrics.variant import UNITS, Variant

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.face.head import Head

_MM = {"mm": 1.0, "cm": 10.0, "m": 1e3}
_FROM_MM = {"mm": 1.0, "m": 1e-3}


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


def vertex_error(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    region: str,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return the vertex error of a region against the ground truth, per utterance.

    Per frame the maximum or mean over the region's vertices of the distance to the power, then the
    mean over frames. The defaults are FaceFormer's LVE; `PRESETS` names those of other papers.

    Args:
        predicted: Coefficients, shape (T, 52) or (B, T, 52), alphabetical order.
        target: The truth, same shape.
        head: Whose vertices are compared.
        region: "lips", "upper" (eyes and forehead), "upper_without_lids" (of these what a blink
            leaves at rest), "all" or any of the head's regions.
        reduce: "max" or "mean" over the region's vertices.
        power: 1 for the distance, 2 for its square.
        centre: "lips" takes each side's mean over the region off first; "none" does not.
        captured: Shape (52,), bool; False channels count as equal on both sides.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        unit: "mm" or "m" (squared with `power=2`).

    Returns:
        Shape (B,), 1 for one utterance; nan where the captured channels make up less
        than a fifth of the region's motion (`region.MEASURED_SHARE`).

    Raises:
        InputError: If shapes do not fit, a choice is unknown, or a counted coefficient is not
            finite.
    """
    _check_head_unit(unit)
    variant = Variant(region, reduce, power, centre, unit)
    errors = vertex_errors(
        predicted, target, head=head, variants=[variant], captured=captured, lengths=lengths
    )
    return errors[variant]


def vertex_errors(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    variants: Iterable[Variant],
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> dict[Variant, npt.NDArray[np.float64]]:
    """Return several variants of the vertex error, sharing distances per region and centring.

    Args:
        predicted: As for `vertex_error`.
        target: As for `vertex_error`.
        head: As for `vertex_error`.
        variants: What to compute; units "mm" and "m".
        captured: As for `vertex_error`.
        lengths: As for `vertex_error`.

    Returns:
        Shape (B,) for each variant, in its unit, equal to what `vertex_error` returns.

    Raises:
        InputError: As `vertex_error` does.
    """
    wanted = tuple(dict.fromkeys(variants))
    for variant in wanted:
        _check_head_unit(variant.unit)
    difference = difference_of(predicted, target, lengths=lengths, captured=captured)
    return _errors_of(difference, difference.counts, wanted, head)


def vertex_errors_of_rows(
    predicted: Sequence[FloatArray],
    target: Sequence[FloatArray],
    *,
    head: Head,
    variants: Iterable[Variant],
    captured: npt.ArrayLike | None = None,
) -> dict[Variant, npt.NDArray[np.float64]]:
    """Return `vertex_errors` of B utterances that are not padded, (T_i, 52) each.

    Raises:
        InputError: As `vertex_errors` does, or if two rows differ in shape or there is none.
    """
    wanted = tuple(dict.fromkeys(variants))
    for variant in wanted:
        _check_head_unit(variant.unit)
    if not len(target) or len(predicted) != len(target):
        got = f"{len(predicted)} and {len(target)}"
        raise InputError(f"`predicted` and `target` must have as many rows, at least 1, got {got}")
    for ours, truth in zip(predicted, target, strict=True):
        check_one_shape(ours, truth)
    together = difference_of(np.concatenate(predicted), np.concatenate(target), captured=captured)
    return _errors_of(together, np.array([len(row) for row in target]), wanted, head)


def _errors_of(
    difference: Batch, counts: IntArray, wanted: Sequence[Variant], head: Head
) -> dict[Variant, npt.NDArray[np.float64]]:
    """Return the errors of utterances whose counted frames, laid end to end, are (B,) `counts`."""
    errors: dict[Variant, npt.NDArray[np.float64]] = {}
    for name, centre in dict.fromkeys((v.region, v.centre) for v in wanted):
        group = [v for v in wanted if (v.region, v.centre) == (name, centre)]
        kinds = dict.fromkeys((v.reduce, v.power) for v in group)
        region = region_of(head, name, centred=centre == "lips")
        found = reduced_displacements(difference, region, list(kinds), counts=counts)
        for variant in group:
            in_mm = found[variant.reduce, variant.power]
            errors[variant] = in_mm * _FROM_MM[variant.unit] ** variant.power
    return {variant: errors[variant] for variant in wanted}


def lip_vertex_error(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return `vertex_error` over the lips (LVE)."""
    return vertex_error(
        predicted,
        target,
        head=head,
        region="lips",
        reduce=reduce,
        power=power,
        centre=centre,
        captured=captured,
        lengths=lengths,
        unit=unit,
    )


def emotional_vertex_error(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    reduce: str = "max",
    power: int = 1,
    centre: str = "none",
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return `vertex_error` over eyes and forehead (EVE)."""
    return vertex_error(
        predicted,
        target,
        head=head,
        region="upper",
        reduce=reduce,
        power=power,
        centre=centre,
        captured=captured,
        lengths=lengths,
        unit=unit,
    )


def pooled_mean(errors: npt.ArrayLike, lengths: npt.ArrayLike) -> float:
    """Return the mean over all frames of all utterances, as CodeTalker's script prints it.

    The plain mean of per-utterance errors gives short utterances more weight; papers differ here
    too, and on utterances of unlike length the two figures do.

    Args:
        errors: Shape (B,), one mean over frames per utterance.
        lengths: Shape (B,), frames of each utterance.

    Raises:
        InputError: If the shapes differ, there is no utterance or one has no frame.
    """
    values, frames = np.asarray(errors, dtype=np.float64), np.asarray(lengths)
    if values.shape != frames.shape or values.ndim != 1 or not len(values):
        got = f"{values.shape} and {frames.shape}"
        raise InputError(f"`errors` and `lengths` must have one shape (B,), B above 0, got {got}")
    if np.any(frames < 1):
        raise InputError(f"`lengths` must be at least 1, got {frames.tolist()}")
    return float(np.sum(values * frames) / np.sum(frames))


def _check_head_unit(unit: str) -> None:
    """Refuse units that a head in mm cannot be given in."""
    if unit not in _FROM_MM:
        raise InputError(f"`unit` must be one of {tuple(_FROM_MM)}, got {unit!r}")
