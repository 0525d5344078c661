"""A trial in its worker process: a run folder on the run's earlier stages, trained and measured."""

from __future__ import annotations

import csv
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import read_json, write_text
from esarm_env.core.errors import InputError, with_kind
from esarm_env.core.run_layout import (
    CONFIG_FILE,
    LOG_FILE,
    METRICS_FILE,
    POLICY_FILE,
    STAGES,
    SUMMARY_FILE,
)
from train.parallel.output import output_to
from train.run.config import make_config
from train.run.loggers import TrainingLogger, logging_with
from train.run.run_folder import RunFolder
from train.tuning.space import setting
from train.tuning.trials import ERROR_FILE, Figures, trial_folder

if TYPE_CHECKING:
    from train.parallel.stages import Surroundings
    from train.run.config import Config
    from train.run.loggers import Row

Report = Callable[[Figures], None]


@dataclass(frozen=True)
class Task:
    """What all trials of a sweep have in common.

    Attributes:
        base: Folder of the run whose earlier stages they share.
        sweep: Folder of the sweep.
        stage: That is tuned.
        fixed: Settings `KEY=VALUE` that all trials share.
        baseline: Figures of what the sweep starts from.
        around: Of the worker.
    """

    base: str
    sweep: str
    stage: str
    fixed: tuple[str, ...]
    baseline: Mapping[str, float]
    around: Surroundings


def config_of(
    base: Path, fixed: Sequence[str], tried: Mapping[str, Any], *, stage: str = "improve"
) -> Config:
    """Return the settings of a trial: the run's, of its algorithms the first alone, and its own.

    Args:
        base: Folder of the run.
        fixed: `KEY=VALUE` of all trials.
        tried: Of this trial, by full key.
        stage: That is tuned.
    """
    file = base / CONFIG_FILE
    first: tuple[str, ...] = ()
    if stage == "improve":
        first = (
            setting("improve.algorithms", [RunFolder.open(base).config.improve.algorithms[0]]),
        )
    own = [setting(key, value) for key, value in tried.items()]
    return make_config(preset="demo", file=file, overrides=[*first, *fixed, *own])


def do_trial(task: Task, number: int, tried: Mapping[str, Any], report: Report) -> Figures:
    """Train a trial and return its figures; what it prints goes to `log.txt` in its folder.

    Args:
        task: Of the sweep.
        number: Of the trial.
        tried: Its settings.
        report: Gets the figures of every measured iteration; may end the process.

    Raises:
        Exception: Whatever training raised, when `error.txt` says it.
    """
    folder = trial_folder(Path(task.sweep), number)
    with output_to(folder / LOG_FILE):
        try:
            task.around.enter()
            return _train(task, folder, tried, report)
        except Exception as error:
            traceback.print_exc()
            write_text(folder / ERROR_FILE, with_kind(error) + "\n")
            raise


def _train(task: Task, folder: Path, tried: Mapping[str, Any], report: Report) -> Figures:
    base = RunFolder.open(Path(task.base))
    run = _begin(base, folder, config_of(base.path, task.fixed, tried, stage=task.stage), task)
    with logging_with(_Reports(task.baseline, report)):
        return _STAGES[task.stage](base, run, task.baseline)


def _begin(base: RunFolder, folder: Path, config: Config, task: Task) -> RunFolder:
    """Return the run folder of a trial, with the stages before the one that is tuned."""
    from train.rounds.folders import copy_stage

    run = RunFolder.create(folder, config)
    for stage in STAGES[: STAGES.index(task.stage)]:
        if base.is_finished(stage):  # runs of before there were encoders have none
            copy_stage(base, folder, stage)
    return run


class _Reports(TrainingLogger):
    """Tells the sweep of each measured row."""

    def __init__(self, baseline: Mapping[str, float], report: Report) -> None:
        self._baseline, self._report = baseline, report

    def row(self, folder: Path, row: Row) -> None:
        """Report the figures in a row, if it has any."""
        from train.tuning.figures import from_row

        if figures := from_row(row, self._baseline):
            self._report(figures)


def _improve(base: RunFolder, run: RunFolder, baseline: Mapping[str, float]) -> Figures:
    """Train a policy; its figures are those of the last iteration, whose weights are kept."""
    from esarm_env.task.episode_metrics import EVE, LVE
    from train.stages.improve import run_improve
    from train.tuning.figures import WITHOUT_CHANCE, from_row

    summary = run_improve(run)
    name = run.config.improve.algorithms[0]
    figures = _last_of(run.stage("improve") / name / METRICS_FILE, baseline)
    if not figures:  # written by a training of one row without any
        last = {k: v for k, v in summary[name]["last"].items() if v is not None}
        figures = from_row(last, baseline)
    errors = summary["best_on_validation"]["errors_mm"]
    known = {key: float("nan") if v is None else v for key, v in errors[name].items()}
    return figures | {f"{key}{WITHOUT_CHANCE}": known[key] for key in (LVE, EVE)}


def _clone(base: RunFolder, run: RunFolder, baseline: Mapping[str, float]) -> Figures:
    """Train a clone; its figures are those of its best weights."""
    from agents.weights import load_policy
    from train.stages.clone import run_clone
    from train.tuning.figures import TRUE_ERROR, CloneMeasure, Measured, relative

    measure = CloneMeasure(run, judged_by=base)
    summary = run_clone(run, measured=lambda trainer: Measured(trainer, measure.of))
    figures = measure.of(load_policy(run.stage("clone") / POLICY_FILE))
    figures[TRUE_ERROR] = relative(figures, baseline)
    return figures | {"step": float(summary["epochs"])}


def _reward(base: RunFolder, run: RunFolder, baseline: Mapping[str, float]) -> Figures:
    """Train a reward model; its figures are those of the model that is kept."""
    from esarm_env.task.opening import open_task
    from reward.plugins.learned import open_model
    from train.stages.reward import run_reward
    from train.tuning.figures import Measured, RewardMeasure, own_figure

    measure = RewardMeasure(run)
    run_reward(run, measured=lambda trainer: Measured(trainer, measure.of))
    summary = read_json(run.stage("reward") / SUMMARY_FILE, "a stage's summary")
    figures = measure.of(open_model(run.path, open_task(run.path)))
    last = _last_of(run.stage("reward") / METRICS_FILE, baseline)
    return figures | own_figure(summary) | {"step": last.get("step", 0.0)}


_STAGES: dict[str, Callable[[RunFolder, RunFolder, Mapping[str, float]], Figures]] = {
    "clone": _clone,
    "reward": _reward,
    "improve": _improve,
}


def _last_of(file: Path, baseline: Mapping[str, float]) -> Figures:
    """Return the figures in the last measured row of a `metrics.csv`."""
    from train.tuning.figures import from_row

    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = [
                {key: float(value) for key, value in row.items() if value}
                for row in csv.DictReader(lines)
            ]
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: must hold the rows of a training, got {error}") from error
    measured = [figures for row in rows if (figures := from_row(row, baseline))]
    return measured[-1] if measured else {}
