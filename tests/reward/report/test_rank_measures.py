"""Rank correlations and best-of-n, against scipy and against every choice counted out."""

import itertools
import re

import numpy as np
import pytest
from scipy import stats

from reward.report import best_of_n, kendall_tau_b, member_spread, rank_agreement, spearman_rho


@pytest.mark.parametrize("values", ["distinct", "tied"])
def test_correlations_are_those_of_scipy(values, rng):
    """Ties are where hand-written rank correlations go wrong."""
    a, b = rng.random((2, 9, 7)) if values == "distinct" else rng.integers(3, size=(2, 9, 7))
    tau = [stats.kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)]
    rho = [stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(kendall_tau_b(a * 1.0, b * 1.0), tau, atol=1e-12)
    np.testing.assert_allclose(spearman_rho(a * 1.0, b * 1.0), rho, atol=1e-12)


@pytest.mark.parametrize("measure", [kendall_tau_b, spearman_rho])
def test_a_row_without_an_order_is_unknown(measure):
    """A constant score must not count as a correlation of zero, nor a lost error as any."""
    a = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    b = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [3.0, 2.0, 1.0]])
    np.testing.assert_array_equal(measure(a, b), [np.nan, np.nan, -1.0])
    with pytest.raises(ValueError, match=re.escape("must have one shape (U, K), got (3, 3)")):
        measure(a, b[:, :2])


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_best_of_n_is_the_mean_over_all_choices(n, rng):
    """The closed form must be what trying every subset gives."""
    scores, errors = rng.random((2, 4, 5))
    choices = list(itertools.combinations(range(5), n))
    expected = [
        np.mean([errors[row, max(some, key=scores[row].item)] for some in choices])
        for row in range(4)
    ]
    np.testing.assert_allclose(best_of_n(scores, errors, n=n), expected)


def test_best_of_all_is_the_best_scored_and_of_one_the_mean(rng):
    """The two ends of the curve are known without any formula."""
    scores, errors = rng.random((2, 6, 16))
    np.testing.assert_allclose(best_of_n(scores, errors, n=1), errors.mean(1))
    chosen = errors[np.arange(6), scores.argmax(1)]
    np.testing.assert_allclose(best_of_n(scores, errors, n=16), chosen)


@pytest.mark.parametrize("n", [0, 6])
def test_more_than_there_are_cannot_be_chosen_from(n):
    """A silent clip would draw a flat end to the curve."""
    with pytest.raises(ValueError, match=re.escape("`n` must be 1 to 5, the number of samples")):
        best_of_n(np.zeros((2, 5)), np.zeros((2, 5)), n=n)
    with pytest.raises(ValueError, match=re.escape("must have one shape (U, K), got (2, 5)")):
        best_of_n(np.zeros((2, 5)), np.zeros((2, 4)), n=1)


def test_members_agree_as_their_pairs_do():
    """Three members, two of one mind and one against: rho is 1, -1 and -1."""
    rising = np.arange(4.0)
    members = np.stack([[rising], [2 * rising], [-rising]]).astype(np.float32)  # (3, 1, 4)
    assert rank_agreement(members) == pytest.approx([-1 / 3])
    assert rank_agreement(members[:2]) == pytest.approx([1.0])
    silent = np.zeros_like(members)
    assert np.isnan(rank_agreement(silent)).all()
    spread = member_spread(np.array([[1.0, 2.0], [3.0, 2.0]], dtype=np.float32))
    np.testing.assert_allclose(spread, [1.0, 0.0])
    with pytest.raises(ValueError, match=re.escape("must have shape (M > 1, U, K), got (1, 1, 4)")):
        rank_agreement(members[:1])
