"""Results of a sweep: `tune.md`, `trials.csv`, the best settings as YAML, and how to use them."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from esarm_env.core.cache import write_text
from esarm_env.core.run_layout import LOG_FILE
from esarm_env.task.episode_metrics import EVE, LVE
from train.pictures import draw_or_explain
from train.run.config import to_dict
from train.tuning.figures import (
    EVE_MM,
    KL,
    LVE_MM,
    SCORE,
    TRUE_ERROR,
    TRUE_ORDER,
    WITHOUT_CHANCE,
    Objective,
    known_columns,
)
from train.tuning.space import Space, setting
from train.tuning.trials import (
    FAILED,
    FINISHED,
    PRUNED,
    RUNNING,
    Figures,
    Trial,
    ranked,
    shown,
    trial_folder,
)
from train.tuning.work import config_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_FILE, TABLE_FILE, BEST_FILE = "tune.md", "trials.csv", "best.yaml"
HISTORY_PICTURE, SETTINGS_PICTURE = "history.png", "settings.png"
TITLES = {
    TRUE_ERROR: "true error (clone = 1) ↓",
    TRUE_ORDER: "pairs in the order of their true error ↑",
    LVE_MM: "LVE (mm) ↓",
    EVE_MM: "EVE (mm) ↓",
    SCORE: "score ↑",
    KL: "KL from the clone (nats per token)",
}
_WITHOUT_CHANCE = {LVE: "LVE without chance (mm) ↓", EVE: "EVE without chance (mm) ↓"}
_SCORES = {
    "clone": "The score is that of the run's reward model.",
    "reward": "The score is the model's own validation figure, which needs no true error.",
    "improve": "The score is the reward that was climbed, of samples.",
}
_ERRORS = {
    "clone": "Errors are those of animations without chance, as `esarm animate` writes them.",
    "reward": "Pairs are of the clone's samples of one utterance; by chance half are in order.",
    "improve": (
        "Errors are those of samples, as in training: they fall also where samples vary less, "
        "which alone makes no better face. Those without chance are of the finished policy, by "
        "expected distance where it knows distances."
    ),
}


@dataclass(frozen=True)
class Sweep:
    """A sweep and what came of it.

    Attributes:
        run: Folder of the run.
        folder: Of the sweep.
        stage: That was tuned.
        space: What was tried.
        fixed: `KEY=VALUE` that all trials share.
        objective: What was sought.
        baseline: Figures of the run's clone or reward model; empty if there was none.
        trials: By number.
    """

    run: Path
    folder: Path
    stage: str
    space: Space
    fixed: tuple[str, ...]
    objective: Objective
    baseline: Figures
    trials: list[Trial]

    @property
    def best_first(self) -> list[Trial]:
        """The trials, finished ones first."""
        return ranked(self.trials, objective=self.objective.name, higher=self.objective.higher)

    @property
    def best(self) -> Trial | None:
        """The best of those that finished; None if none did."""
        first = self.best_first[:1]
        return first[0] if first and first[0].state == FINISHED else None

    @property
    def beats_baseline(self) -> bool:
        """Whether the best trial is better than what the sweep started from."""
        key = self.objective.name
        if self.best is None:
            return False
        ours, theirs = self.best.figures.get(key, math.nan), self.baseline.get(key, math.nan)
        return ours > theirs if self.objective.higher else ours < theirs


def write_pages(sweep: Sweep) -> Path:
    """Write everything there is to say of a sweep into its folder; return the page's path."""
    write_text(sweep.folder / TABLE_FILE, _csv(sweep))
    if sweep.best is not None:
        config = config_of(sweep.run, sweep.fixed, sweep.best.settings, stage=sweep.stage)
        text = yaml.safe_dump(to_dict(config), sort_keys=False)
        write_text(sweep.folder / BEST_FILE, text)
    page = sweep.folder / PAGE_FILE
    write_text(page, draw_or_explain(_page(sweep), lambda: _draw(sweep)))
    return page


def plain_page(sweep: Sweep, *, most: int = 10) -> str:
    """Return the table of the best trials as text for a terminal, and what to do next."""
    keys, columns = list(sweep.space), _columns(sweep)
    rows = [["trial", *(key.rpartition(".")[2] for key in keys), *columns, "state"]]
    rows.append([_base_name(sweep), *("" for _ in keys), *_cells(sweep.baseline, columns), ""])
    rows += [
        [
            str(trial.number),
            *(shown(trial.settings.get(key)) for key in keys),
            *_cells(trial.figures, columns),
            _state(trial),
        ]
        for trial in sweep.best_first[:most]
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*(line.rstrip() for line in lines), "", *_next_steps(sweep)])


def _page(sweep: Sweep) -> str:
    counts = Counter(trial.state for trial in sweep.trials)
    parts = [
        f"# Sweep `{sweep.folder.name}` of the stage `{sweep.stage}`",
        f"{len(sweep.trials)} trials, {counts[FINISHED]} finished, "
        f"{counts[PRUNED]} pruned, {counts[FAILED]} failed, {counts[RUNNING]} to go on. "
        "All figures are of **validation** utterances, and the best of many trials looks better "
        "there than it is: confirm it on the test utterances, with seeds of its own (below).",
        "\n".join(_table(sweep)),
        f"{_ERRORS[sweep.stage]} {_SCORES[sweep.stage]} Figures of pruned trials are of the "
        "iteration where they ended.",
        *_pictures(sweep),
        "## What was tried",
        "\n".join(_tried(sweep)),
        "## What to do with it",
        "\n\n".join(_next_steps(sweep)),
        *_failures(sweep),
    ]
    return "\n\n".join(parts) + "\n"


