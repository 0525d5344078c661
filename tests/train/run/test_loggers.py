"""Loggers of trainings: what is chosen, what is absent, and what reaches a stand-in for W&B."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch.utils.tensorboard  # noqa: F401  # warns of its own when first imported

from esarm_env.core.errors import InputError, MissingExtraError
from train.cli import main
from train.commands.options import RunOptions
from train.commands.pipeline import command_run
from train.run.config import Config, to_dict
from train.run.loggers import check_logger, label_of, logging_to, training_logger
from train.run.loop import drive
from train.run.run_folder import RunFolder
from train.stages import STAGE_FUNCTIONS


class Counting:
    """A trainer of three units."""

    def __init__(self) -> None:
        self.n_done, self.n_total = 0, 3

    def advance(self) -> dict[str, float]:
        self.n_done += 1
        return {"loss": 1 / self.n_done}

    def state_dict(self) -> dict[str, Any]:
        return {"n_done": self.n_done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n_done = state["n_done"]


class StandIn(ModuleType):
    """Takes the place of the package `wandb`: keeps what it is told."""

    def __init__(self, fails_at: int = 10**6) -> None:
        super().__init__("wandb")
        self.begun: list[dict[str, Any]] = []
        self.told: list[Any] = []
        self.fails_at = fails_at

    def init(self, **settings: Any) -> StandIn:
        self.begun.append(settings)
        return self

    def define_metric(self, name: str, *, step_metric: str) -> None:
        self.told.append((name, step_metric))

    def log(self, row: dict[str, float]) -> None:
        if len(self.told) >= self.fails_at:
            raise OSError("the network is gone")
        self.told.append(row)

    def finish(self) -> None:
        self.told.append("finished")


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in, installed."""
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return stand_in


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A run as far as loggers look at it."""
    return SimpleNamespace(path=tmp_path / "mine", config=Config())


def train(folder: Path) -> list[dict[str, float]]:
    return drive(Counting(), folder, title="Three", shown="loss")  # type: ignore[arg-type]


def test_without_a_choice_events_are_written_where_tensorboard_is(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As runs always did; without the package nothing is missed."""
    with logging_to(None, run):
        train(run.path / "clone")
    assert len(list((run.path / "clone").glob("events.out.tfevents.*"))) == 1
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train(run.path / "prior")
    assert [path.name for path in (run.path / "prior").iterdir()] == ["metrics.csv"]


def test_none_writes_no_events(run: Any) -> None:
    """Hundreds of trainings of an ablation need no file each."""
    with logging_to("none", run):
        train(run.path / "clone")
    assert [path.name for path in (run.path / "clone").iterdir()] == ["metrics.csv"]


def test_rows_reach_wandb_as_they_come(run: Any, wandb: StandIn) -> None:
    """All stages in one run, each over its own steps: W&B's own step may never go back."""
    with logging_to("wandb", run):
        train(run.path / ".clone.partial")
        train(run.path / ".improve.partial" / "ppo")
    (begun,) = wandb.begun
    assert begun["name"] == "mine" and begun["project"] == "esarm"
    assert begun["config"] == to_dict(run.config) and begun["resume"] == "allow"
    assert wandb.told[:3] == [
        ("clone/*", "clone/step"),
        {"clone/step": 1, "clone/loss": 1.0},
        {"clone/step": 2, "clone/loss": 0.5},
    ]
    assert wandb.told[4:6] == [
        ("improve/ppo/*", "improve/ppo/step"),
        {"improve/ppo/step": 1, "improve/ppo/loss": 1.0},
    ]
    assert wandb.told[-1] == "finished"
    assert not list(run.path.rglob("events.out*"))


def test_a_run_that_goes_on_is_one_run_at_wandb(run: Any, wandb: StandIn) -> None:
    """An interrupted run would otherwise be two halves of a curve."""
    for _ in range(2):
        with logging_to("wandb", run):
            pass
    first, second = wandb.begun
    assert first["id"] == second["id"]
    (run.path / "wandb.json").write_text('{"id": "../x"}')
    with logging_to("wandb", run):
        pass
    assert wandb.begun[2]["id"] not in (first["id"], "../x"), "a damaged file is a fresh run"


