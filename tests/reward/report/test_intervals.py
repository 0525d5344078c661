"""Intervals over utterances, against plain resampling."""

import re

import numpy as np
import pytest

from reward.report import UNKNOWN, Resampler


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
def test_an_interval_of_nothing_is_rejected(bad):
    """Every one of these would give nan or an empty interval without a word."""
    n, resamples, confidence = bad
    with pytest.raises(ValueError, match=re.escape(f"got {n}, {resamples} and {confidence}")):
        Resampler(n, resamples=resamples, confidence=confidence)
