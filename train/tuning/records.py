"""What a sweep at work notes of its trials, whenever one begins, reports or ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from train.tuning.trials import (
    FAILED,
    FINISHED,
    PRUNED,
    Figures,
    Trial,
    error_of,
    save_trial,
    shown,
    trial_folder,
)

if TYPE_CHECKING:
    from pathlib import Path

IS_END = "is_end"  # marks the report of what a trial ended with
Say = Callable[[str], None]


class Records:
    """Trials at work, by Ray's name for them, each written down as it changes.

    Attributes:
        kept: Trials of before.
    """

    def __init__(
        self, sweep: Path, kept: Sequence[Trial], *, objective: str, trials: int, say: Say
    ) -> None:
        """Go on from `kept`.

        Args:
            sweep: Folder of the records.
            kept: Trials of before.
            objective: Name of the figure that is sought.
            trials: In all, for what is printed.
            say: Prints a line.
        """
        self.kept = list(kept)
        self._sweep, self._objective, self._trials, self._say = sweep, objective, trials, say
        self._at_work: dict[str, tuple[Trial, float]] = {}
        self._next = max((trial.number for trial in kept), default=0) + 1

    def begin(self, trial_id: str, settings: dict[str, Any]) -> int:
        """Note a proposal; return its number, that of an interrupted one of the same settings."""
        busy = {trial.number for trial, _ in self._at_work.values()}
        for trial in self.kept:
            if not trial.is_done and trial.settings == settings and trial.number not in busy:
                break
        else:
            trial = Trial(self._next, dict(settings))
            self._next += 1
        self._at_work[trial_id] = (trial, time.monotonic())
        save_trial(self._sweep, trial)
        tried = ", ".join(f"{key} {shown(value)}" for key, value in settings.items())
        self._say(f"trial {trial.number} of {self._trials}: {tried}")
        return trial.number

    def report(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note figures; those that a trial ended with finish it."""
        trial, _ = self._at_work[trial_id]
        figures = _own_figures(result)
        trial.figures = figures
        if result.get(IS_END):
            trial.state = FINISHED
        else:
            trial.reports.append(figures)
        self._save(trial_id)

    def end(self, trial_id: str) -> None:
        """Note that a trial is over; one that did not finish was pruned."""
        trial, _ = self._at_work[trial_id]
        trial.state = FINISHED if trial.state == FINISHED else PRUNED
        self._close(trial_id)

    def fail(self, trial_id: str) -> None:
        """Note that a trial failed, and why."""
        trial, _ = self._at_work[trial_id]
        trial.state = FAILED
        folder = trial_folder(self._sweep, trial.number)
        trial.error = error_of(folder) or "its process ended (out of memory, or killed)"
        self._close(trial_id)

    def _close(self, trial_id: str) -> None:
        self._save(trial_id)
        trial, _ = self._at_work.pop(trial_id)
        value = trial.figures.get(self._objective, math.nan)
        told = trial.error or f"{self._objective.replace('_', ' ')} {value:.4f}"
        at = f" at {trial.steps}" if trial.state == PRUNED else ""
        self._say(f"trial {trial.number}: {trial.state}{at}, {told}")

    def _save(self, trial_id: str) -> None:
        trial, begun = self._at_work[trial_id]
        now = time.monotonic()
        trial.seconds += now - begun
        self._at_work[trial_id] = (trial, now)
        save_trial(self._sweep, trial)


def _own_figures(result: dict[str, Any]) -> Figures:
    """Return what we reported: Ray adds its own."""
    from train.tuning.figures import (
        EVE_MM,
        KL,
        LVE_MM,
        SCORE,
        TRUE_ERROR,
        TRUE_ORDER,
        WITHOUT_CHANCE,
    )

    own = ("step", LVE_MM, EVE_MM, KL, SCORE, TRUE_ERROR, TRUE_ORDER)
    return {
        key: float(value)
        for key, value in result.items()
        if key in own or str(key).endswith(WITHOUT_CHANCE)
    }
