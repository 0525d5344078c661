"""`esarm run --rounds N` on a miniature run, and what its rounds are made of."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import DEMONSTRATIONS_FILE, HACKED_FILE
from esarm_env.task.opening import open_task
from reward.demonstrations import load_demonstrations
from train.cli import main
from train.rounds.folders import check_rounds, open_rounds
from train.rounds.rounds import find_hacked, most_disputed
from train.run.run_folder import RunFolder
from train.stages.reward import continue_from, demonstrations_of, run_reward


@pytest.fixture(scope="module")
def iterated(finished_run, tmp_path_factory):
    """A copy of the miniature run after a second round."""
    run = tmp_path_factory.mktemp("rounds") / "run"
    shutil.copytree(finished_run, run)
    main(["run", "--run", str(run), "--rounds", "2"])
    return run


def test_a_second_round_starts_from_the_first_ones_policy(iterated):
    """Rolling out the old clone again would teach nothing new."""
    second = iterated / "rounds" / "2"
    started = load_file(second / "clone" / "policy.safetensors")
    first = load_file(iterated / "improve" / "ppo" / "policy.safetensors")
    for name, weight in first.items():
        assert torch.equal(started[name], weight), name
    for stage in ("demonstrate", "reward", "improve", "evaluate"):
        assert (second / stage / "summary.json").is_file(), stage
    ended = load_file(second / "improve" / "ppo" / "policy.safetensors")
    assert any(not torch.equal(ended[name], first[name]) for name in first)
    shown = load_demonstrations(second / "demonstrate" / DEMONSTRATIONS_FILE)
    before = load_demonstrations(iterated / "demonstrate" / DEMONSTRATIONS_FILE)
    assert set(shown.making.iteration.tolist()) == {1}
    assert not np.array_equal(shown.trajectories.tokens, before.trajectories.tokens)


def test_the_report_shows_proxy_and_gold_of_each_round(iterated):
    """A learned score stands never without the true errors beside it."""
    report = (iterated / "report.md").read_text()
    assert "## Rounds of improvement" in report
    section = report.split("## Rounds of improvement")[1].split("##")[0]
    ways = ("greedy", "expected distance", "sampled")
    for label in (f"{number}, {way}" for number in (1, 2) for way in ways):
        line = next(line for line in section.splitlines() if line.startswith(f"| {label} |"))
        assert line.count("|") == 7
    errors = "LVE (mm) ↓ | EVE (mm) ↓ | EVE without eyelids (mm) ↓"
    assert f"{errors} | learned score | suspicious samples |" in section
    assert len(open_rounds(RunFolder.open(iterated))) == 2


def test_finished_rounds_are_kept_and_an_interrupted_one_goes_on(iterated, tmp_path):
    """A round is minutes of work; the same command must not do it twice."""
    run = tmp_path / "run"
    shutil.copytree(iterated, run)
    second = run / "rounds" / "2"
    before = (second / "reward" / "reward.safetensors").stat().st_mtime_ns
    expected = json.loads((second / "evaluate" / "summary.json").read_text())
    shutil.rmtree(second / "evaluate")
    file = tmp_path / "figures.json"
    main(["run", "--run", str(run), "--rounds", "2", "--json", str(file)])
    assert (second / "reward" / "reward.safetensors").stat().st_mtime_ns == before
    figures = json.loads(file.read_text())["rounds"][0]
    assert figures["evaluate"]["against_clone"] == expected["against_clone"]
    assert figures["demonstrate"]["suspicious"]["samples"] > 0


def test_all_rounds_are_learned_from_with_truth_on_top_and_suspects_below(iterated):
    """A wrong order would teach the reward what it is to unlearn."""
    run = RunFolder.open(iterated)
    rounds, task = open_rounds(run), open_task(iterated)
    hacked = rounds[1].stage("demonstrate") / HACKED_FILE
    if not hacked.is_file():  # this reward may prefer no sample to the recording
        ladder = load_demonstrations(rounds[1].stage("demonstrate") / DEMONSTRATIONS_FILE)
        ladder[:2].save(hacked)
    shown = demonstrations_of(rounds, task)
    levels = [-1.0, *run.config.demonstrate.epsilons]
    for number in (0, 1):
        mine = shown[shown.making.iteration == number]
        np.testing.assert_allclose(np.unique(mine.making.rank), levels, rtol=1e-6)
        top = mine[mine.making.rank == -1]
        assert set(top.making.origin.tolist()) == {"reconstruction"}
    n_hacked = len(load_demonstrations(hacked))
    newest = shown[-n_hacked:]
    assert set(newest.making.rank.tolist()) == {np.float32(levels[2])}


class Prefers:
    """A reward that likes token 0, and an ensemble that disagrees about it."""

    needs_ground_truth = False

    def score(self, trajectories):
        return (trajectories.tokens == 0).mean(axis=1).astype(np.float32)


def test_samples_that_outrank_the_recording_are_suspicious(tiny_task):
    """They are found by score alone, and each against the recording of its own utterance."""
    utterances = np.array([0, 1, 2])
    recorded = tiny_task.recorded(utterances)

    def roll_out(rows, *, condition, temperature, epsilon, seeds):
        made = tiny_task.recorded(rows)
        made.tokens[1, : made.lengths[1]] = 0  # only the second utterance is hacked
        return made

    assert not (recorded.tokens[1] == 0).all()
    hacked, counts = find_hacked(
        roll_out, tiny_task, Prefers(), utterances=utterances, iteration=1, seed=0
    )
    assert hacked.utterance.tolist() == [1, 1]
    assert counts == {"samples": 6, "hacked": 2, "outranking_the_recording": 2, "disputed": 0}
    assert set(hacked.making.iteration.tolist()) == {1}


def test_the_most_disputed_are_those_with_the_widest_spread():
    """An ensemble's opinion counts, whatever its mean."""
    members = np.zeros((3, 10))
    members[0, 4] = 5.0
    assert np.flatnonzero(most_disputed(members, share=0.1)).tolist() == [4]
    assert not most_disputed(members[:1], share=0.1).any()
    assert not most_disputed(np.ones((2, 10)), share=0.1).any()  # all agree