def test_a_network_that_goes_costs_no_training(run: Any, wandb: StandIn) -> None:
    """Hours of training must not end because a figure could not be sent."""
    wandb.fails_at = 2
    with (
        pytest.warns(UserWarning, match=re.escape("wandb logs no further, since the network is")),
        logging_to("wandb", run),
    ):
        rows = train(run.path / "clone")
    assert len(rows) == 3 and (run.path / "clone" / "metrics.csv").is_file()


def test_a_login_that_is_missing_is_said_in_one_line(
    run: Any, wandb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B raises errors of its own, with a stack that says nothing of the remedy."""

    def refuse(**settings: Any) -> None:
        raise RuntimeError("api_key not configured")

    monkeypatch.setattr(wandb, "init", refuse)
    rule = "got wandb, which says: api_key not configured; run `wandb login`, or set WANDB_MODE="
    with pytest.raises(InputError, match=re.escape(rule)), logging_to("wandb", run):
        raise AssertionError("never begun")


def test_what_is_not_installed_is_refused_before_the_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half an hour later the stages would have been trained without a curve."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    rule = "`logger` must be one that is installed, got wandb: run `pip install wandb`"
    with pytest.raises(InputError, match=re.escape(rule)):
        command_run(options=RunOptions(run=tmp_path / "run"), logger="wandb")
    assert not (tmp_path / "run").exists()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'esarm[tensorboard]'")):
        check_logger("tensorboard")


TRAINING = ("prior", "encoder", "clone", "reward", "improve")


@pytest.mark.parametrize("stage", TRAINING)
def test_a_stage_alone_logs_where_it_is_told(
    stage: str, finished_run: Path, tmp_path: Path, wandb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs stage by stage would have no curves of it."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    main([stage, "--run", str(run), "--logger", "wandb"])
    assert wandb.begun == [], "a finished stage has nothing to send"
    shutil.rmtree(run / stage)
    found: list[tuple[Path, str]] = []

    def work(opened: RunFolder) -> dict[str, Any]:
        train(opened.path / stage)
        found.append((opened.path, training_logger().__class__.__name__))
        return {}

    monkeypatch.setitem(STAGE_FUNCTIONS, stage, work)
    main([stage, "--run", str(run), "--logger", "wandb"])
    assert wandb.told[0] == (f"{stage}/*", f"{stage}/step") and wandb.told[-1] == "finished"
    shutil.rmtree(run / stage)
    main([stage, "--run", str(run), "--logger", "none"])
    assert found == [(run, "WandbLogger"), (run, "TrainingLogger")]
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(SystemExit, match=r"^2$"):
        main([stage, "--run", str(run), "--logger", "wandb"])
    assert len(found) == 2


def test_experiments_and_speech_log_where_they_are_told(
    finished_run: Path, tmp_path: Path, wandb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They train as the stage does, in folders of their own."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)

    def measure(experiment: RunFolder, run: RunFolder) -> None:
        raise InputError("enough")

    monkeypatch.setattr("train.experiments.measuring.measure_experiment", measure)
    set_to = ("--reward", "zero", "--algorithm", "reinforce", "--set", "improve.iterations=1")
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["improve", "--from", str(run), "--as", "calm", *set_to, "--logger", "wandb"])
    assert wandb.told[0] == ("improve/reinforce/*", "improve/reinforce/step")
    assert (run / "experiments" / "calm" / "wandb.json").is_file()

    def learn(opened: RunFolder, speech: Path, **settings: Any) -> Any:
        train(opened.path / "speech" / "x")
        raise InputError("enough")

    monkeypatch.setattr("train.speech.stage.improve_on_speech", learn)
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["improve", "--run", str(run), "--speech", str(tmp_path), "--logger", "wandb"])
    assert ("speech/x/*", "speech/x/step") in wandb.told and wandb.told[-1] == "finished"


def test_a_folder_outside_the_run_has_a_label_too(tmp_path: Path) -> None:
    """Figures of other commands lie beside the run."""
    root = tmp_path.resolve()
    assert label_of(root / "seeds" / "1" / ".clone.partial", root) == "seeds/1/clone"
    assert label_of(tmp_path / "a" / ".reward.partial", root / "b") == "a/reward"
