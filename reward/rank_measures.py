"""The pairwise ranking loss of the paper's Eq. 1, and how often a score ranks pairs right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray


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


def rank_correlation(scores: FloatArray, targets: FloatArray) -> FloatArray:
    """Return Spearman's rank correlation within each row; ties get their mean rank.

    Args:
        scores: Shape (N, K), K animations of each of N utterances.
        targets: Shape (N, K).

    Returns:
        Shape (N,), 0 where all scores or all targets of a row are equal.
    """
    from scipy.stats import rankdata

    first, second = (rankdata(values, axis=1) for values in (scores, targets))
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(first).sum(axis=1) * np.square(second).sum(axis=1))
    product = (first * second).sum(axis=1)
    found = np.divide(product, size, out=np.zeros_like(product), where=size > 0)
    return np.asarray(found, dtype=np.float32)
