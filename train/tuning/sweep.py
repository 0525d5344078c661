"""A sweep from beginning to end: its folder, its baseline, the search, its results."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import file_digest, read_json, write_json
from esarm_env.core.errors import InputError
from esarm_env.core.processors import n_processors
from esarm_env.core.run_layout import (
    CONFIG_FILE,
    LOG_FILE,
    STAGES,
    TUNE_FOLDER,
    is_file,
    is_finished,
    partial_folder,
)
from train.parallel.stages import Surroundings
from train.run.kept_settings import keep_settings
from train.run.lock import locked
from train.run.run_folder import RunFolder, without_nan
from train.run.setting_ranges import check_settings
from train.tuning.figures import Metric, Objective, baseline_of, check_baseline
from train.tuning.page import Sweep, write_pages
from train.tuning.search import Search, check_installed, search_on
from train.tuning.space import SECTIONS, Space, check_space, plain, space_of
from train.tuning.trials import FAILED, PRUNED, load_trials, trial_folder
from train.tuning.work import Task, config_of

if TYPE_CHECKING:
    from pathlib import Path

    from train.run.config import Config
    from train.tuning.records import Say
    from train.tuning.trials import Figures, Trial

BASELINE_FILE = "baseline.json"
# Up to which stage the run must be finished: what trials stand on, and are compared with.
_NEEDED = {"clone": "clone", "reward": "demonstrate", "improve": "reward"}
_FIRST_RUNG = 4  # one part in so many of a whole trial is always trained


@dataclass(frozen=True)
class Wanted:
    """A sweep as it was asked for.

    Attributes:
        stage: To tune.
        name: Of the sweep.
        space: Names of settings, or a YAML file.
        fixed: `KEY=VALUE` that all trials share.
        metric: What is sought.
        trials: In all.
        prune: Whether bad trials are ended early.
        parallel: Trials at a time; None as many as this machine has processors for.
        threads: CPU threads of torch of each trial; 0 is 1.
    """

    stage: str
    name: str
    space: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    metric: Metric = "true-error"
    trials: int = 20
    prune: bool = True
    parallel: int | None = None
    threads: int = 0

    @property
    def threads_each(self) -> int:
        """CPU threads of a trial."""
        return self.threads or 1

    @property
    def at_a_time(self) -> int:
        """Trials at work at a time."""
        if self.parallel is None:
            return max(1, n_processors() // self.threads_each)
        return max(1, self.parallel)


def sweep(run: RunFolder, wanted: Wanted, *, say: Say = print) -> Sweep:
    """Tune a stage of a finished run; the same call goes on where it was interrupted.

    Args:
        run: Whose earlier stages all trials share; nothing in it changes but `tune/NAME`.
        wanted: What is asked for.
        say: Prints a line.

    Raises:
        InputError: If a setting cannot be, the run lacks a stage, there is a sweep of other
            settings under the name, or all trials failed.
        MissingExtraError: If Ray Tune or Optuna is not installed.
    """
    _check(run, wanted)
    check_installed()
    config = _config(run, wanted)
    space = space_of(wanted.stage, config, wanted.space)
    check_space(
        space,
        stage=wanted.stage,
        file=run.path / CONFIG_FILE,
        settings=[*_first(run, wanted), *wanted.fixed],
        config=config,
    )
    folder = run.path / TUNE_FOLDER / wanted.name
    with locked(folder):
        _keep(run, wanted, space, folder)
        objective = Objective.of(wanted.stage, wanted.metric)
        baseline = _baseline(run, config, wanted.stage, folder)
        check_baseline(baseline, objective)
        search = _search(config, wanted, space, objective)
        before = load_trials(folder)
        _say_plan(before, search, wanted, space, say)
        try:
            search_on(_task(run, wanted, baseline, folder), search, before, sweep=folder, say=say)
        finally:
            made = Sweep(run.path, folder, wanted.stage, space, wanted.fixed, objective, baseline,
                         load_trials(folder))  # fmt: skip
            _tidy(made)
            write_pages(made)
        _check_not_all_failed(made)
    return made


def _check(run: RunFolder, wanted: Wanted) -> None:
    if wanted.trials < 1:
        raise InputError(f"`trials` must be at least 1, got {wanted.trials}")
    if wanted.parallel is not None and wanted.parallel < 0:
        raise InputError(f"`parallel` must be at least 0, got {wanted.parallel}")
    if not wanted.name.replace("-", "").replace("_", "").isalnum():
        raise InputError(f"`as` must be letters, digits, - and _, got {wanted.name!r}")
    needed = STAGES[: STAGES.index(_NEEDED[wanted.stage]) + 1]
    missing = [each for each in needed if each != "encoder" and not is_finished(run.path, each)]
    if missing:
        raise InputError(
            f"`run` must be finished up to `{needed[-1]}` to tune `{wanted.stage}`, got {run.path} "
            f"without {', '.join(f'`{each}`' for each in missing)}; go on with `esarm run --run "
            f"{run.path}`, or `esarm {missing[0]} --run {run.path}` for the next stage alone"
        )
    sections = SECTIONS[wanted.stage]
    for each in wanted.fixed:
        key = each.partition("=")[0].strip()
        if key != "seed" and key.partition(".")[0] not in sections:
            known = " or ".join(f"`{name}`" for name in sections)
            raise InputError(
                f"`--set` must be a setting of {known}, or `seed`, to tune `{wanted.stage}`, got "
                f"{key!r}; what earlier stages read needs a run of its own"
            )


def _first(run: RunFolder, wanted: Wanted) -> list[str]:
    if wanted.stage != "improve":
        return []
    return [f"improve.algorithms=[{run.config.improve.algorithms[0]!r}]"]


def _config(run: RunFolder, wanted: Wanted) -> Config:
    """Return the settings that all trials share.

    Raises:
        InputError: If one cannot be, or there are several algorithms.
    """
    config = config_of(run.path, wanted.fixed, {}, stage=wanted.stage)
    if wanted.stage == "improve" and len(config.improve.algorithms) != 1:
        raise InputError(
            "`improve.algorithms` must be one algorithm in a sweep, got "
            f"{list(config.improve.algorithms)}; sweep each under a name of its own (`--as`)"
        )
    check_settings(config, [wanted.stage])
    return config


def _keep(run: RunFolder, wanted: Wanted, space: Space, folder: Path) -> None:
    """Note what the trials of this folder have in common, or refuse others."""
    weights = {
        path.relative_to(run.path).as_posix(): file_digest(path)[:16]
        for stage in STAGES[: STAGES.index(wanted.stage)]
        for path in sorted((run.path / stage).glob("*.safetensors"))
    }
    keep_settings(
        folder,
        {
            "stage": wanted.stage,
            "metric": wanted.metric,
            "prune": wanted.prune,
            "fixed": list(wanted.fixed),
            "space": plain(space),
            "weights": weights,
        },
        what="trials",
        remedy="choose another --as, or delete the folder",
    )


def _baseline(run: RunFolder, config: Config, stage: str, folder: Path) -> Figures:
    """Return the figures of the clone or of the run's reward model, measured once."""
    file = folder / BASELINE_FILE
    if not is_file(file):
        figures = baseline_of(_with(run, config), stage)
        write_json(file, without_nan(figures))
        return figures
    kept = read_json(file, "the baseline of a sweep")
    return {key: math.nan if value is None else float(value) for key, value in kept.items()}


