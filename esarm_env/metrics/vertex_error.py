"""Lip and emotional vertex error (LVE, EVE), every choice an argument.

`vertex_error` computes one variant on coefficients, `vertex_errors` any number of them with one
pass per region and centring. `mesh_error` has the same for meshes of any topology.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.face.head import Head
from esarm_env.metrics.inputs import difference_of
from esarm_env.metrics.reduction import reduced_displacements
from esarm_env.metrics.region import region_of
from esarm_env.metrics.variant import Variant

_FROM_MM = {"mm": 1.0, "m": 1e-3}


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
    """Return how far a region of the face is from the truth, per utterance.

    Per frame the maximum or mean over the region's vertices of the distance to the power, then the
    mean over frames. The defaults are FaceFormer's LVE; `PRESETS` names those of other papers.

    Args:
        predicted: Coefficients, shape (T, 52) or (B, T, 52), alphabetical order.
        target: The truth, same shape.
        head: Whose vertices are compared.
        region: "lips", "upper" (eyes and forehead), "all" or any of the head's regions.
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
    """Return several variants at once: distances are computed once per region and centring.

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
    errors: dict[Variant, npt.NDArray[np.float64]] = {}
    for name, centre in dict.fromkeys((v.region, v.centre) for v in wanted):
        group = [v for v in wanted if (v.region, v.centre) == (name, centre)]
        kinds = dict.fromkeys((v.reduce, v.power) for v in group)
        region = region_of(head, name, centred=centre == "lips")
        found = reduced_displacements(difference, region, list(kinds))
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
