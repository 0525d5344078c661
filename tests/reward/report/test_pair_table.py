"""Pair accuracy on demonstrations whose scores a test decides."""

import re

import numpy as np
import pytest

from reward.demonstrations import RECONSTRUCTION, RECORDING, RankedDemonstrations, collect, damaged
from reward.demonstrations import ground_truth as truth_of
from reward.report import PairTable, Resampler

UTTERANCES = np.array([1, 4, 5])


@pytest.fixture(scope="module")
def ranked(tiny_task, roll_out):
    """Three levels, ground truth of both kinds, and a shift of the least noisy roll-out."""
    rolled = collect(roll_out, tiny_task, UTTERANCES, epsilons=(0.02, 0.1, 1.0), seed=1)
    recorded = tiny_task.recorded(UTTERANCES)
    shifted = damaged(
        rolled, tiny_task, families=("time-shift",), strengths=(0.5, 1.0), seed=0,
        rows=rolled.epsilon < 0.05,
    )  # fmt: skip
    parts = [rolled, truth_of(recorded, origin=RECORDING)]
    return RankedDemonstrations.concatenate(
        [*parts, truth_of(recorded, origin=RECONSTRUCTION), shifted]
    )


@pytest.fixture
def table(ranked):
    """Two scorers: one that goes by noise, one that says the same of everything; LVE is noise."""
    noise = ranked.epsilon
    lost = np.where(ranked.making.origin == RECORDING, np.nan, noise).astype(np.float32)
    return PairTable(
        ranked,
        scores={"by noise": -noise, "silent": np.zeros_like(noise)},
        errors={"lve": lost, "eve": -lost},
        resampler=Resampler(3, resamples=50),
    )


def test_a_scorer_that_goes_by_noise_is_always_right(table):
    """The better one must be the one with less noise, and errors must be turned round."""
    cell = table.cell("close", table.epsilons(0.02, 0.1))
    assert (cell.n_pairs, cell.n_utterances) == (3, 3)
    assert cell.right == {"by noise": (1, 1, 1), "silent": (0.5, 0.5, 0.5)}
    assert cell.confirmed == {"lve": (1, 1, 1), "eve": (0, 0, 0)}


def test_ground_truth_is_told_by_origin(table, ranked):
    """The recording's own error is no test of anything, so nothing can confirm its labels."""
    least = np.isclose(ranked.epsilon, 0.02) & ranked.roll_outs
    plain = table.cell("recording", table.truth_above(RECORDING, least))
    assert plain.n_pairs == 3 and np.isnan(plain.confirmed["lve"][0])
    decoded = table.cell("decoded", table.truth_above(RECONSTRUCTION, least))
    assert decoded.n_pairs == 3 and decoded.confirmed["lve"] == (1, 1, 1)


def test_a_family_is_a_ladder_from_the_clean_one(table):
    """Clean above 0.5, clean above 1, 0.5 above 1: three pairs of each utterance."""
    cell = table.cell("shift", table.of_kind("time-shift"))
    assert cell.n_pairs == 9
    assert table.cell("none", table.of_kind("repetition")) is None


def test_equal_ranks_only_are_rejected(ranked):
    """A table without a row says less than an error."""
    alone = ranked.epsilon == 1
    with pytest.raises(ValueError, match=re.escape("must hold two ranks of one utterance, got 3")):
        PairTable(ranked, scores={}, errors={}, resampler=Resampler(3), chosen=alone)
