"""Bootstrap intervals: against theory, other ways to compute them, and plain resampling."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap

from esarm_env.core.intervals import (
    UNKNOWN,
    Change,
    Interval,
    Resampler,
    SeedResampler,
    bootstrap_error,
    bootstrap_mean,
    interquartile_mean,
    paired_change,
)


def test_the_interval_has_the_width_of_the_normal_approximation():
    """An interval that is too narrow turns noise into a finding."""
    values = np.random.default_rng(0).normal(3.0, 2.0, 400).astype(np.float32)
    interval = bootstrap_mean(values, resamples=4000, confidence=0.95)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean(), abs=1e-5)
    assert interval.high - interval.mean == pytest.approx(half, rel=0.1)
    assert interval.mean - interval.low == pytest.approx(half, rel=0.1)


def test_a_constant_has_no_width_and_one_seed_gives_one_interval():
    """Tables must not change from one print to the next."""
    assert bootstrap_mean(np.ones(5), resamples=50, confidence=0.9) == Interval(1.0, 1.0, 1.0)
    values = np.arange(20.0)
    first, second = (bootstrap_mean(values, resamples=99, confidence=0.95) for _ in range(2))
    assert first == second


def test_no_figures_are_refused():
    """The mean of nothing is NaN, which a table would print as if measured."""
    with pytest.raises(ValueError, match="at least one figure"):
        bootstrap_mean(np.zeros(0), resamples=10, confidence=0.95)


def test_the_interval_is_that_of_the_paired_differences(rng: np.random.Generator) -> None:
    """What makes an utterance hard for everybody must drop out: it is most of the spread."""
    hardness = 100 * rng.random(60)
    before = hardness + rng.normal(size=60)
    after = hardness + 0.8 + rng.normal(size=60)
    change = paired_change(before, after, confidence=0.9, resamples=8000)
    theirs = bootstrap(
        ((after - before),), np.mean, confidence_level=0.9, n_resamples=8000, method="percentile"
    ).confidence_interval
    assert change.mean == pytest.approx((after - before).mean())
    assert (change.low, change.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert change.rose
    assert not paired_change(after, before, confidence=0.9).rose
    assert change == paired_change(before, after, confidence=0.9, resamples=8000)


def test_pairs_with_a_figure_that_is_none_are_left_out() -> None:
    """An error may be nan for one utterance and must not be for all."""
    before, after = np.array([1.0, np.nan, 3.0, 4.0]), np.array([2.0, 5.0, 4.0, np.inf])
    assert paired_change(before, after, confidence=0.95) == Change(1.0, 1.0, 1.0)
    nothing = paired_change(before[:2], after[:2], confidence=0.95)
    assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
    assert not nothing.rose
    assert str(Change(0.312, 0.2, -0.4)) == "+0.312 [+0.2, -0.4]"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"after": np.zeros(3)},
            "`before` and `after` must have one shape (N,), got (2,) and (3,)",
        ),
        (
            {"before": np.zeros((1, 2)), "after": np.zeros((1, 2))},
            "`before` and `after` must have one shape (N,), got (1, 2) and (1, 2)",
        ),
        ({"confidence": 1.0}, "`confidence` must be above 0 and below 1, got 1.0"),
        ({"confidence": np.nan}, "`confidence` must be above 0 and below 1, got nan"),
        ({"resamples": 0}, "`resamples` must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(changed: dict[str, Any], message: str) -> None:
    """Each would give an interval of something else."""
    given: dict[str, Any] = {"before": np.zeros(2), "after": np.zeros(2), "confidence": 0.9}
    with pytest.raises(ValueError, match=re.escape(message)):
        paired_change(**{**given, **changed})


def test_the_mean_is_plain_and_leaves_out_what_is_unknown():
    """An unknown vote must neither count as zero nor make the mean unknown."""
    values = np.array([1.0, 0.0, np.nan, 0.5])
    mean, low, high = Resampler(3, seed=0).mean(values, np.array([0, 0, 1, 2]))
    assert mean == pytest.approx(0.5) and low <= mean <= high
    assert Resampler(2).mean(np.array([np.nan]), np.array([1])) == pytest.approx(
        UNKNOWN, nan_ok=True
    )


def test_utterances_are_drawn_as_wholes():
    """A thousand copies of an utterance's vote know no more than one; rows would be certain."""
    votes = np.repeat([1.0, 0.0, 1.0, 0.0], 1000)
    utterance = np.repeat(np.arange(4), 1000)
    _, low, high = Resampler(4, resamples=500).mean(votes, utterance)
    assert low <= 0.1 and high >= 0.9
    _, low, high = Resampler(4000, resamples=500).mean(votes, np.arange(4000))
    assert 0.48 < low and high < 0.52


