"""A stage of a run as a task: what a worker process does, and what it tells of it."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.errors import with_kind
from esarm_env.core.run_layout import LOG_FILE
from train.parallel.output import output_to
from train.run.own_code import named_code, trust_code

if TYPE_CHECKING:
    from train.run.loggers import LoggerName
    from train.run.run_folder import RunFolder

REPORT = "report"  # comes after the stages


@dataclass(frozen=True)
class Surroundings:
    """What a worker takes over from the process that started it.

    Attributes:
        folder: Working folder, from which paths in settings are named.
        threads: CPU threads of torch, on which the last digits of all weights depend.
        code: Algorithms and rewards of one's own that were named there.
        logger: Of trainings.
    """

    folder: str
    threads: int
    code: tuple[str, ...] = ()
    logger: LoggerName | None = None

    @classmethod
    def here(cls, *, threads: int, logger: LoggerName | None = None) -> Surroundings:
        """Return those of this process."""
        return cls(os.getcwd(), threads, named_code(), logger)

    def enter(self) -> None:
        """Make this process like the one that started it."""
        import torch

        os.chdir(self.folder)
        torch.set_num_threads(self.threads)
        trust_code(self.code)


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        seconds: Wall time of the stage, pieces before an interruption included.
        error: What went wrong, in one line; empty if nothing did.
    """

    seconds: float
    error: str = ""


def steps_of(run: RunFolder, stages: Sequence[str]) -> list[str]:
    """Return the stages that are still to be done, and the report."""
    return [*(stage for stage in stages if not run.is_finished(stage)), REPORT]


def do_step(path: str, step: str, around: Surroundings, *, may_fetch: bool = False) -> Outcome:
    """Do one stage of the run at `path`, or write its report; what is printed goes to its log.

    Errors are told and not raised: whoever waits has other tasks at work.
    """
    begun = time.monotonic()
    with output_to(Path(path) / LOG_FILE):
        try:
            around.enter()
            seconds = _do(Path(path), step, around, may_fetch=may_fetch)
        except Exception as error:
            traceback.print_exc()
            return Outcome(time.monotonic() - begun, with_kind(error))
    return Outcome(seconds if seconds is not None else time.monotonic() - begun)


def _do(path: Path, step: str, around: Surroundings, *, may_fetch: bool) -> float | None:
    from train.report import write_report
    from train.run.loggers import logging_to
    from train.run.run_folder import RunFolder
    from train.stages import STAGE_FUNCTIONS

    run = RunFolder.open(path)
    run.may_fetch = may_fetch
    if step == REPORT:
        write_report(run)
        return None
    with logging_to(around.logger, run):
        seconds = STAGE_FUNCTIONS[step](run).get("wall_s")
    return None if seconds is None else float(seconds)
