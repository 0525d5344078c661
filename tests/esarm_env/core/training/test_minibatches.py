"""What the speech encoder and its rivals take their steps by."""

import numpy as np
import pytest

from esarm_env.core.training.minibatches import batches_of_like_length, means_of_terms, one_cycle


def test_the_rate_rises_for_a_while_and_ends_at_nothing() -> None:
    """A rate that starts or ends high undoes the first or the last epochs."""
    shares = [one_cycle(progress) for progress in (0.0, 0.075, 0.15, 0.575, 1.0)]
    assert shares == pytest.approx([0.04, 0.52, 1.0, 0.5, 0.0])


def test_rows_of_like_length_stand_together_each_once() -> None:
    """Padding costs as much as frames do."""
    lengths = [1000, 10, 2000, 15, 1010, 2010, 3000]
    batches = batches_of_like_length(lengths, 2, np.random.default_rng(0))
    assert sorted(map(sorted, (b.tolist() for b in batches))) == [[0, 4], [1, 3], [2, 5], [6]]


def test_a_term_that_few_minibatches_have_is_their_mean() -> None:
    """Over all of them it would shrink with the share of parallel utterances."""
    rows = [{"loss": 1.0}, {"loss": 3.0, "cross_loss": 5.0}]
    assert means_of_terms(rows) == {"train_cross_loss": 5.0, "train_loss": 2.0}
