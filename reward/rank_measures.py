"""Ranking loss, pair accuracy, rank correlations and ensemble agreement.

The loss is the paper's Eq. 1. Correlations are taken within each utterance, many at once; that of
an ensemble's members tells where the reward is guessing.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray


def ranking_loss(scores: Tensor, noise: Tensor) -> Tensor:
    """Return the cross-entropy of ranking all pairs within each group by less noise.

    Bradley-Terry over the difference of two scores (paper Eq. 1; Brown et al. 2019, T-REX): of two
    animations of the same utterance, the one made with less noise is the better. Pairs with equal
    noise have no order and are left out.

    Args:
        scores: Shape (B, M), M animations of each of B utterances.
        noise: Shape (B, M), their noise levels.

    Returns:
        The mean over all ordered pairs, a scalar.

    Raises:
        ValueError: If the shapes differ or no pair has an order.
    """
    if scores.shape != noise.shape:
        shapes = f"{tuple(scores.shape)} and {tuple(noise.shape)}"
        raise ValueError(f"`scores` and `noise` must have one shape, got {shapes}")
    better = noise[:, :, None] < noise[:, None, :]  # (B, M, M): row is better than column
    if not better.any():
        raise ValueError("`noise` must hold at least two levels per utterance, got equal ones only")
    margin = scores[:, :, None] - scores[:, None, :]
    return functional.softplus(-margin[better]).mean()


def pair_accuracy(
    scores: FloatArray, noise: FloatArray, utterances: IntArray, *, min_gap: float = 0.0
) -> FloatArray:
    """Return, per utterance, the share of its ordered pairs that `scores` rank by less noise.

    Args:
        scores: Shape (N,).
        noise: Shape (N,).
        utterances: Shape (N,), only pairs within one utterance count.
        min_gap: Pairs whose noise differs by less are left out; pairs of equal noise always are.

    Returns:
        Shape (n_utterances_with_pairs,), a tie counting one half.
    """
    shares = []
    for utterance in np.unique(utterances):
        mine = utterances == utterance
        gap = noise[mine][None, :] - noise[mine][:, None]  # row better than column if positive
        counted = (gap > 0) & (gap >= min_gap - 1e-6)
        margin = (scores[mine][:, None] - scores[mine][None, :])[counted]
        if len(margin):
            shares.append(np.mean((margin > 0) + 0.5 * (margin == 0)))
    return np.array(shares, dtype=np.float32)


def spearman_rho(
    a: FloatArray | DoubleArray, b: FloatArray | DoubleArray, *, undefined: float = float("nan")
) -> DoubleArray:
    """Return Spearman's rho of each row: Pearson's correlation of the ranks, ties sharing theirs.

    Args:
        a: Shape (U, K).
        b: Shape (U, K).
        undefined: What stands for rows in which all are equal, or one is nan: nan leaves them out
            of a mean that looks, 0 counts a score that cannot tell as one that knows nothing.

    Returns:
        Shape (U,), in [-1, 1] or `undefined`.

    Raises:
        ValueError: If the shapes differ.
    """
    _check(a, b)
    ranks = [_ranks(x) for x in (a, b)]
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    below = np.sqrt(np.square(centred[0]).sum(1) * np.square(centred[1]).sum(1))
    rho = _divided((centred[0] * centred[1]).sum(1), below, a, b)
    return np.where(np.isnan(rho), undefined, rho)


def kendall_tau_b(a: FloatArray | DoubleArray, b: FloatArray | DoubleArray) -> DoubleArray:
    """Return Kendall's tau-b of each row (Kendall 1945).

    `(concordant - discordant) / sqrt(pairs untied in a * pairs untied in b)`.

    Args:
        a: Shape (U, K).
        b: Shape (U, K).

    Returns:
        Shape (U,), in [-1, 1]; nan where all of a row are equal, or one is nan.

    Raises:
        ValueError: If the shapes differ.
    """
    _check(a, b)
    first, second = np.triu_indices(a.shape[1], 1)
    signs = [np.sign(x[:, first].astype(np.float64) - x[:, second]) for x in (a, b)]  # (U, pairs)
    below = np.sqrt(np.abs(signs[0]).sum(1) * np.abs(signs[1]).sum(1))
    return _divided((signs[0] * signs[1]).sum(1), below, a, b)


def _ranks(values: FloatArray | DoubleArray) -> DoubleArray:
    """Return the ranks of each row (U, K) from 1 up, ties sharing the mean of theirs.

    As `scipy.stats.rankdata` does; that package takes longer to import than this one.
    """
    ranks = np.empty(values.shape)
    for row, found in zip(values, ranks, strict=True):
        _, place, counts = np.unique(row, return_inverse=True, return_counts=True)
        found[:] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _check(a: FloatArray | DoubleArray, b: FloatArray | DoubleArray) -> None:
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"`a` and `b` must have one shape (U, K), got {a.shape} and {b.shape}")


def _divided(
    above: DoubleArray,
    below: DoubleArray,
    a: FloatArray | DoubleArray,
    b: FloatArray | DoubleArray,
) -> DoubleArray:
    unknown = np.isnan(a).any(1) | np.isnan(b).any(1) | ~(below > 0)
    result: DoubleArray = np.where(unknown, np.nan, above / np.where(unknown, 1, below))
    return result


def rank_agreement(members: FloatArray) -> DoubleArray:
    """Return the mean of Spearman's rho over all pairs of members, utterance by utterance.

    Args:
        members: Shape (M, U, K), the scores that M members give to K animations of U utterances.

    Returns:
        Shape (U,); nan where no pair of members has an order to compare.

    Raises:
        ValueError: If there are less than two members.
    """
    if members.ndim != 3 or len(members) < 2:
        raise ValueError(f"`members` must have shape (M > 1, U, K), got {members.shape}")
    pairs = np.stack([spearman_rho(a, b) for a, b in combinations(members, 2)])  # (pairs, U)
    known = ~np.isnan(pairs)
    count = known.sum(0)
    total = np.where(known, pairs, 0).sum(0)
    mean: DoubleArray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def member_spread(members: FloatArray) -> DoubleArray:
    """Return the deviation of the members' scores (M, N) for each animation, shape (N,)."""
    spread: DoubleArray = members.astype(np.float64).std(axis=0)
    return spread
