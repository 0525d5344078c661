"""Metric suite: all figures of a prediction against the ground truth, computed together.

Vertex errors of one region and centring share their distances. The rest need passes of their own:
FDD sees each side's displacement from rest, jerk and lip speed its differences in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from esarm_env.metrics.closure import (
    CLOSED_MM,
    TOLERANCE_FRAMES,
    bilabial_closures,
    closure_events,
)
from esarm_env.metrics.dynamics import face_dynamics_deviation, jerk
from esarm_env.metrics.mouth import lip_speed, mouth_opening, opening_correlation
from esarm_env.metrics.presets import PRESETS
from esarm_env.metrics.region import UPPER_WITHOUT_LIDS
from esarm_env.metrics.variant import Quantity, Variant
from esarm_env.metrics.vertex_error import vertex_errors

if TYPE_CHECKING:
    from esarm_env.face.head import Head

# What the presets report on lips and upper face, and the upper face without the lids, whose blinks
# nobody can foresee; the whole head costs more than all else together.
STANDARD_VARIANTS = (
    *dict.fromkeys(
        variant for p in PRESETS.values() for variant in p.variants if variant.region != "all"
    ),
    Variant(UPPER_WITHOUT_LIDS),
)

_JERK = "mean over frames and lip vertices of the third derivative's length"
_SPEED = "root mean square over frames of mean lip vertex speed"
_FDD = "mean over eye and forehead vertices of std over frames of squared distance from rest"
_CLOSED = f"mouth opening below {CLOSED_MM:g} mm"

_OTHERS = {
    "fdd": Quantity("FDD", f"{_FDD}, truth minus prediction, signed", "mm²", "zero"),
    "fdd_absolute": Quantity("FDD", f"{_FDD}, absolute per utterance", "mm²", "lower"),
    "jerk_predicted": Quantity("jerk, prediction", _JERK, "mm/s³", "none"),
    "jerk_target": Quantity("jerk, truth", _JERK, "mm/s³", "none"),
    "lip_speed_predicted": Quantity("lip speed, prediction", _SPEED, "mm/s", "none"),
    "lip_speed_target": Quantity("lip speed, truth", _SPEED, "mm/s", "none"),
    "opening_correlation": Quantity(
        "mouth-opening correlation", "Pearson over frames of an utterance", "1", "higher"
    ),
    "closure_event_f1": Quantity(
        "closure-event F1",
        f"runs of {_CLOSED}, matched across gaps of at most {TOLERANCE_FRAMES} frames",
        "1",
        "higher",
    ),
}
_BILABIAL = Quantity("bilabial closure F1", f"{_CLOSED} within each p, b and m", "1", "higher")


def quantities(
    variants: Iterable[Variant] = STANDARD_VARIANTS, *, bilabials: bool = False
) -> dict[str, Quantity]:
    """Return the definition of each key of `measure`, which are the columns of a `table`.

    Args:
        variants: As given to `measure`.
        bilabials: Whether `measure` was given any.
    """
    errors = {variant.key: variant.quantity for variant in variants}
    return {**errors, **_OTHERS, **({"bilabial_closure_f1": _BILABIAL} if bilabials else {})}


def measure(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    variants: Iterable[Variant] = STANDARD_VARIANTS,
    bilabials: Sequence[npt.ArrayLike] | None = None,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return every metric of a prediction against the ground truth, per utterance.

    Args:
        predicted: Coefficients, shape (T, 52) or (B, T, 52), alphabetical order, 30 fps.
        target: The truth, same shape.
        head: Whose vertices are compared; `jawOpen` must part its lips.
        captured: Shape (52,), bool; False channels are at rest on both sides.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        variants: Which vertex errors; by default those the presets report on lips and upper face,
            and the upper face without the lids.
        bilabials: For each utterance the start and end of its p, b and m, shape (n, 2), in seconds;
            adds `bilabial_closure_f1`.

    Returns:
        Shape (B,) for each key of `quantities`; nan where a figure is not defined: too little
        of the region was captured, a curve is flat, an utterance is too short.

    Raises:
        InputError: If shapes do not fit, a region is unknown, the head's lips do not part, or a
            counted coefficient is not finite.
    """
    known: dict[str, Any] = {"head": head, "captured": captured, "lengths": lengths}
    errors = vertex_errors(predicted, target, variants=variants, **known)
    figures = {variant.key: values for variant, values in errors.items()}
    figures["fdd"] = face_dynamics_deviation(predicted, target, **known)
    figures["fdd_absolute"] = np.abs(figures["fdd"])
    for name, speed_or_jerk in (("jerk", jerk), ("lip_speed", lip_speed)):
        figures[f"{name}_predicted"] = speed_or_jerk(predicted, **known)
        figures[f"{name}_target"] = speed_or_jerk(target, **known)
    ours, truth = (mouth_opening(m, head=head, captured=captured) for m in (predicted, target))
    figures["opening_correlation"] = opening_correlation(ours, truth, lengths=lengths)
    return {**figures, **_closure_f1(ours, truth, lengths=lengths, bilabials=bilabials)}


def _closure_f1(
    predicted_mm: npt.NDArray[np.float64],
    target_mm: npt.NDArray[np.float64],
    *,
    lengths: npt.ArrayLike | None,
    bilabials: Sequence[npt.ArrayLike] | None,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return F1 per utterance of closures; nan where the opening was not captured."""
    keys = ["closure_event_f1", *(["bilabial_closure_f1"] if bilabials is not None else [])]
    if np.all(np.isnan(target_mm)):
        batch = len(target_mm) if target_mm.ndim == 2 else 1
        return {key: np.full(batch, np.nan) for key in keys}
    figures = {keys[0]: closure_events(predicted_mm, target_mm, lengths=lengths).f1}
    if bilabials is not None:
        counts = bilabial_closures(predicted_mm, target_mm, intervals=bilabials, lengths=lengths)
        figures[keys[1]] = counts.f1
    return figures