def test_the_interval_is_that_of_plain_resampling(rng):
    """The sums are a short cut for drawing utterances one by one."""
    values, utterance = rng.random(60), rng.integers(12, size=60)
    _, low, high = Resampler(12, resamples=4000, seed=1).mean(values, utterance)
    draws = []
    for _ in range(4000):
        rows = np.concatenate(
            [np.flatnonzero(utterance == u) for u in rng.integers(12, size=12)]
        ).astype(np.int64)
        draws.append(values[rows].mean())
    np.testing.assert_allclose([low, high], np.quantile(draws, [0.025, 0.975]), atol=0.012)


def test_a_ratio_is_one_of_sums():
    """The gain's share of a ceiling is no mean of shares, which one small ceiling would rule."""
    ours, ceiling = np.array([1.0, 2.0]), np.array([2.0, 100.0])
    mean, low, high = Resampler(2, resamples=200).ratio(ours, ceiling, np.array([0, 1]))
    assert mean == pytest.approx(3 / 102)
    assert (low, high) == pytest.approx((2 / 100, 1 / 2))


def test_equal_seeds_draw_alike(rng):
    """Paired figures need one set of draws."""
    values, utterance = rng.random(5), np.arange(5)
    first, second = (Resampler(5, seed=3).mean(values, utterance) for _ in range(2))
    assert first == second != Resampler(5, seed=4).mean(values, utterance)


@pytest.mark.parametrize("bad", [(0, 10, 0.9), (2, 0, 0.9), (2, 10, 1.0), (2, 10, 0.0)])
def test_a_resampler_of_nothing_is_rejected(bad):
    """Every one of these would give nan or an empty interval without a word."""
    n, resamples, confidence = bad
    with pytest.raises(ValueError, match=re.escape(f"got {n}, {resamples} and {confidence}")):
        Resampler(n, resamples=resamples, confidence=confidence)


def test_groups_of_unlike_size_are_drawn_as_wholes():
    """Pairs of an utterance go together: many of them do not make an interval narrow."""
    resampler = Resampler(4, resamples=4000, confidence=0.95)
    cluster = np.repeat(np.arange(4), 100)
    votes = np.repeat([0.0, 1.0, 1.0, 0.0], 100)
    share, low, high = resampler.mean(votes, cluster)
    # Of 4 clusters, each 0 or 1 with chance one half: the mean is below 0 only never, and
    # 0 or 1 with chance 1/16, more than the 2.5 % of either tail.
    assert (share, low, high) == (0.5, 0.0, 1.0)
    uneven = np.array([0, 1, 1, 1])
    assert resampler.mean(np.array([0.0, 1, 1, 1]), uneven)[0] == 0.75
    some = resampler.mean(np.array([np.nan, 1.0, 1, 1]), uneven)
    assert some == (1.0, 1.0, 1.0)
    assert np.isnan(resampler.mean(np.array([np.nan]), np.array([2]))).all()


@pytest.mark.parametrize("given", [(0, 10, 0.9), (3, 0, 0.9), (3, 10, 1.0)])
def test_resamplers_of_nothing_are_refused(given):
    """Each would fail later with a message about shapes."""
    n, resamples, confidence = given
    message = f"`confidence` in (0, 1), got {n}, {resamples} and {confidence}"
    with pytest.raises(ValueError, match=re.escape(message)):
        Resampler(n, resamples=resamples, confidence=confidence)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"confidence": 1.0}, "`confidence` must be above 0 and below 1, got 1.0"),
        ({"resamples": 0}, "`resamples` must be at least 1, got 0"),
    ],
)
def test_a_mean_needs_resamples_and_a_confidence(changed: dict[str, Any], message: str) -> None:
    """An empty draw would end in a message about quantiles."""
    given: dict[str, Any] = {"resamples": 9, "confidence": 0.9}
    with pytest.raises(ValueError, match=re.escape(message)):
        bootstrap_mean(np.ones(3), **{**given, **changed})


