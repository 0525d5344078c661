"""`esarm bench workers`: its model against cases worked out by hand, and the command in small."""

import json
import re

import pytest

from esarm_env.core.errors import InputError
from train.bench.workers.measurement import bench_workers
from train.bench.workers.model import Iteration, longest_load
from train.cli import main


def test_the_free_worker_takes_the_dearest_part():
    """By hand: 5 and 4 begin, 3 joins the 4, 2 the 5."""
    assert longest_load([2, 3, 4, 5], 1) == 14
    assert longest_load([2, 3, 4, 5], 2) == 7
    assert longest_load([2, 3, 4, 5], 9) == 5


def test_more_workers_end_at_the_learner_and_the_longest_part():
    """Who rents 64 machines for four parts pays for 60 that wait."""
    made = Iteration(
        part_costs=(5, 4, 3, 2),
        work_s=14.0,
        alone_s=1.0,
        learner_s=4.0,
        weight_bytes=100,
        other_bytes=10,
    )
    assert [made.rollout_s(n) for n in (1, 2, 4, 64)] == [15, 8, 6, 6]
    assert made.least_s() == 10
    assert made.enough() == 3, "with three, 5, 4 and 3 + 2"
    row = made.row(2)
    assert row["iteration_s"] == 12 and row["bytes"] == 210
    assert row["times_faster"] == pytest.approx(19 / 12)
    assert row["learner_share"] == pytest.approx(4 / 12)


def test_the_command_measures_this_process(finished_run, tmp_path, capsys):
    """Without workers it needs no Ray."""
    file = tmp_path / "figures.json"
    options = ["--episodes", "40", "--repetitions", "1", "--json", str(file)]
    main(["bench", "workers", "--run", str(finished_run), "--workers", "0", *options])
    figures = json.loads(file.read_text())
    assert figures["rollouts"][0]["equal"] and figures["episodes"] == 40
    assert figures["bytes"]["episodes"] > 18 * figures["tokens"]
    assert [row["workers"] for row in figures["modelled"]] == [1, 2, 4, 8, 16, 32, 64]
    assert figures["model"]["parts"] == 2
    assert "learner's share" in capsys.readouterr().out


def test_workers_are_compared_to_the_last_bit(finished_run, three_workers, monkeypatch):
    """A speed-up of other results is none."""
    from agents.collectors import ray_collector
    from esarm_env.core.workers import SerialPool

    pools = {0: SerialPool(), 1: three_workers}
    monkeypatch.setattr(ray_collector, "open_pool", pools.__getitem__)
    monkeypatch.setattr(three_workers, "close", lambda: None)
    figures = bench_workers(finished_run, workers=(0, 1), episodes=40, repetitions=1)
    assert [row["equal"] for row in figures["rollouts"]] == [True, True]
    assert "overhead_of_one_worker" in figures and "two_workers_times_faster" not in figures


def test_sizes_are_checked():
    """Nothing is worth measuring with 3 episodes."""
    rule = "`episodes` must be a multiple of 4 and at least 4, got 3"
    with pytest.raises(InputError, match=re.escape(rule)):
        bench_workers(None, workers=(0,), episodes=3, repetitions=1)
    with pytest.raises(InputError, match="`repetitions` must be at least 1, got 0"):
        bench_workers(None, workers=(0,), episodes=4, repetitions=0)
