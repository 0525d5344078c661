"""`esarm tune` on a tiny run: from the command to its table, interrupted and gone on with."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from esarm_env.core.errors import InputError, MissingExtraError
from train.cli import main
from train.parallel.stages import Surroundings, do_step
from train.run.run_folder import RunFolder
from train.tuning import sweep as sweep_module
from train.tuning.sweep import Wanted, sweep
from train.tuning.trials import FINISHED, RUNNING, error_of, load_trials, save_trial
from train.tuning.work import Task, do_trial

SMALL = ("--set", "improve.iterations=2", "--space", "learning_rate", "kl_coef")
FAILING = """
from agents import SequenceReinforce

class Unlucky(SequenceReinforce):
    def policy_loss(self, *args, **kwargs):
        raise RuntimeError("out of luck")
"""


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def told(lines: list[str]) -> str:
    return "\n".join(lines)


@pytest.mark.usefixtures("ray_session")
def test_a_sweep_runs_goes_on_and_reports(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two trials, of which one is taken back as an interruption would; then one more."""
    options = ["tune", "--run", str(run), *SMALL, "--parallel", "1", "--no-prune"]
    main([*options, "--trials", "2"])
    printed = capsys.readouterr()
    assert "2 trials of `improve`, 0 done, 1 at a time with 1 thread each" in printed.out
    assert "clone (no RL)" in printed.out and "ray" not in printed.out.lower()
    folder = run / "tune" / "improve"
    first, second = load_trials(folder)
    assert first.state == second.state == FINISHED
    assert first.reports[-1]["lve_mm"] == first.figures["lve_mm"]
    assert first.figures["lve_without_chance_mm"] > 0
    assert first.settings != second.settings
    assert (folder / "tune.md").is_file() and (folder / "best.yaml").is_file()
    weights = folder / "trials" / "0001" / "clone" / "policy.safetensors"
    assert weights.samefile(run / "clone" / "policy.safetensors"), "weights take no room twice"

    # As if the machine had gone down between the end of its training and its record.
    before = dict(second.figures)
    second.state, second.figures = RUNNING, {}
    save_trial(folder, second)
    main([*options, "--trials", "3", "--json", str(run / "tune.json")])
    printed = capsys.readouterr()
    assert "3 trials of `improve`, 1 done" in printed.out
    assert [trial.number for trial in load_trials(folder)] == [1, 2, 3]
    again = load_trials(folder)
    assert again[0] == first, "a finished trial is kept as it is"
    assert again[1].figures == before, "an interrupted one ends as it would have"
    assert again[2].settings not in (first.settings, second.settings)
    found = json.loads((run / "tune.json").read_text())
    assert len(found["trials"]) == 3 and found["baseline"]["true_error"] == 1.0


def test_a_trial_that_fails_leaves_its_reason(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own account of it is pickled, and twenty lines long."""
    monkeypatch.chdir(tmp_path)
    Path("unlucky.py").write_text(FAILING)
    fixed = ("improve.algorithms=[unlucky.py:Unlucky]", "improve.iterations=1")
    folder = run / "tune" / "x"
    around = Surroundings(str(tmp_path), torch.get_num_threads(), ("unlucky.py:Unlucky",))
    task = Task(str(run), str(folder), "improve", fixed, {}, around)
    with pytest.raises(RuntimeError, match="out of luck"):
        do_trial(task, 1, {"improve.learning_rate": 1e-4}, lambda figures: None)
    trial = folder / "trials" / "0001"
    assert error_of(trial) == "RuntimeError: out of luck"
    assert 'RuntimeError("out of luck")' in (trial / "log.txt").read_text()


@pytest.mark.usefixtures("ray_session")
def test_a_stage_on_ray_gives_the_weights_of_this_process(run: Path, tmp_path: Path) -> None:
    """Seeds at a time must be evidence of the same trainings as seeds one after the other."""
    import ray

    copies = []
    for name in ("here", "there"):
        copies.append(Path(shutil.copytree(run, tmp_path / name)))
        shutil.rmtree(copies[-1] / "clone")
    around = Surroundings.here(threads=torch.get_num_threads())
    there = ray.remote(do_step).remote(str(copies[1]), "clone", around)
    assert not do_step(str(copies[0]), "clone", around).error
    assert not ray.get(there).error
    weights = [(copy / "clone" / "policy.safetensors").read_bytes() for copy in copies]
    assert weights[0] == weights[1]
    assert "Behaviour cloning" in (copies[1] / "log.txt").read_text()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("improve", "x", trials=0), "`trials` must be at least 1, got 0"),
        (Wanted("improve", "x", parallel=-1), "`parallel` must be at least 0, got -1"),
        (Wanted("improve", "../x"), "`as` must be letters, digits, - and _, got '../x'"),
        (
            Wanted("improve", "x", fixed=("clone.epochs=3",)),
            "`--set` must be a setting of `improve`, or `seed`, to tune `improve`",
        ),
        (
            Wanted("improve", "x", fixed=("improve.algorithms=[ppo,reinforce]",)),
            "`improve.algorithms` must be one algorithm in a sweep",
        ),
        (Wanted("improve", "x", space=("kl",)), "settings that can be tuned, got 'kl'"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_begins(
    run: Path, wanted: Wanted, message: str
) -> None:
    """Nothing is written, nothing is started."""
    with pytest.raises(InputError, match=re.escape(message)):
        sweep(RunFolder.open(run), wanted)
    assert not (run / "tune").exists()


def test_a_run_that_is_not_finished_says_what_is_missing(run: Path) -> None:
    """With the command that goes on."""
    shutil.rmtree(run / "reward")
    message = "`run` must be finished up to `reward` to tune `improve`"
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        sweep(RunFolder.open(run), Wanted("improve", "x"))
    assert f"`esarm reward --run {run}`" in str(caught.value)


def test_other_settings_under_a_name_are_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials of two kinds in one table would be ranked against each other."""
    monkeypatch.setattr(sweep_module, "search_on", lambda *args, **kwargs: None)
    said: list[str] = []
    sweep(RunFolder.open(run), Wanted("improve", "x", space=("kl_coef",)), say=said.append)
    assert "20 trials of `improve`" in told(said)
    with pytest.raises(InputError, match=r"must hold trials of one kind, got metric 'score'"):
        sweep(RunFolder.open(run), Wanted("improve", "x", space=("kl_coef",), metric="score"))


def test_without_the_extra_the_pip_line_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no folder is made."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'esarm[tune]'")):
        sweep(RunFolder.open(run), Wanted("improve", "x", space=("kl_coef",)))
    assert not (run / "tune").exists()


def test_nothing_of_ray_is_loaded_before_it_is_needed() -> None:
    """Help pages, and everybody without the extra."""
    for name in ("train.tuning.search", "train.tuning.sweep", "train.seeds.training"):
        module: Any = importlib.import_module(name)
        assert not {"ray", "optuna", "tune"} & set(vars(module))
