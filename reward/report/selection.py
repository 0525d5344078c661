"""Best-of-n: what a scorer's favourite among n samples of a policy is really worth."""

from __future__ import annotations

import numpy as np

from esarm_env.types import FloatArray
from reward.report.resampling import DoubleArray


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
