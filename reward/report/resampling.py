"""Intervals of means, ratios and anything else that is made of sums over utterances.

Whole utterances are drawn with replacement (Efron 1979), since what belongs to one goes together;
the same draws serve all figures, so that differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray

DoubleArray = npt.NDArray[np.float64]
# Mean, low and high end of its interval; nan where nothing is known.
Triple = tuple[float, float, float]
UNKNOWN: Triple = (float("nan"), float("nan"), float("nan"))


class Resampler:
    """Percentile intervals over U utterances."""

    def __init__(
        self, n_utterances: int, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> None:
        """Draw the resamples.

        Raises:
            ValueError: If there is no utterance, no resample, or the confidence is not in (0, 1).
        """
        if n_utterances < 1 or resamples < 1 or not 0 < confidence < 1:
            got = f"{n_utterances}, {resamples} and {confidence}"
            raise ValueError(
                "`n_utterances` and `resamples` must be at least 1, `confidence` in (0, 1), "
                f"got {got}"
            )
        chances = np.full(n_utterances, 1 / n_utterances)
        rng = np.random.default_rng(seed)
        self._times = rng.multinomial(n_utterances, chances, size=resamples)  # (R, U)
        self._tail = (1 - confidence) / 2

    def mean(self, values: FloatArray | DoubleArray, utterance: IntArray) -> Triple:
        """Return the mean of `values` (N,), of the utterances `utterance` (N,); nan is left out."""
        known = ~np.isnan(values)
        return self.ratio(np.where(known, values, 0), known.astype(np.float64), utterance)

    def ratio(
        self,
        above: FloatArray | DoubleArray,
        below: FloatArray | DoubleArray,
        utterance: IntArray,
    ) -> Triple:
        """Return the sum of `above` over that of `below`, each (N,)."""

        def divided(sums: DoubleArray) -> DoubleArray:
            zero = sums[..., 1] == 0
            whole: DoubleArray = np.where(
                zero, np.nan, sums[..., 0] / np.where(zero, 1, sums[..., 1])
            )
            return whole

        values = np.stack([above, below], axis=1).astype(np.float64)
        return self.of_sums(divided, values, utterance)

    def of_sums(
        self,
        figure: Callable[[DoubleArray], DoubleArray],
        values: FloatArray | DoubleArray,
        utterance: IntArray,
    ) -> Triple:
        """Return a figure of sums, with its interval.

        Args:
            figure: Turns sums (..., D) into figures (...).
            values: Shape (N, D), whose sums over all N are asked for.
            utterance: Shape (N,), the utterance of each, 0 to U - 1.
        """
        sums = np.zeros((self._times.shape[1], values.shape[1]))
        np.add.at(sums, utterance, values)
        drawn = figure(self._times @ sums)
        drawn = drawn[~np.isnan(drawn)]  # a resample may miss all that is known
        whole = float(figure(sums.sum(axis=0)))
        if not len(drawn) or np.isnan(whole):
            return UNKNOWN
        low, high = np.quantile(drawn, [self._tail, 1 - self._tail])
        return whole, float(low), float(high)
