"""Search of a sweep on Ray Tune: Optuna proposes, ASHA prunes, and records are kept of both.

What Optuna and ASHA know is built anew from the records whenever a sweep goes on. Names of Ray and
Optuna are imported inside the functions, as both are of an extra.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import MissingExtraError
from esarm_env.core.workers.session import load_ray
from train.parallel.session import ray_session
from train.tuning.records import IS_END, Records, Say
from train.tuning.trials import FAILED, RUNNING, Trial
from train.tuning.work import Task, do_trial

if TYPE_CHECKING:
    from pathlib import Path

    from train.tuning.figures import Objective
    from train.tuning.space import Space

PURPOSE = "`esarm tune`"
_REDUCTION = 3  # of the trials that reach a rung, one in so many goes on
_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # its own saves pickles that nobody reads, and goes on
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Search:
    """How settings are searched for.

    Attributes:
        space: What is tried.
        objective: What is sought.
        trials: In all, those of before an interruption included.
        at_a_time: Of them.
        n_steps: Iterations or epochs of a whole trial.
        first_rung: Iterations after which a trial may be pruned; 0 prunes none.
        seed: Of the proposals.
    """

    space: Space
    objective: Objective
    trials: int
    at_a_time: int
    n_steps: int
    first_rung: int
    seed: int

    @property
    def mode(self) -> str:
        """Direction, as Ray and Optuna call it."""
        return "max" if self.objective.higher else "min"


def check_installed() -> None:
    """Check that Ray Tune and Optuna are there, before anything is done for a sweep.

    Raises:
        MissingExtraError: If one is not; the message holds the pip line.
    """
    load_ray(PURPOSE, extra="tune")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import optuna  # noqa: F401 - whether it is there
            from ray import tune  # noqa: F401 - likewise
        except ImportError as error:
            package = "optuna" if "optuna" in str(error) else "ray[tune]"
            raise MissingExtraError(package, extra="tune", purpose=PURPOSE) from error


def search_on(task: Task, search: Search, kept: Sequence[Trial], *, sweep: Path, say: Say) -> None:
    """Train the trials that are still missing, and keep a record of each in the sweep's folder.

    Args:
        task: Of all trials.
        search: How.
        kept: Trials of before; those that were interrupted go on first.
        sweep: Folder.
        say: Prints a line.
    """
    done = [trial for trial in kept if trial.is_done]
    missing = search.trials - len(done)
    if missing <= 0:
        return
    os.environ.update({key: os.environ.get(key, value) for key, value in _QUIET.items()})
    objective = search.objective.name
    records = Records(sweep, kept, objective=objective, trials=search.trials, say=say)
    cpus = search.at_a_time * task.around.threads
    with (
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(prefix="esarm-tune-") as scratch,
        ray_session(cpus, purpose=PURPOSE, extra="tune"),
    ):
        warnings.simplefilter("ignore")
        _fit(task, search, records, missing, scratch)


def _fit(task: Task, search: Search, records: Records, missing: int, scratch: str) -> None:
    from ray import tune

    _silence()
    tuner = tune.Tuner(
        tune.with_resources(_trainable(task), {"cpu": task.around.threads}),
        tune_config=tune.TuneConfig(
            num_samples=missing,
            search_alg=_searcher(search, records),
            scheduler=_scheduler(search, records),
            max_concurrent_trials=search.at_a_time,
            reuse_actors=True,  # a process needs seconds to import torch
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=scratch,
            verbose=0,
            callbacks=[_callback(records)],
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )
    tuner.fit()


def _silence() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in ("ray", "ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _trainable(task: Task) -> Callable[[dict[str, Any]], None]:
    def trial(config: dict[str, Any]) -> None:
        from ray import tune

        figures = do_trial(task, config["number"], config["settings"], tune.report)
        tune.report(figures | {IS_END: 1.0})

    return trial


def _scheduler(search: Search, records: Records) -> Any:
    """Return ASHA, which has seen what was reported before; none where nothing is pruned."""
    if not search.first_rung:
        return None
    from ray.tune.schedulers import ASHAScheduler

    scheduler: Any = ASHAScheduler(
        time_attr="step",
        metric=search.objective.name,
        mode=search.mode,
        # Whoever has trained to the end is never pruned: it has its weights still to write.
        max_t=max(search.first_rung, search.n_steps - 1),
        grace_period=search.first_rung,
        reduction_factor=_REDUCTION,
        stop_last_trials=False,
    )
    for trial in records.kept:
        stand_in = SimpleNamespace(trial_id=f"kept_{trial.number}")
        scheduler.on_trial_add(None, stand_in)
        for row in trial.reports if trial.state != RUNNING else ():
            scheduler.on_trial_result(None, stand_in, row)
    return scheduler


def _searcher(search: Search, records: Records) -> Any:
    """Return Optuna's search, which knows the trials of before and repeats interrupted ones."""
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    class Proposals(OptunaSearch):
        """Optuna's proposals, each with the number of its trial."""

        def suggest(self, trial_id: str) -> dict[str, Any] | None:
            settings = super().suggest(trial_id)
            if settings is None:
                return None
            return {"number": records.begin(trial_id, settings), "settings": settings}

    interrupted = [trial.settings for trial in records.kept if not trial.is_done]
    done = [trial for trial in records.kept if trial.is_done]
    searcher = Proposals(
        space=_distributions(search.space),
        points_to_evaluate=interrupted or None,
        metric=search.objective.name,
        mode=search.mode,
        sampler=optuna.samplers.TPESampler(seed=search.seed + len(records.kept)),
    )
    for trial in done:
        value = trial.figures.get(search.objective.name, math.nan)
        if trial.state == FAILED or math.isnan(value):
            searcher.add_evaluated_point(trial.settings, 0.0, error=True)
        else:
            searcher.add_evaluated_point(trial.settings, value)
    return searcher


def _distributions(space: Space) -> dict[str, Any]:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, Any] = {}
    for key, one in space.items():
        if one.values:
            found[key] = CategoricalDistribution(one.values)
        elif one.whole:
            found[key] = IntDistribution(int(one.least), int(one.most), log=one.log)
        else:
            found[key] = FloatDistribution(one.least, one.most, log=one.log)
    return found


def _callback(records: Records) -> Any:
    from ray.tune import Callback

    class Notes(Callback):
        """Hands what happens to the records."""

        def on_trial_result(
            self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
        ) -> None:
            records.report(trial.trial_id, result)

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            records.end(trial.trial_id)

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            records.fail(trial.trial_id)

    return Notes()
