"""Shares with intervals: the utterance is what is resampled, since its pairs go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray

DoubleArray = npt.NDArray[np.float64]
# Share, low and high end of its interval; nan where nothing is known.
Share = tuple[float, float, float]
_UNKNOWN: Share = (float("nan"), float("nan"), float("nan"))


class ClusterBootstrap:
    """Percentile intervals of ratios, whole clusters drawn with replacement (Efron 1979).

    The same draws serve all figures of a table.
    """

    def __init__(
        self, n_clusters: int, *, resamples: int, confidence: float, seed: int = 0
    ) -> None:
        """Draw the resamples.

        Raises:
            ValueError: If there is no cluster, no resample, or the confidence is not in (0, 1).
        """
        if n_clusters < 1 or resamples < 1 or not 0 < confidence < 1:
            got = f"{n_clusters}, {resamples} and {confidence}"
            raise ValueError(
                "`n_clusters` and `resamples` must be at least 1, `confidence` in (0, 1), "
                f"got {got}"
            )
        rng = np.random.default_rng(seed)
        chances = np.full(n_clusters, 1 / n_clusters)
        self._times = rng.multinomial(n_clusters, chances, size=resamples)  # (R, clusters)
        self._tail = (1 - confidence) / 2

    def share(self, votes: FloatArray | DoubleArray, clusters: IntArray) -> Share:
        """Return the mean of `votes` (P,) with its interval; those that are nan are left out.

        Args:
            votes: For instance 1 for yes, 0 for no, 0.5 for a tie.
            clusters: Shape (P,), the cluster of each, 0 to `n_clusters - 1`.
        """
        known = ~np.isnan(votes)
        if not known.any():
            return _UNKNOWN
        n = self._times.shape[1]
        total = np.bincount(clusters[known], weights=votes[known], minlength=n)
        count = np.bincount(clusters[known], minlength=n)
        counts = self._times @ count
        drawn = counts > 0  # a resample may miss every cluster that has votes
        means = (self._times @ total)[drawn] / counts[drawn]
        low, high = np.quantile(means, [self._tail, 1 - self._tail])
        return float(total.sum() / count.sum()), float(low), float(high)
