"""Intervals for means over utterances; the utterance is the unit that is resampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return for instance `2.31 [2.20, 2.43]`."""
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap_mean(
    values: FloatArray, *, resamples: int, confidence: float, seed: int = 0
) -> Interval:
    """Return the mean of `values` with its percentile bootstrap interval (Efron 1979).

    For a paired comparison pass the differences, which keeps each utterance's difficulty out.

    Args:
        values: Shape (N,), one figure per utterance.
        resamples: Bootstrap resamples.
        confidence: For instance 0.95.
        seed: Of the resampling; the same seed resamples all rows of a table alike.
    """
    if len(values) == 0:
        raise ValueError("`values` must hold at least one figure, got none")
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(values), size=(resamples, len(values)))
    means = np.asarray(values, dtype=np.float64)[rows].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(np.mean(values)), float(low), float(high))
