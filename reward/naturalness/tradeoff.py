"""Trade-off between the two heads: what is chosen as naturalness weighs more, and how it moves.

Of several animations of an utterance the best by `expected error + weight * naturalness` are kept.
The errors of the kept ones rise with the weight, and their dynamics come nearer to people's: the
curve says at what price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.liveliness.blinks import find_blinks
from esarm_env.metrics import (
    closure_events,
    diversity,
    face_dynamics_deviation,
    jerk,
    lip_speed,
    mouth_opening,
)

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask

WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0)
_S_PER_MIN = 60.0
_REGION = "lips"  # diversity of the whole head takes long


@dataclass(frozen=True)
class TradeOff:
    """One point of the curve.

    Attributes:
        weight: Of naturalness.
        figures: Means over utterances: `lve` and `eve` in mm, `fdd_absolute` in mm²,
            `lip_speed` in mm/s, `jerk` in mm/s³, `closure_f1`, `blinks_per_min`, and `diversity`
            in mm of the lips among the kept ones (nan where one is kept). What the corpus did not
            capture is nan.
    """

    weight: float
    figures: dict[str, float]


def trade_off(
    task: AnimationTask,
    utterances: IntArray,
    motions: FloatArray,
    *,
    expected_error: FloatArray,
    naturalness: FloatArray,
    weights: Sequence[float] = WEIGHTS,
    keep: int = 2,
) -> list[TradeOff]:
    """Return a point for each of `weights`, in their order.

    Args:
        task: Gives recordings, head and what was captured.
        utterances: Shape (N,).
        motions: K animations of each, shape (K, N, T, 52), as `task.decode` gives them.
        expected_error: Their scores by the head of that name, shape (K, N).
        naturalness: Likewise.
        weights: Of naturalness, beside 1 for the other.
        keep: Of the K, the best that are looked at, at least 1.

    Raises:
        InputError: If shapes do not fit, or `keep` is not in 1..K.
    """
    shape = motions.shape[:2]
    if expected_error.shape != shape or naturalness.shape != shape or shape[1] != len(utterances):
        raise InputError(
            "`motions` and both scores must have shape (K, N) for N utterances, got "
            f"{shape}, {expected_error.shape} and {naturalness.shape} for {len(utterances)}"
        )
    if not 1 <= keep <= len(motions):
        raise InputError(f"`keep` must be in 1..{len(motions)}, got {keep}")
    columns, points = np.arange(len(utterances)), []
    for weight in weights:
        total = expected_error.astype(np.float64) + weight * naturalness
        best = np.argsort(-total, axis=0, kind="stable")[:keep]  # (keep, N)
        points.append(TradeOff(weight, dynamics(task, utterances, motions[best, columns])))
    return points


def dynamics(task: AnimationTask, utterances: IntArray, motions: FloatArray) -> dict[str, float]:
    """Return the figures of `TradeOff` of K animations (K, N, T, 52) of each of `utterances`.

    Of recordings, `task.target_motion(utterances)[None]`, they are what one wants to come near.
    """
    target = task.target_motion(utterances)
    motions = motions[:, :, : target.shape[1]]
    rows = [_figures(task, utterances, motion, target) for motion in motions]
    figures = {name: _mean([row[name] for row in rows]) for name in rows[0]}
    varied: Any = np.nan
    if len(motions) > 1:
        known = _known(task, utterances)
        varied = diversity(np.moveaxis(motions, 0, 1), region=_REGION, **known)
    return figures | {"diversity": _mean(varied)}


def _figures(
    task: AnimationTask, utterances: IntArray, motion: FloatArray, target: FloatArray
) -> dict[str, Any]:
    known = _known(task, utterances)
    face = {"head": known["head"], "captured": known["captured"]}
    ours, truth = (mouth_opening(each, **face) for each in (motion, target))
    lengths = known["lengths"]
    blinks = [len(find_blinks(each[:n])) for each, n in zip(motion, lengths, strict=True)]
    return {
        **task.errors_of_motion(motion, utterances),
        "fdd_absolute": face_dynamics_deviation(motion, target, absolute=True, **known),
        "lip_speed": lip_speed(motion, **known),
        "jerk": jerk(motion, **known),
        "closure_f1": np.nan
        if np.isnan(truth).all()
        else closure_events(ours, truth, lengths=lengths).f1,
        "blinks_per_min": _S_PER_MIN * FRAME_RATE_HZ * sum(blinks) / lengths.sum(),
    }


def _known(task: AnimationTask, utterances: IntArray) -> dict[str, Any]:
    return {
        "head": task.head,
        "captured": task.corpus.captured,
        "lengths": task.n_frames[utterances],
    }


def _mean(values: Any) -> float:
    """Return the mean of what is known; nan where nothing is."""
    array = np.asarray(values, dtype=np.float64)
    known = array[np.isfinite(array)]
    return float(known.mean()) if len(known) else float("nan")
