"""Bootstrap intervals (percentile method, Efron 1979) of everything that is reported.

| figure | function | what is drawn with replacement |
|---|---|---|
| a mean of one figure per utterance | `bootstrap_mean` | utterances |
| a change of that mean | `paired_change` | utterances, each with its own difference |
| means, ratios, functions of sums over groups | `Resampler` | groups (utterances) as wholes |
| any other figure: its standard error | `bootstrap_error` | rows |
| figures of several seeds of training | `SeedResampler` | seeds, and utterances for all of them |

The first two draw row numbers, `Resampler` how often each group comes (the same distribution in
less memory): printed figures rest on those draws, so the ways of drawing stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray

RESAMPLES = 2000


class Interval(NamedTuple):
    """A figure with its bootstrap interval; nan where nothing is known."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return for instance `2.31 [2.20, 2.43]`."""
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


class Change(Interval):
    """A mean difference with its bootstrap interval; nan where none can be told."""

    @property
    def rose(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    def __str__(self) -> str:
        """Return for instance `+0.31 [+0.20, +0.43]`."""
        return f"{self.mean:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"


# An interval, or three numbers that are used as one.
Triple = tuple[float, float, float]
UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


def bootstrap_mean(
    values: FloatArray | DoubleArray, *, resamples: int, confidence: float, seed: int = 0
) -> Interval:
    """Return the mean of `values` with its percentile bootstrap interval.

    Args:
        values: Shape (N,), one figure per utterance.
        resamples: Bootstrap resamples, at least 1.
        confidence: Above 0 and below 1, for instance 0.95.
        seed: Of the resampling; the same seed resamples all rows of a table alike.

    Raises:
        ValueError: If there is no value or an argument is out of range.
    """
    if len(values) == 0:
        raise ValueError("`values` must hold at least one figure, got none")
    _check_resamples(resamples)
    check_confidence(confidence)
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(values), size=(resamples, len(values)))
    means = np.asarray(values, dtype=np.float64)[rows].mean(axis=1)
    return Interval(float(np.mean(values)), *_ends(means, confidence))


