"""Best-of-n, against every choice counted out."""

import itertools
import re

import numpy as np
import pytest

from reward.report import best_of_n


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
