"""What noise and damage do: whether errors rise with them, how much, and how often labels hold.

Everything here is arithmetic on figures per seed and utterance, (S, N); nothing is rolled out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.intervals import Interval, Resampler, SeedResampler
from esarm_env.task.episode_metrics import EVE, LVE

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

ERRORS = (LVE, EVE)
BOTH = "both"
# Highest noise level over lowest: what the paper's columns reach, rounded down.
LEAST_RATIO = 3.7

# The paper's Table II, in its own units (it names neither unit nor reduction), and its row of the
# improved policy in Table I.
PAPER: dict[str, dict[str, dict[float, float]]] = {
    "RAVDESS": {
        LVE: {0.02: 3.18, 0.25: 4.45, 0.5: 6.59, 0.75: 10.79, 1.0: 13.94},
        EVE: {0.02: 3.67, 0.25: 4.39, 0.5: 6.30, 0.75: 10.35, 1.0: 13.71},
    },
    "MEAD": {
        LVE: {0.02: 3.04, 0.25: 5.41, 0.5: 7.72, 0.75: 11.01, 1.0: 14.01},
        EVE: {0.02: 3.17, 0.25: 5.62, 0.5: 7.91, 0.75: 11.32, 1.0: 14.20},
    },
}
PAPER_IMPROVED = {"RAVDESS": {LVE: 2.891, EVE: 2.587}, "MEAD": {LVE: 2.982, EVE: 2.485}}


class Spread:
    """Intervals over seeds and utterances; over utterances alone where there is one seed."""

    def __init__(
        self, n_seeds: int, n_utterances: int, *, resamples: int, confidence: float
    ) -> None:
        """Draw the resamples, the same for every figure."""
        self.n_seeds = n_seeds
        self._groups = np.arange(n_utterances)
        self._several: SeedResampler | None = None
        if n_seeds > 1:
            self._several = SeedResampler(
                n_seeds, n_utterances, resamples=resamples, confidence=confidence
            )
        else:
            self._one = Resampler(n_utterances, resamples=resamples, confidence=confidence)

    def mean(self, values: DoubleArray) -> Interval:
        """Return the mean of `values` (S, N); what is not known is left out."""
        if self._several is not None:
            return self._several.mean(values)
        return self._one.mean(values[0], self._groups)

    def ratio(self, above: DoubleArray, below: DoubleArray) -> Interval:
        """Return the mean of `above` (S, N) over that of `below` (S, N)."""
        if self._several is not None:
            return self._several.ratio(above, below)
        known = np.isfinite(above[0] + below[0])
        over, under = (np.where(known, values[0], 0) for values in (above, below))
        return self._one.ratio(over, under, self._groups)


@dataclass(frozen=True)
class Ladder:
    """One error over rising levels of noise.

    Attributes:
        levels: Ascending, at least 2.
        means: Of each level.
        steps: Paired difference of each level from the one below it.
        ratio: Highest level over the lowest.
    """

    levels: tuple[float, ...]
    means: tuple[Interval, ...]
    steps: tuple[Interval, ...]
    ratio: Interval

    @property
    def monotone(self) -> bool | None:
        """Whether the mean rises at every step; None where the error is not known."""
        means = [mean for mean, _, _ in self.means]
        if np.isnan(means).any():
            return None
        return all(low < high for low, high in pairwise(means))

    @property
    def surely_monotone(self) -> bool | None:
        """Whether the whole interval of every step lies above 0; None where it is not known."""
        return None if self.monotone is None else all(step.low > 0 for step in self.steps)

    @property
    def wide(self) -> bool | None:
        """Whether the ratio reaches `LEAST_RATIO`; None where it is not known."""
        return None if np.isnan(self.ratio.mean) else self.ratio.mean >= LEAST_RATIO


def ladder(values: Mapping[float, DoubleArray], spread: Spread) -> Ladder:
    """Return what an error does over noise levels.

    Args:
        values: Errors by level, (S, N) each.
        spread: Of S seeds and N utterances.

    Raises:
        ValueError: If there are fewer than two levels.
    """
    levels = tuple(sorted(values))
    if len(levels) < 2:
        raise ValueError(f"`values` must have at least 2 levels, got {list(levels)}")
    return Ladder(
        levels,
        tuple(spread.mean(values[level]) for level in levels),
        tuple(spread.mean(values[high] - values[low]) for low, high in pairwise(levels)),
        spread.ratio(values[levels[-1]], values[levels[0]]),
    )


# Errors of one level by name, (S, N, R) each, R roll-outs.
Errors = Mapping[str, "DoubleArray"]


def votes(better: Errors, worse: Errors) -> dict[str, DoubleArray]:
    """Return how often an error confirms that `better` is better, of all pairs of roll-outs.

    Args:
        better: Errors (S, N, R) of the animations that are labelled better.
        worse: Errors (S, N, Q) of the others, of the same utterances.

    Returns:
        `lve`, `eve` and `both`, the smaller of the two votes, shape (S, N); a tie counts one half,
        and what is not known is nan.
    """
    each = {name: _pairwise(better[name], worse[name]) for name in ERRORS}
    each[BOTH] = np.minimum(each[LVE], each[EVE])
    return {name: vote.mean(axis=(-2, -1)) for name, vote in each.items()}


def _pairwise(better: DoubleArray, worse: DoubleArray) -> DoubleArray:
    one, other = better[..., :, None], worse[..., None, :]
    vote = (one < other) + 0.5 * (one == other)
    return np.where(np.isnan(one + other), np.nan, vote)


@dataclass(frozen=True)
class LabelCell:
    """How often the labels of two levels are right.

    Attributes:
        kind: `epsilon`, or the family of damage.
        better: Noise level or strength of the animation that is labelled better.
        worse: Of the other one.
        shares: `lve`, `eve` and `both`: share of labels that the error confirms.
    """

    kind: str
    better: float
    worse: float
    shares: dict[str, Interval]


def label_cells(kind: str, levels: Mapping[float, Errors], spread: Spread) -> list[LabelCell]:
    """Return a cell for every pair of levels, by rising level of the better one."""
    return [
        LabelCell(
            kind,
            low,
            high,
            {name: spread.mean(vote) for name, vote in votes(levels[low], levels[high]).items()},
        )
        for low, high in combinations(sorted(levels), 2)
    ]


def paper_column(corpus: str, layout: str) -> str:
    """Return which of the paper's columns a corpus is to be read beside; empty for none.

    Args:
        corpus: `synthetic-mead`, `synthetic-ravdess`, or a folder.
        layout: Of a folder, `auto` where it was told by its files.
    """
    for name in PAPER:
        if corpus == f"synthetic-{name.lower()}" or layout == name.lower():
            return name
    return ""
