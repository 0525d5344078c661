"""Scorer protocol of the report, and best-of-n selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.task.episode_metrics import STREAM_OF_ERROR

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask


class MotionScorer(Protocol):
    """A reward that judges motion, whether it came out of tokens or not.

    It may also have `score_motion_streams(utterances, motions) -> {"mouth": (N,), "upper": (N,)}`,
    which add up to the score, and `score_members(trajectories) -> (M, N)` if it is an ensemble;
    nothing else is asked for.
    """

    def score_motion(self, utterances: IntArray, motions: list[FloatArray]) -> FloatArray:
        """Return scores (N,) of `motions`, each (T_i, 52), under the recorded condition."""


def score_columns(
    name: str,
    scorer: MotionScorer,
    task: AnimationTask,
    *,
    utterances: IntArray,
    motions: list[FloatArray],
) -> dict[str, FloatArray]:
    """Return a scorer's columns of a table of scores, each (N,).

    Args:
        name: Of the column of total scores.
        scorer: Whom to ask.
        task: Tells the utterances' ids to messages.
        utterances: Shape (N,).
        motions: N times (T_i, 52).

    Returns:
        `NAME`, and `NAME:mouth` and `NAME:upper` where it has heads of its own.

    Raises:
        InputError: If a score is not finite, naming the utterance.
    """
    streams = getattr(scorer, "score_motion_streams", None)
    if not getattr(scorer, "streams", True):
        streams = None
    if streams is None:
        columns = {name: scorer.score_motion(utterances, motions)}
    else:
        parts: dict[str, FloatArray] = streams(utterances, motions)
        columns = {name: np.sum(list(parts.values()), axis=0)}
        columns |= {f"{name}:{stream}": part for stream, part in parts.items()}
    for column, scores in columns.items():
        check_scores(scores, task.ids_of(utterances), name=column)
    return columns


def check_scores(scores: FloatArray, ids: Sequence[str], *, name: str) -> None:
    """Refuse scores that cannot be ranked.

    Args:
        scores: Shape (N,).
        ids: Of each one's utterance.
        name: Of whoever gave them.

    Raises:
        InputError: If one is not finite, naming its utterance.
    """
    if scores.shape != (len(ids),):
        raise InputError(f"scores of `{name}` must have shape ({len(ids)},), got {scores.shape}")
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise InputError(
            f"scores of `{name}` must be finite, got {scores[bad[0]]} for the utterance "
            f"{ids[bad[0]]!r} ({len(bad)} of {len(ids)} animations); train the reward model anew"
        )


def column_for(error: str, name: str, columns: dict[str, FloatArray]) -> str:
    """Return the column of a scorer's own head for an error, or of its total if it has none."""
    head = f"{name}:{STREAM_OF_ERROR[error]}"
    return head if head in columns else name


def best_of_n(
    scores: FloatArray | DoubleArray, values: FloatArray | DoubleArray, *, n: int
) -> DoubleArray:
    """Return the mean value of the best scored of `n` samples, over all choices of n out of K.

    Averaging over choices, and not taking the first n, leaves the mean as it is and takes most of
    the scatter away. The r-th lowest score of K wins in C(r - 1, n - 1) of C(K, n) choices.

    Args:
        scores: Shape (U, K), of K samples of each utterance. Of equal ones the later counts as
            better.
        values: Shape (U, K), what is averaged, for instance true errors.
        n: 1 to K.

    Returns:
        Shape (U,).

    Raises:
        ValueError: If the shapes differ or `n` is out of range.
    """
    from scipy.special import comb

    if scores.shape != values.shape or scores.ndim != 2:
        shapes = f"{scores.shape} and {values.shape}"
        raise ValueError(f"`scores` and `values` must have one shape (U, K), got {shapes}")
    k = scores.shape[1]
    if not 1 <= n <= k:
        raise ValueError(f"`n` must be 1 to {k}, the number of samples, got {n}")
    order = np.argsort(scores, axis=1, kind="stable")  # worst first
    chance = comb(np.arange(k), n - 1) / comb(k, n)  # (K,)
    ordered = np.take_along_axis(values, order, axis=1).astype(np.float64)
    # A sample that no choice makes the best does not count, nor does its value, nan perhaps.
    mean: DoubleArray = ordered[:, chance > 0] @ chance[chance > 0]
    return mean
