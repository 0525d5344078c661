"""Bootstrap intervals against what theory says."""

import numpy as np
import pytest

from train.statistics import Interval, bootstrap_mean


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