def test_weights_go_on_but_calibration_does_not():
    """A scale of the last round would standardise this one's scores wrongly."""

    class Scaled(nn.Module):
        def __init__(self, scale, width=2):
            super().__init__()
            self.linear = nn.Linear(width, 1)
            self.register_buffer("scale", torch.tensor(scale))

    old, new = Scaled(3.0), Scaled(1.0)
    continue_from(new, old)
    assert torch.equal(new.linear.weight, old.linear.weight)
    assert new.scale == 1
    with pytest.raises(InputError, match=re.escape("got others for ['linear.weight'")):
        continue_from(Scaled(1.0, width=3), old)


@pytest.mark.parametrize(
    ("rounds", "setting", "message"),
    [
        (0, None, "`rounds` must be at least 1, got 0"),
        (2, "improve.reward=lve", "`improve.reward` must be learned where there are several"),
        (2, "demonstrate.epsilons=[0.5]", "`demonstrate.epsilons` must be at least two levels"),
    ],
)
def test_rounds_that_cannot_be_are_refused_at_once(rounds, setting, message, tmp_path, capsys):
    """Not after the first round, which takes minutes."""
    options = [] if setting is None else ["--set", setting]
    with pytest.raises(SystemExit, match=r"^2$") as stopped:
        main(["run", "--run", str(tmp_path / "run"), "--rounds", str(rounds), *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "corpus").exists()


def test_one_round_of_any_reward_is_allowed(finished_run):
    """The limit is about what a second round would learn."""
    check_rounds(RunFolder.open(finished_run), 1)


def test_the_papers_recipe_learns_on_from_all_rounds(iterated, tmp_path):
    """Its trainer ranks within each policy's ladder, of one more rank than in the first round."""
    path = tmp_path / "run"
    shutil.copytree(iterated, path)
    rounds = open_rounds(RunFolder.open(path))
    for current in rounds:
        shutil.rmtree(current.path / "reward")
        current.config = dataclasses.replace(current.config, recipe="paper")
    first, second = rounds
    run_reward(first)
    summary = run_reward(second, earlier=[first])
    assert summary["recipe"] == "paper"
    weights = [load_file(r.path / "reward" / "reward.safetensors") for r in rounds]
    assert weights[0].keys() == weights[1].keys()
    moved = [(weights[1][n] - weights[0][n]).abs().max().item() for n in weights[0]]
    # Two epochs from the last weights, not from new ones (which differ by about 0.5).
    assert 0 < np.median(moved) < 0.05
