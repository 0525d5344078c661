"""Training of several seeds: one after the other in this process, or several at a time on Ray.

The figures are the same either way: torch's threads are a number of their own per seed, however
many seeds are at work, since sums in another order differ in their last digits.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError, one_line, with_kind
from esarm_env.core.processors import n_processors
from esarm_env.core.run_layout import LOG_FILE, STAGES
from esarm_env.core.workers.session import load_ray
from train.parallel.session import has_ray, ray_session
from train.parallel.stages import REPORT, Outcome, Surroundings, do_step, steps_of

if TYPE_CHECKING:
    from train.run.loggers import LoggerName
    from train.run.run_folder import RunFolder

_PATIENCE_S = 15.0  # that an interrupted stage has to write its checkpoint
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How several seeds are trained.

    Attributes:
        at_a_time: Seeds at work at a time; 1 needs no Ray.
        threads: CPU threads of torch that each of them has.
    """

    at_a_time: int
    threads: int

    def __str__(self) -> str:
        """Return it as a line to print."""
        way = f"{self.at_a_time} at a time" if self.at_a_time > 1 else "one after the other"
        return f"{way}, each with {self.threads} thread{'' if self.threads == 1 else 's'} of torch"


def say_at_once(line: str) -> None:
    """Print a line, also into a pipe, where others would wait for more."""
    print(line, flush=True)


def plan_for(
    n_seeds: int, *, rounds: int, parallel: int | None, workers: int, threads: int
) -> Plan | None:
    """Return how the seeds of a command are trained; None of a single one.

    Args:
        n_seeds: How many.
        rounds: Of improvement.
        parallel: As of `plan_of`.
        workers: Processes that every stage shares its work out to.
        threads: As of `plan_of`.

    Raises:
        InputError: If the options do not go together.
        MissingExtraError: As of `plan_of`.
    """
    if n_seeds == 1:
        if parallel is not None:
            raise InputError(f"`parallel` must be left out without several `seeds`, got {parallel}")
        return None
    if rounds > 1:
        raise InputError(f"`rounds` must be 1 beside several `seeds`, got {rounds}")
    plan = plan_of(n_seeds, parallel=parallel, threads=threads)
    if workers and plan.at_a_time > 1:
        raise InputError(
            f"`workers` must be 0 where several seeds are trained at a time, got {workers}; "
            "`--parallel 1` trains one after the other, each with all workers"
        )
    return plan


