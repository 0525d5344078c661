"""Figures and statistics of Table I, on numbers that are known beforehand."""

from types import SimpleNamespace

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.metrics import lip_vertex_error, speech_lip_correlation
from train.tables.table1.benchmark import Benchmark
from train.tables.table1.cells import Cell
from train.tables.table1.measures import (
    ONE_EACH,
    SEVERAL_EACH,
    measure_motions,
    measure_samples,
    synchrony,
)
from train.tables.table1.statistics import (
    PAPER,
    against,
    best_paper_margin,
    corpus_table,
    interval_of,
)

DRAWS = {"resamples": 200, "confidence": 0.9}
IDS = ("u0", "u1", "u2", "u3")


def cell(method, seed, lve, *, kind="rival", ids=IDS):
    figures = {key: np.full(len(ids), np.nan, np.float32) for key in ONE_EACH}
    figures["lve"] = np.asarray(lve, np.float32)
    figures["eve"] = 2 * figures["lve"]
    return Cell(method, kind, seed, utterances=ids, figures=figures)


def test_means_differences_and_margins_are_those_of_the_numbers():
    """A pairing by the wrong seed or utterance would still look like a table."""
    ours = [cell("ours", 0, [1, 2, 3, 4]), cell("ours", 1, [1, 2, 3, 6])]
    theirs = [cell("x", 1, [2, 3, 4, 6]), cell("x", 0, [2, 3, 4, 5]), cell("x", 2, [9, 9, 9, 9])]
    table = corpus_table("c", [*ours, *theirs], order=("x",), headline="ours", **DRAWS)
    rows = {row.name: row for row in table.rows}
    assert [row.name for row in table.rows] == ["x", "ours"] and rows["x"].seeds == (0, 1, 2)
    assert rows["ours"].means["lve"].mean == pytest.approx(2.75)
    assert rows["ours"].iqm["lve"].mean == pytest.approx((2 + 2 + 3 + 3) / 4)
    found = rows["x"].against["lve"]
    assert found.difference.mean == pytest.approx(-7 / 8)  # the seeds that both have
    assert found.margin == pytest.approx(1 - 22 / 29)
    assert found.improvement.mean == pytest.approx((3 + 2.5 / 4) / 4)  # all pairs of seeds
    assert found.apart == (found.difference.high < 0)
    assert rows["ours"].against == {} and "emotion" in table.without
    assert rows["x"].against["eve"].difference.mean == pytest.approx(-7 / 4)


def test_a_seed_alone_has_a_mean_and_nothing_else():
    """No interval, no star."""
    values = np.array([[1.0, 2.0, np.nan, 6.0]])
    found = interval_of(values, DRAWS)
    assert found.mean == 3.0 and np.isnan(found.low) and np.isnan(found.high)
    assert np.isnan(interval_of(np.full((1, 2), np.nan), DRAWS).mean)
    a = against([cell("a", 0, [1, 1, 1, 1])], [cell("b", 0, [2, 2, 1, 2])], "lve", DRAWS)
    assert a.improvement.mean == 0.875 and not a.apart and np.isnan(a.difference.high)
    none = against([cell("a", 0, [1, 1, 1, 1])], [cell("b", 1, [2, 2, 1, 2])], "lve", DRAWS)
    assert np.isnan(none.margin) and not none.apart


def test_cells_of_other_utterances_are_refused():
    """Means over different utterances compare nothing."""
    other = cell("b", 0, [1, 1, 1, 1], ids=("v0", "v1", "v2", "v3"))
    with pytest.raises(InputError, match="all cells must be tested on the same utterances"):
        corpus_table("c", [cell("a", 0, [1, 1, 1, 1]), other], order=(), headline="a")


def test_the_papers_margins_are_those_it_claims():
    """11 and 19 % on MEAD, 16 and 29 % on RAVDESS, over its best rival."""
    margins = [
        round(100 * best_paper_margin(paper, key))
        for paper in ("MEAD", "RAVDESS")
        for key in ("lve", "eve")
    ]
    assert margins == [11, 19, 16, 29]
    assert np.isnan(best_paper_margin("", "lve")) and set(PAPER) == {"MEAD", "RAVDESS"}


@pytest.fixture
def benchmark(tiny_task, monkeypatch):
    monkeypatch.setattr(Benchmark, "task", property(lambda self: tiny_task))
    config = SimpleNamespace(seed=0, evaluate=SimpleNamespace(extra_utterances=0))
    return Benchmark(SimpleNamespace(config=config))


def test_figures_of_the_recordings_themselves_are_perfect(benchmark, tiny_task):
    """Errors of 0 and a correlation of 1, or the measure is off."""
    motions = [tiny_task.corpus[int(index)].motion for index in benchmark.test]
    found = measure_motions(benchmark, motions, np.arange(len(motions)))
    assert tuple(found) == ONE_EACH
    assert found["lve"].max() == found["eve"].max() == found["lve_mean"].max() == 0
    assert np.nanmax(found["fdd"]) < 1e-6
    shifted = [np.clip(motion + 0.1, 0, 1) for motion in motions]
    worse = measure_motions(benchmark, shifted[1:], np.arange(1, len(motions)))
    assert np.isnan(worse["lve"][0]) and worse["lve"][1] > worse["lve_mean"][1] > 0
    alone = lip_vertex_error(shifted[1], motions[1], head=tiny_task.head)
    assert worse["lve"][1] == pytest.approx(float(alone[0]), rel=1e-5)


def test_samples_that_are_all_alike_have_the_energy_of_one(benchmark, tiny_task):
    """Without spread the energy score is the error itself."""
    motions = [tiny_task.corpus[int(index)].motion for index in benchmark.several]
    shifted = [np.clip(motion + 0.1, 0, 1) for motion in motions]
    found = measure_samples(benchmark, [shifted, shifted])
    alone = measure_motions(benchmark, shifted, np.arange(len(motions)))
    assert tuple(found) == SEVERAL_EACH and found["diversity"].max() == 0
    assert np.allclose(found["lve_energy"], alone["lve"], rtol=1e-5)
    varied = measure_samples(benchmark, [shifted, motions])
    assert (varied["lve_energy"] < found["lve_energy"]).all() and (varied["diversity"] > 0).all()


def test_synchrony_of_clips_adds_up_to_slcc(rng):
    """Else its interval would be that of another figure."""
    loudness, speed = rng.uniform(0.1, 1, 12).astype(np.float32), rng.uniform(1, 9, 12)
    speed[3] = np.nan
    speakers = ["a"] * 5 + ["b"] * 6 + ["alone"]
    found = synchrony(loudness, speed, speakers)
    assert np.isnan(found[[3, 11]]).all()
    slcc = speech_lip_correlation(loudness, speed, speakers=speakers)
    assert np.nanmean(found) == pytest.approx(slcc, abs=1e-6)
