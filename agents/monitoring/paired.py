"""How far something changed, utterance by utterance: a paired bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agents.common.checks import check_counts

RESAMPLES = 2000

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A mean change over utterances with its bootstrap interval; nan where none can be told."""

    mean: float
    low: float
    high: float

    @property
    def rose(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    def __str__(self) -> str:
        """Return for instance `+0.31 [+0.20, +0.43]`."""
        return f"{self.mean:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"


def paired_change(
    before: DoubleArray,
    after: DoubleArray,
    *,
    confidence: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Change:
    """Return the mean of `after - before` with its percentile bootstrap interval (Efron 1979).

    Pairs of which one is not finite are left out; with fewer than two left, all is nan.

    Args:
        before: Shape (N,), one figure per utterance.
        after: The same utterances in the same order.
        confidence: Above 0 and below 1, for instance 0.95.
        resamples: Bootstrap resamples, at least 1.
        seed: Of the resampling: equal input gives equal intervals.

    Raises:
        ValueError: If the shapes differ or an argument is out of range.
    """
    if before.shape != after.shape or before.ndim != 1:
        shapes = f"{before.shape} and {after.shape}"
        raise ValueError(f"`before` and `after` must have one shape (N,), got {shapes}")
    check_confidence(confidence)
    check_counts(resamples=resamples)
    changes = after.astype(np.float64) - before
    changes = changes[np.isfinite(changes)]
    if len(changes) < 2:
        return Change(np.nan, np.nan, np.nan)
    rows = np.random.default_rng(seed).integers(0, len(changes), size=(resamples, len(changes)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(changes[rows].mean(axis=1), [tail, 1 - tail])
    return Change(float(changes.mean()), float(low), float(high))


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is none.

    Raises:
        ValueError: If it is not above 0 and below 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be above 0 and below 1, got {confidence}")