def plan_of(n_seeds: int, *, parallel: int | None, threads: int) -> Plan:
    """Return how many seeds are trained at a time, and with how many threads each.

    Args:
        n_seeds: At least 2.
        parallel: At most so many at a time, 0 or 1 one after the other; None as many as this
            machine has processors for, where Ray is installed.
        threads: Of each seed; 0 gives each its share of the processors, at least 1. It does not
            depend on `parallel`, so that neither do figures.

    Raises:
        InputError: If `parallel` is below 0.
        MissingExtraError: If `parallel` is above 1 and Ray is not installed.
    """
    if parallel is not None and parallel < 0:
        raise InputError(f"`parallel` must be at least 0, got {parallel}")
    processors = n_processors()
    each = threads or max(1, processors // n_seeds)
    if parallel is None:
        room = n_seeds if "RAY_ADDRESS" in os.environ else processors // each
        return Plan(min(n_seeds, max(1, room)) if has_ray() else 1, each)
    if parallel > 1:
        load_ray("`--parallel`")
    if parallel * each > processors and "RAY_ADDRESS" not in os.environ:
        warnings.warn(
            f"{parallel} seeds of {each} threads want more than the {processors} processors here; "
            "they will wait for each other",
            stacklevel=2,
        )
    return Plan(max(1, min(parallel, n_seeds)), each)


def train_seeds(
    runs: Sequence[RunFolder],
    plan: Plan,
    *,
    logger: LoggerName | None = None,
    say: Say = say_at_once,
) -> dict[int, str]:
    """Do all that is unfinished of several seeds; return what went wrong, by seed.

    A seed that fails is left where it is, and the others go on. What a seed prints while several
    are at work stands in its folder, in `log.txt`.

    Args:
        runs: Run folders of the seeds.
        plan: How many at a time.
        logger: Of trainings on Ray; those in this process have the one in force.
        say: Prints a line.
    """
    finished = all(steps_of(run, STAGES) == [REPORT] for run in runs)
    if plan.at_a_time == 1 or finished:  # reports alone are not worth a start of Ray
        return _one_after_the_other(runs, say)
    with ray_session(plan.at_a_time * plan.threads, purpose="`--parallel`") as ray:
        return _OnRay(ray, plan, logger, say).train(runs)


def _one_after_the_other(runs: Sequence[RunFolder], say: Say) -> dict[int, str]:
    from train.report import write_report
    from train.stages import STAGE_FUNCTIONS

    failed: dict[int, str] = {}
    for number, run in enumerate(runs, 1):
        seed = run.config.seed
        say(f"seed {seed}, {number} of {len(runs)}")
        step = REPORT
        try:
            for step in STAGES:
                STAGE_FUNCTIONS[step](run)
            write_report(run)
        except Exception as error:
            if not isinstance(error, InputError):  # whose message says all
                traceback.print_exc()
            failed[seed] = f"{step}: {with_kind(error)}"
            say(f"seed {seed}: {step} failed: {with_kind(error)}")
    return failed


class _OnRay:
    """Keeps so many seeds at work, a stage of each a task."""

    def __init__(self, ray: Any, plan: Plan, logger: LoggerName | None, say: Say) -> None:
        self._ray, self._plan, self._say = ray, plan, say
        self._around = Surroundings.here(threads=plan.threads, logger=logger)
        self._task = ray.remote(num_cpus=plan.threads, max_retries=0)(do_step)
        self._at_work: dict[Any, tuple[RunFolder, list[str]]] = {}
        self._failed: dict[int, str] = {}

    def train(self, runs: Sequence[RunFolder]) -> dict[int, str]:
        """Do all steps of all runs; return what went wrong, by seed."""
        waiting = [(run, steps_of(run, STAGES)) for run in runs]
        try:
            while waiting or self._at_work:
                while waiting and len(self._at_work) < self._plan.at_a_time:
                    self._begin(*waiting.pop(0))
                done, _ = self._ray.wait(list(self._at_work), num_returns=1)
                self._end(done[0])
        except BaseException:
            self._interrupt()
            raise
        return self._failed

    def _begin(self, run: RunFolder, steps: list[str]) -> None:
        path = str(run.path.absolute())
        reference = self._task.remote(path, steps[0], self._around, may_fetch=run.may_fetch)
        self._at_work[reference] = (run, steps)

    def _end(self, reference: Any) -> None:
        run, steps = self._at_work.pop(reference)
        seed, step = run.config.seed, steps[0]
        try:
            outcome: Outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:  # its process is gone
            outcome = Outcome(0.0, f"its process ended ({one_line(error)[:200]})")
        if outcome.error:
            self._failed[seed] = f"{step}: {outcome.error} (log: {run.path / LOG_FILE})"
            self._say(f"seed {seed}: {step} failed: {outcome.error}")
            return
        self._say(f"seed {seed}: {step} done, {outcome.seconds:.0f} s")
        if steps[1:]:
            self._begin(run, steps[1:])

    def _interrupt(self) -> None:
        """Let stages at work write their checkpoints; the session ends what does not stop."""
        if not self._at_work:
            return
        references = list(self._at_work)
        for reference in references:
            self._ray.cancel(reference)
        self._ray.wait(references, num_returns=len(references), timeout=_PATIENCE_S)


def told(failed: dict[int, str], n_seeds: int) -> str:
    """Return the message about seeds that failed."""
    named = "; ".join(f"seed {seed} in {text}" for seed, text in failed.items())
    rest = n_seeds - len(failed)
    return (
        f"{len(failed)} of {n_seeds} seeds failed, {rest} finished: {named}; mend it, and the same "
        "command goes on"
    )