def _with(run: RunFolder, config: Config) -> RunFolder:
    """Return the run as if it had the settings of the trials: measured on as many utterances."""
    made = RunFolder(run.path, config)
    made.may_fetch = run.may_fetch
    return made


def _search(config: Config, wanted: Wanted, space: Space, objective: Objective) -> Search:
    n_steps, every = _steps(config, wanted.stage)
    rung = max(every, math.ceil(n_steps / _FIRST_RUNG))
    return Search(
        space,
        objective,
        trials=wanted.trials,
        at_a_time=min(wanted.at_a_time, wanted.trials),
        n_steps=n_steps,
        first_rung=rung if wanted.prune and rung < n_steps else 0,
        seed=config.seed,
    )


def _steps(config: Config, stage: str) -> tuple[int, int]:
    """Return the iterations or epochs of a whole trial, and how many lie between measurements."""
    if stage == "clone":
        return config.clone.epochs, 1
    if stage == "reward":
        paper = config.recipe == "paper"
        return (config.reward if paper else config.consensus).epochs, 1
    settings = config.improve
    distils = settings.algorithms[0] == "distillation"
    steps = settings.distillation.iterations if distils else settings.iterations
    return steps, settings.evaluate_every


def _task(run: RunFolder, wanted: Wanted, baseline: Figures, folder: Path) -> Task:
    around = Surroundings.here(threads=wanted.threads_each)
    places = str(run.path.absolute()), str(folder.absolute())
    return Task(*places, wanted.stage, wanted.fixed, baseline, around)


def _say_plan(
    before: Sequence[Trial], search: Search, wanted: Wanted, space: Space, say: Say
) -> None:
    done = sum(trial.is_done for trial in before)
    threads = f"{wanted.threads_each} thread{'' if wanted.threads_each == 1 else 's'}"
    pruned = f"pruned from {search.first_rung} on" if search.first_rung else "none pruned"
    say(
        f"{search.trials} trials of `{wanted.stage}`, {done} done, {search.at_a_time} at a time "
        f"with {threads} each, {pruned}; {', '.join(space)}"
    )


def _tidy(made: Sweep) -> None:
    """Remove the checkpoints of trials that nobody goes on with; their figures are noted."""
    for trial in made.trials:
        if trial.state == PRUNED:
            leftover = partial_folder(trial_folder(made.folder, trial.number), made.stage)
            shutil.rmtree(leftover, ignore_errors=True)


def _check_not_all_failed(made: Sweep) -> None:
    """Refuse a sweep without a result.

    Raises:
        InputError: If every trial failed; the message has the first one's error.
    """
    if not made.trials or any(trial.state != FAILED for trial in made.trials):
        return
    first = made.trials[0]
    log = trial_folder(made.folder, first.number) / LOG_FILE
    raise InputError(
        f"all {len(made.trials)} trials of the sweep failed, the first one with: {first.error} "
        f"(log: {log}); mend it, delete {made.folder}, and run the same command again"
    )


def result_of(made: Sweep) -> dict[str, Any]:
    """Return a sweep for JSON: baseline and trials, best first."""
    found: dict[str, Any] = without_nan(
        {
            "run": str(made.run),
            "folder": str(made.folder),
            "stage": made.stage,
            "objective": made.objective.name,
            "baseline": made.baseline,
            "trials": [dataclasses.asdict(trial) for trial in made.best_first],
        }
    )
    return found
