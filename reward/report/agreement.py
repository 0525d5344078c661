"""How far the members of an ensemble agree: where they do not, the reward is guessing."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from esarm_env.types import FloatArray
from reward.report.correlation import spearman_rho
from reward.report.resampling import DoubleArray


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