def test_drawn_figures_stay_what_they_were() -> None:
    """Reports are compared figure by figure: another way of drawing would look like a finding."""
    values = np.array([0.5, 2.0, 3.0, 7.0, 1.0])
    mean = bootstrap_mean(values, resamples=7, confidence=0.8, seed=3)
    rows = np.random.default_rng(3).integers(0, 5, size=(7, 5))
    low, high = np.quantile(values[rows].mean(axis=1), [0.1, 0.9])
    assert mean == pytest.approx((2.7, low, high), abs=1e-12)
    change = paired_change(np.zeros(5), values, confidence=0.8, resamples=7, seed=3)
    assert change == mean, "a change is the mean of the differences, drawn alike"
    drawn = Resampler(5, resamples=7, confidence=0.8, seed=3).mean(values, np.arange(5))
    times = np.random.default_rng(3).multinomial(5, np.full(5, 0.2), size=7)
    expected = np.quantile(times @ values / 5, [0.1, 0.9])
    assert drawn == pytest.approx((2.7, *expected), abs=1e-12)


def test_an_interval_is_three_numbers_that_print_as_one() -> None:
    """Tables take it apart, files store it as a list, and reports print it."""
    assert str(Interval(2.314, 2.2, 2.43)) == "2.31 [2.20, 2.43]"
    mean, low, high = Interval(1.0, 0.5, 2.0)
    assert (mean, low, high) == Interval(1.0, 0.5, 2.0)


def test_the_standard_error_of_a_mean_is_the_known_one(rng: np.random.Generator) -> None:
    """A wrong axis would give the spread of the values."""
    values = rng.normal(0, 3, 400)

    def figures(rows: Any) -> Any:
        return np.array([values[rows].mean(), 1.0])

    error = bootstrap_error(figures, 400, resamples=300, rng=rng)
    assert error == pytest.approx([3 / 20, 0.0], rel=0.15)


def test_seeds_and_utterances_are_drawn() -> None:
    """Utterances alone would call every training's luck a finding."""
    rng = np.random.default_rng(0)
    same = np.tile(rng.normal(0, 1, 400), (5, 1))  # five trainings that agree
    apart = same + np.array([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None]
    drawn = SeedResampler(5, 400, resamples=500)
    narrow, wide = drawn.mean(same), drawn.mean(apart)
    assert narrow.mean == pytest.approx(wide.mean) == pytest.approx(same.mean())
    # Utterances are drawn once for all seeds: five copies are no more evidence than one.
    assert narrow.high - narrow.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.2)
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * np.sqrt(2 / 5 + 1 / 400), rel=0.2)


def test_an_interquartile_mean_leaves_a_quarter_out_at_each_end() -> None:
    """One run that failed must not be the finding."""
    np.testing.assert_allclose(
        interquartile_mean(np.array([[9.0, 1, 2, -9], [4, 3, 2, 1]])), 1.5 + np.arange(2)
    )
    values = np.array([[1.0, 2, 3, 1000], [-1000, 1, 2, 3]])
    drawn = SeedResampler(2, 4, resamples=20)
    assert drawn.interquartile_mean(values).mean == pytest.approx(2.0)
    unknown = np.array([[1.0, np.nan], [3.0, 5.0]])
    assert SeedResampler(2, 2, resamples=20).mean(unknown) == (2.0, 1.0, 3.0)
    assert drawn.mean(np.full((2, 4), np.nan)) == pytest.approx(UNKNOWN, nan_ok=True)


def test_a_probability_of_improvement_counts_pairs_of_seeds() -> None:
    """Ours 1 and 3, theirs 2 and 2: half of the pairs; ties count for a half."""
    ours, theirs = np.array([[1.0], [3.0]]), np.array([[2.0], [2.0]])
    drawn = SeedResampler(2, 1, resamples=200)
    assert drawn.improvement(ours, theirs) == (0.5, 0.0, 1.0)
    assert drawn.improvement(theirs, theirs) == (0.5, 0.5, 0.5)
    assert drawn.improvement(ours - 3, theirs) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("n_seeds", "n_groups", "options", "message"),
    [
        (1, 5, {}, "`n_seeds` must be at least 2 and `n_groups` at least 1, got 1 and 5"),
        (2, 0, {}, "`n_seeds` must be at least 2 and `n_groups` at least 1, got 2 and 0"),
        (2, 5, {"resamples": 0}, "`resamples` must be at least 1, got 0"),
        (2, 5, {"confidence": 1.0}, "`confidence` must be above 0 and below 1, got 1.0"),
    ],
)
def test_a_bootstrap_over_one_seed_is_refused(
    n_seeds: int, n_groups: int, options: dict[str, Any], message: str
) -> None:
    """It would give an interval that covers no other training."""
    with pytest.raises(ValueError, match=re.escape(message)):
        SeedResampler(n_seeds, n_groups, **options)
    with pytest.raises(ValueError, match=re.escape("`values` must have shape (2, 3), got (3, 2)")):
        SeedResampler(2, 3, resamples=1).mean(np.zeros((3, 2)))
