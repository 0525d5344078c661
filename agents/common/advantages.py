"""Advantages of whole episodes whose reward comes at the end."""

from __future__ import annotations

import numpy as np

from agents.common.protocols import FloatArray, IntArray


def terminal_gae(
    scores: FloatArray,
    values: FloatArray,
    lengths: IntArray,
    *,
    gamma: float = 1.0,
    gae_lambda: float = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """Return generalised advantages and returns (Schulman et al. 2016, arXiv:1506.02438).

    The reward is 0 before the last token and `scores` there; nothing is bootstrapped, because
    episodes end for good. With `gae_lambda` below 1 the first token of a long utterance hears
    almost nothing of the score (0.95 leaves 0.6 % after 100 tokens), hence the default of 1.

    Args:
        scores: Shape (N,), terminal reward of each episode.
        values: Shape (N, L), value estimate before each token.
        lengths: Shape (N,).
        gamma: Discount, in [0, 1].
        gae_lambda: Bias-variance trade-off, in [0, 1].

    Returns:
        Advantages and returns (advantage + value), each (N, L), 0 in padding.

    Raises:
        ValueError: If `gamma` or `gae_lambda` is outside [0, 1].
    """
    for name, value in (("gamma", gamma), ("gae_lambda", gae_lambda)):
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be in [0, 1], got {value}")
    n, width = values.shape
    advantages = np.zeros((n, width + 1), dtype=np.float64)
    following = np.concatenate([values, np.zeros((n, 1))], axis=1)
    for t in reversed(range(width)):
        is_last = t == lengths - 1
        reward = np.where(is_last, scores, 0.0)
        bootstrap = np.where(is_last, 0.0, following[:, t + 1])
        delta = reward + gamma * bootstrap - values[:, t]
        carried = np.where(is_last, 0.0, advantages[:, t + 1])
        advantages[:, t] = np.where(t < lengths, delta + gamma * gae_lambda * carried, 0.0)
    inside = np.arange(width) < lengths[:, None]
    advantages = advantages[:, :-1].astype(np.float32)
    return advantages, np.where(inside, advantages + values, 0).astype(np.float32)


def leave_one_out(scores: FloatArray, groups: IntArray) -> FloatArray:
    """Return each score minus the mean of the others in its group (RLOO; Kool et al. 2019).

    Args:
        scores: Shape (N,).
        groups: Shape (N,), the utterance each belongs to; every group needs two or more.

    Raises:
        ValueError: If a group has one member only.
    """
    _, member_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if sizes.min(initial=2) < 2:
        raise ValueError(
            f"`groups` must have at least 2 samples per utterance, got {sizes.min()}; "
            "raise `samples_per_utterance`"
        )
    totals = np.bincount(member_of, weights=scores)
    n_others = sizes[member_of] - 1
    return (scores - (totals[member_of] - scores) / n_others).astype(np.float32)