def _columns(sweep: Sweep) -> list[str]:
    rows: list[Mapping[str, float]] = [sweep.baseline, *(trial.figures for trial in sweep.trials)]
    known = known_columns(rows)
    extra = [f"{name}{WITHOUT_CHANCE}" for name in _WITHOUT_CHANCE]
    known += [key for key in extra if any(key in row for row in rows)]
    first = sweep.objective.name
    return [first, *(key for key in known if key != first)]


def _title(key: str) -> str:
    return TITLES.get(key) or _WITHOUT_CHANCE[key.partition("_")[0]]


def _cells(figures: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    values = (figures.get(key, math.nan) for key in columns)
    return ["n/a" if math.isnan(value) else f"{value:.3f}" for value in values]


def _table(sweep: Sweep) -> list[str]:
    keys, columns = list(sweep.space), _columns(sweep)
    head = ["trial", *(f"`{key}`" for key in keys), *map(_title, columns), "steps", "state"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    first = [_base_name(sweep), *("" for _ in keys), *_cells(sweep.baseline, columns), "", ""]
    rows = [first] if sweep.baseline else []
    for trial in sweep.best_first:
        rows.append(
            [
                str(trial.number),
                *(shown(trial.settings.get(key)) for key in keys),
                *_cells(trial.figures, columns),
                str(trial.steps),
                _state(trial),
            ]
        )
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _base_name(sweep: Sweep) -> str:
    names = {"clone": "the run's clone", "reward": "the run's reward model"}
    return names.get(sweep.stage, "clone (no RL)")


def _state(trial: Trial) -> str:
    if trial.state == PRUNED:
        return f"pruned at {trial.steps}"
    return "to go on" if trial.state == RUNNING else trial.state


def _tried(sweep: Sweep) -> list[str]:
    lines = []
    for key, one in sweep.space.items():
        if one.values:
            lines.append(f"- `{key}`: {', '.join(map(str, one.values))}")
        else:
            way = "by factors" if one.log else "in even steps"
            lines.append(f"- `{key}`: {one.least:g} to {one.most:g}, {way}")
    lines += [f"- fixed: `{each}`" for each in sweep.fixed]
    return lines


def _next_steps(sweep: Sweep) -> list[str]:
    """Return what to do with the best settings, as paragraphs."""
    best = sweep.best
    if best is None:
        return ["No trial has finished yet; the same command goes on."]
    file = shlex.quote(str(sweep.folder / BEST_FILE))
    lines = []
    if sweep.baseline and not sweep.beats_baseline:
        lines.append(f"No trial is better than {_base_name(sweep)} on validation utterances.")
    lines.append(
        f"Best: trial {best.number} ({file}). To confirm it on test utterances, with new seeds: "
        f"`esarm run --run NEW --config {file} --seeds 3`"
    )
    if sweep.stage == "improve":
        given = [*sweep.fixed, *(setting(key, value) for key, value in best.settings.items())]
        sets = " ".join(f"--set {shlex.quote(each)}" for each in given)
        run = shlex.quote(str(sweep.run))
        lines.append(
            "Or, sooner, on the same clone: "
            f"`esarm improve --from {run} --as {sweep.folder.name}-best {sets}`"
        )
    return lines


def _failures(sweep: Sweep) -> list[str]:
    failed = [trial for trial in sweep.trials if trial.state == FAILED]
    if not failed:
        return []
    lines = [
        f"- trial {trial.number}: {trial.error} "
        f"(`{(trial_folder(sweep.folder, trial.number) / LOG_FILE).relative_to(sweep.folder)}`)"
        for trial in failed
    ]
    told = "To try one again, delete its folder and run the same command."
    return ["## Trials that failed", "\n".join(lines), told]


def _csv(sweep: Sweep) -> str:
    keys, columns = list(sweep.space), _columns(sweep)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", *keys, *columns, "steps", "seconds", "error", "folder"])
    if sweep.baseline:
        values = [sweep.baseline.get(key, "") for key in columns]
        writer.writerow([_base_name(sweep), "", *("" for _ in keys), *values, "", "", "", ""])
    for trial in sweep.best_first:
        settings = [trial.settings.get(key, "") for key in keys]
        figures = [trial.figures.get(key, "") for key in columns]
        folder = trial_folder(sweep.folder, trial.number).relative_to(sweep.folder).as_posix()
        row = [trial.number, trial.state, *settings, *figures]
        writer.writerow([*row, trial.steps, round(trial.seconds, 1), trial.error, folder])
    return text.getvalue()


def _pictures(sweep: Sweep) -> list[str]:
    """Return the pictures of a page; of no trial there are none."""
    title = TITLES[sweep.objective.name]
    shown_as = {HISTORY_PICTURE: "of every trial", SETTINGS_PICTURE: "over each setting"}
    return [f"![{title} {of}]({file})" for file, of in shown_as.items() if sweep.trials]


def _draw(sweep: Sweep) -> None:
    if not sweep.trials:
        return
    from train.tuning.pictures import plot_history, plot_settings

    title = TITLES[sweep.objective.name]
    reference = sweep.baseline.get(sweep.objective.name, math.nan)
    options: dict[str, Any] = {"objective": sweep.objective, "title": title, "baseline": reference}
    plot_history(sweep.trials, sweep.folder / HISTORY_PICTURE, **options)
    plot_settings(sweep.trials, sweep.space, sweep.folder / SETTINGS_PICTURE, **options)
