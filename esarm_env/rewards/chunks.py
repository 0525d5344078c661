"""Scores by chunk: what a reward says of them, checked, and their weighted sum over terms.

Shape letters: N trajectories, C chunks, S columns (streams of the tokenizer, or the whole face).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import WHOLE_FACE
from esarm_env.rewards.validation import TOLERANCE, Ids, RewardError, as_array, listed

if TYPE_CHECKING:
    from esarm_env.core.types import (
        ChunkedReward,
        DoubleArray,
        FloatArray,
        IntArray,
        RewardFunction,
        Trajectories,
    )


def chunk_streams_of(function: RewardFunction) -> tuple[str, ...]:
    """Return the columns of a reward's scores by chunk; empty where it cannot tell chunks apart."""
    return tuple(getattr(function, "chunk_streams", ()))


def checked_chunks(
    name: str, function: ChunkedReward, trajectories: Trajectories, scores: FloatArray, ids: Ids
) -> FloatArray:
    """Return what `function` makes of each chunk, shape (N, C, S), float32.

    Args:
        name: What messages call the reward.
        function: May return anything numpy reads as numbers, also a tensor.
        trajectories: At least one.
        scores: Shape (N,), what it scores them with.
        ids: Returns the utterance's id per trajectory.

    Raises:
        RewardError: If they are not finite numbers of that shape, or do not add up to `scores`.
    """
    chunks = read_chunks(name, function, trajectories, ids)
    total = chunks.sum(axis=(1, 2), dtype=np.float64)
    off = np.abs(total - scores)
    if (off > TOLERANCE * (1 + np.abs(scores))).any():
        row = int(off.argmax())
        raise RewardError(
            f"the chunks of reward {name!r} must add up to its score {scores[row]}, "
            f"got {total[row]} for {ids()[row]!r}"
        )
    return chunks.astype(np.float32)


def read_chunks(
    name: str, function: ChunkedReward, trajectories: Trajectories, ids: Ids
) -> np.ndarray:
    """Return what `function` makes of each chunk, (N, C, S), whatever its score is.

    Arguments as of `checked_chunks`.

    Raises:
        RewardError: If they are not finite numbers of that shape.
    """
    columns = chunk_streams_of(function)
    chunks = as_array(function.score_chunks(trajectories))
    n = len(trajectories)
    if chunks.ndim != 3 or chunks.shape[0] != n or chunks.shape[2] != len(columns):
        raise RewardError(
            f"the chunks of reward {name!r} must have shape ({n}, chunks, {len(columns)}), one "
            f"column for each of {columns}, got {chunks.shape} for {listed(ids())}"
        )
    if chunks.dtype.kind not in "iuf":
        raise RewardError(
            f"the chunks of reward {name!r} must be numbers, got {chunks.dtype} for {listed(ids())}"
        )
    total = chunks.sum(axis=(1, 2), dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(total))
    if len(bad):
        raise RewardError(
            f"the chunks of reward {name!r} must be finite, got {total[bad[0]]} in all for "
            f"{ids()[bad[0]]!r}"
        )
    return chunks


@dataclass(frozen=True)
class WeightedScores:
    """What one term of a sum says of a batch.

    Attributes:
        weight: Of the term.
        columns: Of `chunks`; empty where the term cannot tell chunks apart.
        values: Shape (N, C, S) with `columns`, else scores of whole animations, (N,).
    """

    weight: float
    columns: tuple[str, ...]
    values: FloatArray


def columns_of_sum(told: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the columns of a sum of terms with these columns; empty if no term has any."""
    if not any(told):
        return ()
    return tuple(dict.fromkeys(name for each in told for name in each or (WHOLE_FACE,)))


def sum_of_chunks(
    terms: Sequence[WeightedScores], columns: tuple[str, ...], lengths: IntArray
) -> FloatArray:
    """Return the weighted sum of terms by chunk, (N, C, S), float32.

    What a term says of whole animations alone is earned with their last chunk, by the whole face.

    Args:
        terms: At least one of them tells chunks apart.
        columns: Of the sum, as of `columns_of_sum`.
        lengths: Shape (N,), tokens of each trajectory.

    Raises:
        RewardError: If two terms tell of other numbers of chunks.
    """
    counts = {term.values.shape[1] for term in terms if term.columns}
    if len(counts) != 1:
        raise RewardError(
            f"the terms of a reward must tell of as many chunks, got {sorted(counts)}; the second "
            "axis of `score_chunks` is that of the longest trajectory"
        )
    (n_chunks,) = counts
    total: DoubleArray = np.zeros((len(lengths), n_chunks, len(columns)))
    # The longest has all chunks, and a chunk has as many tokens everywhere.
    ends = lengths * n_chunks // max(1, int(lengths.max(initial=0))) - 1
    for term in terms:
        if term.columns:
            places = [columns.index(name) for name in term.columns]
            total[:, :, places] += term.weight * term.values.astype(np.float64)
        else:
            rows = np.arange(len(lengths))
            total[rows, ends, columns.index(WHOLE_FACE)] += term.weight * term.values
    return total.astype(np.float32)
