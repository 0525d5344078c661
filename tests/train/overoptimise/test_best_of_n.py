"""Best-of-n: its divergence, and its expected worth."""

import itertools
import math
import re

import numpy as np
import pytest

from train.overoptimise.best_of_n import best_of_n_divergence, expected_best_of_n


@pytest.mark.parametrize(("n", "nats"), [(1, 0.0), (2, math.log(2) - 0.5), (64, 3.174508)])
def test_the_divergence_of_best_of_n_is_as_by_hand(n, nats):
    """A wrong abscissa would shift the whole dashed line against PPO's."""
    assert best_of_n_divergence(n) == pytest.approx(nats, abs=1e-6)


def test_the_divergence_is_that_of_the_greatest_of_n_uniform_numbers():
    """The density n x^(n-1) against 1, integrated numerically: an independent derivation."""
    n, x = 5, (np.arange(200_000) + 0.5) / 200_000
    density = n * x ** (n - 1)
    assert best_of_n_divergence(n) == pytest.approx(np.mean(density * np.log(density)), abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_expected_best_is_the_mean_over_all_subsets(n):
    """The estimator must be unbiased: equal to enumerating every choice of n draws."""
    rng = np.random.default_rng(0)
    proxy, values = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    expected = [
        np.mean([v[max(s, key=p.__getitem__)] for s in itertools.combinations(range(5), n)])
        for p, v in zip(proxy, values, strict=True)
    ]
    np.testing.assert_allclose(expected_best_of_n(proxy, values, n), expected)


def test_many_draws_do_not_overflow():
    """C(256, 64) is beyond 64 bits; weights must still add up to 1."""
    draws = np.arange(256.0)[None]
    np.testing.assert_allclose(expected_best_of_n(draws, np.ones_like(draws), 64), 1)
    # The greatest of 64 of 0..255 is (n (M + 1) / (n + 1)) - 1 on average.
    np.testing.assert_allclose(expected_best_of_n(draws, draws, 64), 64 * 257 / 65 - 1)


@pytest.mark.parametrize(
    ("values", "n", "message"),
    [
        (np.zeros((2, 3)), 1, "`proxy` and `values` must have one shape (N, M), got (2, 4) and"),
        (np.zeros((2, 4)), 5, "`n` must be in 1..4, got 5"),
        (np.zeros((2, 4)), 0, "`n` must be in 1..4, got 0"),
    ],
)
def test_what_cannot_be_estimated_is_refused(values, n, message):
    """Broadcasting would give figures of nothing."""
    with pytest.raises(ValueError, match=re.escape(message)):
        expected_best_of_n(np.zeros((2, 4)), values, n)


def test_best_of_none_is_refused():
    """The logarithm of 0 would be drawn at minus infinity."""
    with pytest.raises(ValueError, match=re.escape("`n` must be at least 1, got 0")):
        best_of_n_divergence(0)