def paired_change(
    before: DoubleArray,
    after: DoubleArray,
    *,
    confidence: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Change:
    """Return the mean of `after - before` with its percentile bootstrap interval.

    Resampling differences keeps each utterance's difficulty out. Pairs of which one is not finite
    are left out; with fewer than two left, all is nan.

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
    _check_resamples(resamples)
    changes = after.astype(np.float64) - before
    changes = changes[np.isfinite(changes)]
    if len(changes) < 2:
        return Change(*UNKNOWN)
    return Change(*bootstrap_mean(changes, resamples=resamples, confidence=confidence, seed=seed))


class Resampler:
    """Percentile intervals of figures made of sums over G groups, such as utterances.

    What belongs to one group goes together, so groups are drawn as wholes; the same draws serve all
    figures, so that differences are paired.
    """

    def __init__(
        self, n_groups: int, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
    ) -> None:
        """Draw the resamples.

        Raises:
            ValueError: If there is no group, no resample, or the confidence is not in (0, 1).
        """
        if n_groups < 1 or resamples < 1 or not 0 < confidence < 1:
            got = f"{n_groups}, {resamples} and {confidence}"
            raise ValueError(
                f"`n_groups` and `resamples` must be at least 1, `confidence` in (0, 1), got {got}"
            )
        chances = np.full(n_groups, 1 / n_groups)
        rng = np.random.default_rng(seed)
        self._times = rng.multinomial(n_groups, chances, size=resamples)  # (R, G)
        self._confidence = confidence

    def mean(self, values: FloatArray | DoubleArray, group: IntArray) -> Interval:
        """Return the mean of `values` (N,), of the groups `group` (N,); nan is left out."""
        known = ~np.isnan(values)
        return self.ratio(np.where(known, values, 0), known.astype(np.float64), group)

    def ratio(
        self, above: FloatArray | DoubleArray, below: FloatArray | DoubleArray, group: IntArray
    ) -> Interval:
        """Return the sum of `above` over that of `below`, each (N,)."""

        def divided(sums: DoubleArray) -> DoubleArray:
            zero = sums[..., 1] == 0
            whole: DoubleArray = np.where(
                zero, np.nan, sums[..., 0] / np.where(zero, 1, sums[..., 1])
            )
            return whole

        values = np.stack([above, below], axis=1).astype(np.float64)
        return self.of_sums(divided, values, group)

    def of_sums(
        self,
        figure: Callable[[DoubleArray], DoubleArray],
        values: FloatArray | DoubleArray,
        group: IntArray,
    ) -> Interval:
        """Return a figure of sums, with its interval.

        Args:
            figure: Turns sums (..., D) into figures (...).
            values: Shape (N, D), whose sums over all N are asked for.
            group: Shape (N,), the group of each, 0 to G - 1.
        """
        sums = np.zeros((self._times.shape[1], values.shape[1]))
        np.add.at(sums, group, values)
        drawn = figure(self._times @ sums)
        drawn = drawn[~np.isnan(drawn)]  # a resample may miss all that is known
        whole = float(figure(sums.sum(axis=0)))
        if not len(drawn) or np.isnan(whole):
            return UNKNOWN
        return Interval(whole, *_ends(drawn, self._confidence))


def bootstrap_error(
    figures: Callable[[IntArray], DoubleArray], n: int, *, resamples: int, rng: np.random.Generator
) -> DoubleArray:
    """Return the bootstrap standard error of figures of `n` rows, shape (F,).

    Args:
        figures: Turns row numbers (n,), some of them repeated, into figures (F,).
        n: Rows.
        resamples: Bootstrap resamples.
        rng: Draws them.
    """
    drawn = [figures(rng.integers(n, size=n)) for _ in range(resamples)]
    return np.asarray(np.std(np.stack(drawn), axis=0))


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is none.

    Raises:
        ValueError: If it is not above 0 and below 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be above 0 and below 1, got {confidence}")


def _check_resamples(resamples: int) -> None:
    if resamples < 1:
        raise ValueError(f"`resamples` must be at least 1, got {resamples}")


def _ends(drawn: DoubleArray, confidence: float) -> tuple[float, float]:
    """Return the ends of the interval that holds a share `confidence` of the draws."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


class SeedResampler:
    """Hierarchical bootstrap of figures of S trainings on the same N utterances.

    Seeds of training are drawn with replacement, and utterances: the latter once for all seeds of a
    resample, since a hard utterance is hard for every one of them. With few seeds the intervals are
    coarse, and too narrow rather than too wide. Interquartile means and the probability of
    improvement are those of Agarwal et al. 2021 (arXiv:2108.13264), with utterances as tasks.
    """

    def __init__(
        self,
        n_seeds: int,
        n_groups: int,
        *,
        resamples: int = RESAMPLES,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> None:
        """Draw the resamples.

        Args:
            n_seeds: S, at least 2.
            n_groups: N utterances, at least 1.
            resamples: At least 1.
            confidence: Above 0 and below 1.
            seed: Of the resampling: equal input gives equal intervals.

        Raises:
            ValueError: If an argument is out of range.
        """
        if n_seeds < 2 or n_groups < 1:
            raise ValueError(
                "`n_seeds` must be at least 2 and `n_groups` at least 1, got "
                f"{n_seeds} and {n_groups}"
            )
        _check_resamples(resamples)
        check_confidence(confidence)
        rng = np.random.default_rng(seed)
        self._shape, self._confidence = (n_seeds, n_groups), confidence
        self._seeds = rng.integers(n_seeds, size=(resamples, n_seeds))
        self._others = rng.integers(n_seeds, size=(resamples, n_seeds))  # of what is compared with
        self._places = rng.random(size=(resamples, n_groups))  # as shares of the utterances known

    def mean(self, values: FloatArray | DoubleArray) -> Interval:
        """Return the mean of `values` (S, N); utterances that are nan in a seed are left out."""
        return self._of(lambda drawn: drawn.mean(axis=1), values)

    def ratio(self, above: FloatArray | DoubleArray, below: FloatArray | DoubleArray) -> Interval:
        """Return the mean of `above` over that of `below`, (S, N) each, drawn alike.

        Utterances of which one is not known in some seed are left out; a mean of 0 below leaves
        nothing to tell.
        """
        both = _known_in_all(np.stack([self._checked(above), self._checked(below)]))
        n_known = both.shape[-1]
        if not n_known or both[1].mean() == 0:
            return UNKNOWN
        pairs = zip(self._seeds, self._columns(n_known), strict=True)
        means = [both[:, rows[:, None], columns].mean(axis=(1, 2)) for rows, columns in pairs]
        drawn = np.array([over / under for over, under in means if under])
        whole = both.mean(axis=(1, 2))
        return Interval(float(whole[0] / whole[1]), *_ends(drawn, self._confidence))

    def interquartile_mean(self, values: FloatArray | DoubleArray) -> Interval:
        """Return the mean of the middle half of all S N values, which outliers do not move."""
        return self._of(interquartile_mean, values)

    def improvement(
        self, ours: FloatArray | DoubleArray, theirs: FloatArray | DoubleArray
    ) -> Interval:
        """Return the probability that a seed of `ours` has less error than one of `theirs`.

        Over all pairs of seeds, the mean over utterances; equal errors count for a half.

        Args:
            ours: Errors, shape (S, N).
            theirs: Of the same utterances, shape (S, N).
        """
        both = _known_in_all(np.stack([self._checked(ours), self._checked(theirs)]))
        n_known = both.shape[-1]
        if not n_known:
            return UNKNOWN
        one, other = both[0][:, None], both[1][None]
        wins = (one < other) + 0.5 * (one == other)  # (S, S, N)
        drawn = [
            wins[i[:, None], j[None]].mean(axis=(0, 1))[columns].mean()
            for i, j, columns in zip(self._seeds, self._others, self._columns(n_known), strict=True)
        ]
        return Interval(float(wins.mean()), *_ends(np.array(drawn), self._confidence))

    def _of(
        self,
        figure: Callable[[DoubleArray], DoubleArray],
        values: FloatArray | DoubleArray,
    ) -> Interval:
        """Return a figure of values (R, S N), (R,), of `values` (S, N) and of its resamples."""
        known = _known_in_all(self._checked(values))
        n_known = known.shape[1]
        if not n_known:
            return UNKNOWN
        parts = []
        for begin in range(0, len(self._seeds), _AT_ONCE):
            block = slice(begin, begin + _AT_ONCE)
            rows, columns = self._seeds[block], self._columns(n_known)[block]
            drawn = known[rows[:, :, None], columns[:, None, :]]  # (R, S, N)
            parts.append(figure(drawn.reshape(len(rows), -1)))
        whole = float(figure(known.reshape(1, -1))[0])
        return Interval(whole, *_ends(np.concatenate(parts), self._confidence))

    def _columns(self, n_known: int) -> IntArray:
        """Return which of the utterances that are known each resample draws, (R, N)."""
        return np.asarray(self._places[:, :n_known] * n_known, dtype=np.int64)

    def _checked(self, values: FloatArray | DoubleArray) -> DoubleArray:
        if values.shape != self._shape:
            raise ValueError(f"`values` must have shape {self._shape}, got {values.shape}")
        return np.asarray(values, dtype=np.float64)


_AT_ONCE = 256  # resamples


def interquartile_mean(values: FloatArray | DoubleArray) -> DoubleArray:
    """Return the mean of the middle half of each row of values (R, N), a quarter cut at each end.

    >>> interquartile_mean(np.array([[100.0, 1.0, 2.0, -50.0]]))
    array([1.5])
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=1)
    cut = ordered.shape[1] // 4
    middle: DoubleArray = ordered[:, cut : ordered.shape[1] - cut].mean(axis=1)
    return middle


def _known_in_all(values: DoubleArray) -> DoubleArray:
    """Return values (..., N) without the utterances of which one is not finite."""
    known: DoubleArray = values[..., np.isfinite(values.reshape(-1, values.shape[-1])).all(axis=0)]
    return known
