"""Calibration by hand."""

import re

import numpy as np
import pytest

from reward.report import Resampler, calibration, fitted_temperature
from reward.report.calibration import right_probability


def logit(probability):
    return np.log(probability / (1 - probability))


def test_ece_and_brier_are_those_by_hand():
    """Confidence 0.92 and right 3 times of 4, confidence 0.63 and right once of 2."""
    difference = np.array([1, 1, 1, -1]) * logit(0.92)
    difference = np.concatenate([difference, np.array([1, -1]) * logit(0.63)])
    one = calibration(difference, np.arange(6), Resampler(6), n_bins=5)
    assert one.accuracy[0] == pytest.approx(4 / 6)
    assert one.ece[0] == pytest.approx((4 * abs(0.92 - 0.75) + 2 * abs(0.63 - 0.5)) / 6)
    assert one.brier[0] == pytest.approx((3 * 0.08**2 + 0.92**2 + 0.37**2 + 0.63**2) / 6)
    assert [(b.n_pairs, round(b.confidence, 6)) for b in one.bins] == [(2, 0.63), (4, 0.92)]
    assert [b.right[0] for b in one.bins] == pytest.approx([0.5, 0.75])


def test_ece_has_an_interval_over_utterances(rng):
    """A figure that is not a mean needs its interval just as much."""
    difference = rng.normal(0.5, 1, 200)
    one = calibration(difference, np.arange(200) // 10, Resampler(20, resamples=300))
    assert one.ece[1] < one.ece[0] < one.ece[2]


def test_a_tie_is_half_right_at_confidence_one_half():
    """A constant score is a coin, and as such perfectly calibrated."""
    one = calibration(np.zeros(4), np.arange(4), Resampler(4))
    assert (one.accuracy[0], one.ece[0], one.brier[0]) == (0.5, 0.0, 0.25)


def test_the_fitted_temperature_is_the_true_one(rng):
    """Differences that come from a Bradley-Terry model scaled by 3 want T = 3."""
    true = rng.normal(0, 2, 20_000)
    right = rng.random(20_000) < right_probability(true, temperature=1.0)
    difference = 3 * np.where(right, true, -true)
    assert fitted_temperature(difference) == pytest.approx(3, rel=0.05)


def test_a_temperature_of_nothing_is_rejected():
    """Zero would divide, and no pair has no likelihood."""
    with pytest.raises(ValueError, match=re.escape("`temperature` must be above 0, got 0")):
        right_probability(np.zeros(2), temperature=0)
    with pytest.raises(ValueError, match=re.escape("at least one pair, got none")):
        fitted_temperature(np.zeros(0))
