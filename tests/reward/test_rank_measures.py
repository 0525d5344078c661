"""The loss of Eq. 1 and the pair accuracy by hand; rank correlations against scipy."""

import math
import re

import numpy as np
import pytest
import torch
from scipy import stats

from reward.rank_measures import (
    kendall_tau_b,
    member_spread,
    pair_accuracy,
    rank_agreement,
    ranking_loss,
    spearman_rho,
)


def test_the_loss_of_one_pair_is_the_cross_entropy_of_equation_1():
    """A wrong sign or a missing softmax would still fall in training, toward the wrong order."""
    # R(worse < better) = e^2 / (e^2 + e^0.5), and the loss is minus its logarithm.
    expected = -math.log(math.exp(2.0) / (math.exp(2.0) + math.exp(0.5)))
    loss = ranking_loss(torch.tensor([[2.0, 0.5]]), torch.tensor([[0.02, 1.0]]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_ranks_by_less_noise_whatever_the_order_of_the_columns():
    """Levels come in any order; assuming ascending noise would invert half of the pairs."""
    forward = ranking_loss(torch.tensor([[2.0, 0.5]]), torch.tensor([[0.02, 1.0]]))
    swapped = ranking_loss(torch.tensor([[0.5, 2.0]]), torch.tensor([[1.0, 0.02]]))
    assert forward.item() == pytest.approx(swapped.item())


def test_the_loss_averages_over_all_ordered_pairs_of_each_group():
    """Three levels make three pairs; pairs across utterances must not appear."""
    scores = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    noise = torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]])
    margins = [2.0, 3.0, 1.0, 0.0, 0.0, 0.0]
    expected = np.mean([math.log1p(math.exp(-margin)) for margin in margins])
    assert ranking_loss(scores, noise).item() == pytest.approx(expected, abs=1e-6)


def test_pairs_of_equal_noise_are_left_out():
    """Eq. 1 would label a tie as "j is worse" and teach an order that is not there."""
    with_tie = ranking_loss(torch.tensor([[5.0, -5.0, 0.0]]), torch.tensor([[0.5, 0.5, 1.0]]))
    expected = np.mean([math.log1p(math.exp(-5)), math.log1p(math.exp(5))])
    assert with_tie.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("scores", "noise", "message"),
    [
        (torch.zeros(1, 2), torch.zeros(1, 3), "`scores` and `noise` must have one shape"),
        (torch.zeros(1, 2), torch.zeros(1, 2), "at least two levels per utterance"),
    ],
)
def test_a_loss_without_an_order_is_refused(scores, noise, message):
    """The mean over no pair is NaN, which would poison the weights silently."""
    with pytest.raises(ValueError, match=re.escape(message)):
        ranking_loss(scores, noise)


def test_pair_accuracy_counts_right_pairs_within_each_utterance():
    """Comparing scores of different utterances would measure their difficulty."""
    scores = np.array([3.0, 2.0, 2.5, 10.0, 11.0], dtype=np.float32)
    noise = np.array([0.0, 0.5, 1.0, 0.0, 1.0], dtype=np.float32)
    utterances = np.array([7, 7, 7, 9, 9])
    # Utterance 7: (0, .5) right, (0, 1) right, (.5, 1) wrong. Utterance 9: wrong.
    np.testing.assert_allclose(pair_accuracy(scores, noise, utterances), [2 / 3, 0.0], atol=1e-6)


def test_pair_accuracy_leaves_out_pairs_closer_than_the_gap_and_halves_ties():
    """A tie is no knowledge; counting it as right flatters a constant score."""
    scores = np.array([1.0, 1.0, 0.0], dtype=np.float32)
    noise = np.array([0.0, 0.25, 1.0], dtype=np.float32)
    same = np.zeros(3, dtype=np.int64)
    np.testing.assert_allclose(pair_accuracy(scores, noise, same), [2.5 / 3], atol=1e-6)
    np.testing.assert_allclose(pair_accuracy(scores, noise, same, min_gap=0.5), [1.0])
    assert len(pair_accuracy(scores, noise, same, min_gap=1.5)) == 0


def test_rank_correlation_is_that_of_scipy():
    """Ties and all: an own formula for ranks is easily half a rank off."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    scores, targets = rng.integers(0, 5, (2, 6, 9)).astype(np.float32)
    expected = [spearmanr(a, b)[0] for a, b in zip(scores, targets, strict=True)]
    np.testing.assert_allclose(spearman_rho(scores, targets), expected, rtol=1e-5)


def test_rank_correlation_of_equal_scores_is_0_where_it_is_asked_for():
    """A reward that cannot tell knows nothing; nan would spoil the mean over utterances."""
    rows = np.array([[1.0, 1, 1], [1, 2, 3]], dtype=np.float32)
    np.testing.assert_allclose(spearman_rho(rows, rows[::-1], undefined=0.0), [0, 0])
    np.testing.assert_allclose(spearman_rho(rows[1:], rows[1:], undefined=0.0), [1])


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
