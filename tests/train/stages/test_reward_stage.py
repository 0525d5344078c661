"""The reward stage: two recipes, one command, one file."""

import json
import re
import shutil

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.rewards import resolve_reward
from esarm_env.task.opening import open_task
from reward.plugins.learned import open_learned
from train.cli import main
from train.run.config import Config
from train.run.run_folder import RunFolder
from train.stages import STAGE_FUNCTIONS


@pytest.fixture
def unrewarded(finished_run, tmp_path):
    """A copy of the finished run up to its demonstrations, without its settings."""
    run = tmp_path / "run"
    for stage in ("corpus", "prior", "encoder", "clone", "demonstrate"):
        shutil.copytree(finished_run / stage, run / stage)
    return run


def test_the_default_recipe_is_consensus_and_gives_streams(finished_run):
    """What `esarm run` leaves is the reward that was found to work."""
    summary = json.loads((finished_run / "reward" / "summary.json").read_text())
    assert summary["recipe"] == "consensus"
    assert -1 <= summary["validation_agreement_mouth"] <= 1
    assert len(summary["spread_mm"]) == 2
    task = open_task(finished_run)
    learned = open_learned(task, finished_run)
    streams = learned.score_streams(task.recorded(task.corpus.split("test")))
    assert set(streams) == {"mouth", "upper"}


def test_the_second_head_is_trained_beside_the_first(finished_run):
    """It is a reward by itself, a term of the sum, and its figures stand in the summary."""
    found = json.loads((finished_run / "reward" / "summary.json").read_text())["naturalness"]
    assert found["weight"] == Config().naturalness.weight
    ways = ["greedy", "expected-distance", "sampled"]
    assert [key for key in found if "above" in key] == [f"validation_above_{way}" for way in ways]
    assert 1 <= found["best_epoch"] <= 2
    assert (finished_run / "reward" / "naturalness" / "metrics.csv").is_file()
    resolved = resolve_reward(None, open_task(finished_run), finished_run)
    assert resolved.terms == ("expected-error", "naturalness")


def test_without_weight_no_second_head_is_trained(unrewarded, tiny_options):
    """Whoever wants expected error alone has it, and pays no time for the other."""
    settings = tiny_options(f"corpus.name={unrewarded}", "naturalness.weight=0")
    main(["reward", "--run", str(unrewarded), *settings])
    assert not (unrewarded / "reward" / "naturalness.safetensors").exists()
    assert resolve_reward(None, open_task(unrewarded), unrewarded).terms == ("learned",)


def test_the_papers_recipe_stays_available(unrewarded, tiny_options, capsys):
    """Its row stands beside ours in every table."""
    settings = tiny_options(f"corpus.name={unrewarded}", recipe="paper")
    main(["reward", "--run", str(unrewarded), "--recipe", "paper", *settings])
    assert "recipe: paper" in capsys.readouterr().out
    learned = open_learned(open_task(unrewarded), unrewarded)
    assert learned.streams == (), "it gives one score alone"
    with pytest.raises(ValueError, match="this reward model has a single head"):
        learned.score_streams(learned._task.recorded(np.array([0])))
    assert RunFolder.open(unrewarded).config.recipe == "paper"


def test_an_unknown_recipe_is_refused_before_anything_is_done(tmp_path):
    """A typo must not cost the stages before."""
    run = RunFolder.create(tmp_path / "run", Config(recipe="papers"))
    with pytest.raises(InputError, match=re.escape("`recipe` must be `consensus` or `paper`")):
        STAGE_FUNCTIONS["reward"](run)


def test_a_run_of_before_a_setting_existed_still_opens(finished_run, tmp_path):
    """Else every new setting would lock all old runs."""
    run = tmp_path / "old"
    shutil.copytree(finished_run, run)
    lines = (run / "config.yaml").read_text().splitlines()
    kept = [
        line for line in lines if not line.startswith("recipe:") and "stream_advantages" not in line
    ]
    assert len(kept) == len(lines) - 2
    (run / "config.yaml").write_text("\n".join(kept) + "\n")
    assert RunFolder.open(run).config.recipe == "consensus"
