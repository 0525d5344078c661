"""Records of the trials of a sweep: JSON that the process of the sweep alone writes.

They are all that a sweep goes on from. Ray's own files of an experiment are pickled, hence never
read: a run's folder may come from anybody.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esarm_env.core.cache import read_json, write_json
from esarm_env.core.errors import InputError

RUNNING, FINISHED, PRUNED, FAILED = "running", "finished", "pruned", "failed"
_STATES = (RUNNING, FINISHED, PRUNED, FAILED)
TRIALS_FOLDER, TRIAL_FILE, ERROR_FILE = "trials", "trial.json", "error.txt"
Figures = dict[str, float]


@dataclass
class Trial:
    """Settings that were tried, and what came of it.

    Attributes:
        number: From 1, in the order of proposals.
        settings: What was tried, by full key.
        state: `running` (also after an interruption), `finished`, `pruned` or `failed`.
        reports: Figures on validation utterances while it trained, each with its `step`.
        figures: Of what it ended with; of a pruned one the last report.
        error: Why it failed, in one line.
        seconds: Wall time, pieces before an interruption included.
    """

    number: int
    settings: dict[str, Any]
    state: str = RUNNING
    reports: list[Figures] = field(default_factory=list)
    figures: Figures = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        """Whether it is not to be gone on with."""
        return self.state != RUNNING

    @property
    def steps(self) -> int:
        """Iterations or epochs that it trained for, as far as was measured."""
        return int(max((row["step"] for row in self.reports), default=0))


def trial_folder(sweep: Path, number: int) -> Path:
    """Return the run folder of a trial, there or not."""
    return sweep / TRIALS_FOLDER / f"{number:04d}"


def save_trial(sweep: Path, trial: Trial) -> None:
    """Write a trial's record into its folder."""
    from train.run.run_folder import without_nan  # with all that a run needs

    folder = trial_folder(sweep, trial.number)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / TRIAL_FILE, without_nan(dataclasses.asdict(trial)))


def load_trials(sweep: Path) -> list[Trial]:
    """Return the trials of a sweep that were begun, by number.

    Raises:
        InputError: If a record is damaged.
    """
    files = sorted((sweep / TRIALS_FOLDER).glob(f"[0-9]*/{TRIAL_FILE}"))
    return sorted((_read(file) for file in files), key=lambda trial: trial.number)


def error_of(folder: Path) -> str:
    """Return what a trial wrote of its failure; empty if its process ended before it could."""
    try:
        return (folder / ERROR_FILE).read_text(encoding="utf-8", errors="replace").strip()[:500]
    except OSError:
        return ""


def _read(file: Path) -> Trial:
    remedy = f"delete {file.parent} and run the same command again"
    values = read_json(file, "the record of a trial", remedy=remedy)
    try:
        trial = Trial(**values)
        if trial.state not in _STATES or not isinstance(trial.number, int):
            raise ValueError(f"state {trial.state!r} of trial {trial.number!r}")
        trial.reports = [_figures(row) for row in trial.reports]
        trial.figures = _figures(trial.figures)
        trial.settings, trial.error = dict(trial.settings), str(trial.error)
        trial.seconds = float(trial.seconds)
        _ = trial.steps
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: must be the record of a trial, got {error}; {remedy}") from error
    return trial


def _figures(row: Mapping[str, Any]) -> Figures:
    return {str(key): math.nan if value is None else float(value) for key, value in row.items()}


def ranked(trials: Sequence[Trial], *, objective: str, higher: bool) -> list[Trial]:
    """Return trials best first: finished ones, then pruned, then those without figures.

    Args:
        trials: In any order.
        objective: Name of the figure.
        higher: Whether more of it is better.
    """
    order = {FINISHED: 0, PRUNED: 1, RUNNING: 2, FAILED: 3}

    def key(trial: Trial) -> tuple[int, float, int]:
        value = trial.figures.get(objective, math.nan)
        worth = math.inf if math.isnan(value) else (-value if higher else value)
        return order[trial.state], worth, trial.number

    return sorted(trials, key=key)


def shown(value: Any) -> str:
    """Return a setting's value as a table shows it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
