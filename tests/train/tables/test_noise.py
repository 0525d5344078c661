"""Arithmetic of Table II on known numbers: monotone, ratio, label validity, the paper's columns."""

from __future__ import annotations

import re

import numpy as np
import pytest

from esarm_env.core.intervals import UNKNOWN, SeedResampler
from esarm_env.task.animation_task import AnimationTask
from reward.demonstrations import RankedDemonstrations, collect
from reward.demonstrations.audit import audit_labels, errors_of
from train.tables.table2.noise import (
    LEAST_RATIO,
    PAPER,
    Spread,
    label_cells,
    ladder,
    paper_column,
    votes,
)

N = 40


def spread(n_seeds: int = 3, n_utterances: int = N) -> Spread:
    return Spread(n_seeds, n_utterances, resamples=200, confidence=0.95)


def levels(*means: float, n_seeds: int = 3, noise: float = 0.1) -> dict[float, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (n_seeds, N)
    return {
        number / 4: mean + noise * rng.standard_normal(shape) for number, mean in enumerate(means)
    }


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_a_rising_error_is_monotone_with_its_ratio(n_seeds: int) -> None:
    """The first claim of the paper's table, from one seed or several."""
    found = ladder(levels(2, 4, 6, 9, n_seeds=n_seeds), spread(n_seeds))
    assert found.monotone and found.surely_monotone and found.wide
    assert found.levels == (0, 0.25, 0.5, 0.75)
    assert [step.mean for step in found.steps] == pytest.approx([2, 2, 3], abs=0.1)
    assert found.ratio.mean == pytest.approx(4.5, abs=0.1)
    assert found.ratio.low < found.ratio.mean < found.ratio.high


def test_one_fall_is_not_monotone_and_a_small_rise_is_not_sure() -> None:
    """A table that says "monotone" of a level that is no worse says nothing."""
    falling = ladder(levels(2, 3, 2.9, 4), spread())
    assert falling.monotone is False and falling.surely_monotone is False
    small = ladder(levels(2, 2.01, 8, noise=1.0), spread())
    assert small.ratio.mean == pytest.approx(4, abs=0.5)
    assert small.surely_monotone is False


def test_a_ratio_below_the_bar_is_told() -> None:
    """3.7 times is what the paper's columns reach."""
    assert ladder(levels(2, 7.3), spread()).wide is False
    assert ladder(levels(2, 7.6), spread()).wide is True
    ratios = [c[1.0] / c[0.02] for column in PAPER.values() for c in column.values()]
    assert min(ratios) == pytest.approx(LEAST_RATIO, abs=0.05)
    assert all(sorted(c.values()) == list(c.values()) for p in PAPER.values() for c in p.values())


def test_what_was_never_captured_is_neither_monotone_nor_not() -> None:
    """A corpus of mouths has no EVE; `false` would read as a failure."""
    found = ladder({0.0: np.full((3, N), np.nan), 1.0: np.full((3, N), np.nan)}, spread())
    assert found.monotone is None and found.surely_monotone is None and found.wide is None
    with pytest.raises(ValueError, match=re.escape("must have at least 2 levels, got [0.5]")):
        ladder({0.5: np.ones((3, N))}, spread())


def test_the_ratio_of_several_seeds_is_of_their_means() -> None:
    """A mean of ratios lets one easy utterance say it all."""
    below = np.array([[1.0, 3.0], [2.0, 2.0]])
    above = np.array([[8.0, 8.0], [4.0, 12.0]])
    resampler = SeedResampler(2, 2, resamples=100)
    assert resampler.ratio(above, below).mean == pytest.approx(4)
    assert resampler.ratio(3 * below, below) == pytest.approx((3, 3, 3))
    unknown = np.array([[1.0, np.nan], [2.0, 2.0]])
    assert resampler.ratio(above, unknown).mean == pytest.approx(12 / 3)
    assert resampler.ratio(above, 0 * below) is UNKNOWN
    one = Spread(1, 2, resamples=100, confidence=0.95)
    assert one.ratio(above[:1], unknown[:1]).mean == pytest.approx(8)


def test_labels_are_counted_pair_by_pair() -> None:
    """Two roll-outs of each level make four pairs; a tie counts one half."""
    low = {"lve": np.array([[[1.0, 3.0]]]), "eve": np.array([[[1.0, 1.0]]])}
    high = {"lve": np.array([[[2.0, 4.0]]]), "eve": np.array([[[1.0, 2.0]]])}
    found = votes(low, high)
    assert found["lve"] == pytest.approx(np.array([[0.75]]))
    assert found["eve"] == pytest.approx(np.array([[0.75]]))
    assert found["both"] == pytest.approx(np.array([[(0.5 + 1 + 0 + 1) / 4]]))
    high["eve"] = np.full((1, 1, 2), np.nan)
    assert np.isnan(votes(low, high)["both"]).all()


def test_shares_are_those_of_the_audit(tiny_task: AnimationTask) -> None:
    """Two counts of the same labels that differ: one of them is wrong."""
    shown = _demonstrations(tiny_task)
    errors = errors_of(shown, tiny_task)
    made = {
        float(f"{level:g}"): {
            name: values[shown.epsilon == level].reshape(2, -1).T[None]
            for name, values in errors.items()
        }
        for level in shown.levels
    }
    ours = label_cells("epsilon", made, Spread(1, 4, resamples=50, confidence=0.95))
    theirs = audit_labels(shown, tiny_task, errors=errors, resamples=50).levels
    assert [(c.better, c.worse) for c in ours] == [(c.better, c.worse) for c in theirs]
    for mine, audited in zip(ours, theirs, strict=True):
        for name in ("lve", "eve", "both"):
            assert mine.shares[name].mean == pytest.approx(getattr(audited, name).mean)


def _demonstrations(task: AnimationTask) -> RankedDemonstrations:
    """Return roll-outs of a policy that knows the recordings: two of each of three levels."""
    from esarm_env.core.types import Trajectories

    def roll_out(utterances, *, condition, temperature, epsilon, seeds):
        recorded = task.recorded(utterances)
        tokens = recorded.tokens.copy()
        for row, seed in enumerate(np.asarray(seeds).reshape(len(utterances), -1)[:, 0]):
            rng = np.random.default_rng(int(seed) % 2**32)
            chosen = (rng.random(tokens.shape[1]) < epsilon) & (tokens[row] >= 0)
            tokens[row, chosen] = rng.integers(0, 16, chosen.sum())
        return Trajectories(utterances, tokens, recorded.lengths, condition)

    return collect(roll_out, task, np.arange(4), epsilons=(0.02, 0.5, 1.0), rollouts=2, seed=0)


def test_a_corpus_is_read_beside_its_own_column() -> None:
    """MEAD's figures beside RAVDESS' would be compared by every reader."""
    assert paper_column("synthetic-mead", "auto") == "MEAD"
    assert paper_column("synthetic-ravdess", "auto") == "RAVDESS"
    assert paper_column("/data/faces", "mead") == "MEAD"
    assert paper_column("/data/mead", "generic") == ""
