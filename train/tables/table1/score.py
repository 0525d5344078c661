"""Score of other systems' predictions: measured as a cell of the table is, and put beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.cache import drop_folder
from esarm_env.core.errors import InputError
from esarm_env.core.intervals import Interval, bootstrap_mean
from esarm_env.core.run_layout import PER_UTTERANCE_FILE
from esarm_env.task.episode_metrics import EVE, LVE
from train.tables.predictions import read_predictions, save_predictions, shortened
from train.tables.table1.benchmark import Benchmark
from train.tables.table1.cells import (
    PREDICTIONS_FOLDER,
    Cell,
    cell_folder,
    keep_cell,
    read_cell,
)
from train.tables.table1.errors import EARLIER_FOLDER, ERRORS_FOLDER
from train.tables.table1.methods import METHODS
from train.tables.table1.settings import RUNS_FOLDER, corpus_folder, has_run, run_folder, slug

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esarm_env.core.types import DoubleArray, FloatArray
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder
    from train.tables.predictions import Predictions

# Ids of utterances, and figures by key, shape (N,).
Measured = tuple[list[str], "dict[str, DoubleArray]"]
OTHER = "other"  # kind of a cell that no method of ours made
RESAMPLES, CONFIDENCE = 2000, 0.95


@dataclass(frozen=True)
class Score:
    """What a folder of predictions is worth.

    Attributes:
        cell: As the table keeps it.
        found: What was read, with faults and what is missing.
    """

    cell: Cell
    found: Predictions

    def intervals(self) -> dict[str, Interval]:
        """Return the mean of each figure with its interval over utterances; nan if unknown."""
        return intervals_of(self.cell.figures)


def intervals_of(figures: Mapping[str, FloatArray | DoubleArray]) -> dict[str, Interval]:
    """Return the mean of each figure, shape (N,), with its interval; nan if all are nan."""
    unknown = Interval(math.nan, math.nan, math.nan)
    known = {key: row[np.isfinite(row)] for key, row in figures.items()}
    return {
        key: bootstrap_mean(row, resamples=RESAMPLES, confidence=CONFIDENCE)
        if len(row)
        else unknown
        for key, row in known.items()
    }


class ScoredTask(Benchmark):
    """A corpus that predictions are scored on where no run was given."""

    def __init__(self, task: AnimationTask, corpus: str) -> None:
        """Take the task of a corpus, and what it was called."""
        self.__dict__["task"] = task  # what the run's would be cached as
        self.source = f"corpus {corpus}"

    def measured(self) -> dict[str, Measured]:
        """Return nothing: without a run nothing was measured before."""
        return {}


class ScoredRun(Benchmark):
    """A run that predictions are scored with."""

    def __init__(self, run: RunFolder) -> None:
        """Take a run."""
        super().__init__(run)
        self.source = f"run {run.path} (corpus {run.config.corpus.name}, seed {run.config.seed})"

    def measured(self) -> dict[str, Measured]:
        """Return ids and figures of the run's regressor and clone, where it is evaluated.

        Raises:
            InputError: If the run's table of figures is damaged.
        """
        from train.rows import REGRESSOR, Row, expected
        from train.seeds.figures import read_figures

        file = self.run.stage("evaluate") / PER_UTTERANCE_FILE
        if not (self.run.is_finished("evaluate") and file.is_file()):
            return {}
        rows = read_figures(file, (LVE, EVE))
        labels = (Row(REGRESSOR).label, expected("clone").label)
        return {label: rows[label] for label in labels if label in rows}


def score_folder(
    folder: Path,
    benchmark: Benchmark,
    *,
    name: str,
    seed: int = 0,
    fps: float | None = None,
    order: str | None = None,
) -> Score:
    """Measure predictions of the test utterances.

    Args:
        folder: See `train.tables.predictions`.
        benchmark: What they are measured with.
        name: Of the system.
        seed: Number of its training, where there are several.
        fps: Frame rate of files that do not state one.
        order: Channels of `.npy` arrays.

    Raises:
        InputError: If no prediction can be used; the message tells why of the first ones.
    """
    from train.tables.table1.measures import measure_motions

    task, test = benchmark.task, benchmark.test
    found = read_predictions(folder, task.corpus, test, fps=fps, order=order)
    if not found.motions:
        why = "; ".join(found.faults[:3]) or (
            f"{len(found.others)} files of other utterances ({shortened(found.others)})"
        )
        raise InputError(
            f"{folder}: must hold predictions of the {len(test)} test utterances, got none that "
            f"can be used: {why}"
        )
    rows = np.flatnonzero(np.isin(test, list(found.motions)))
    figures = measure_motions(benchmark, [found.motions[int(i)] for i in test[rows]], rows)
    notes = [] if len(rows) == len(test) else [f"{len(rows)} of {len(test)} utterances predicted"]
    cell = Cell(
        name,
        OTHER,
        seed,
        notes=tuple([*notes, "scored from predictions"]),
        utterances=tuple(task.ids_of(test)),
        figures=figures,
    )
    return Score(cell, found)


def references(
    score: Score, benchmark: ScoredTask | ScoredRun
) -> tuple[dict[str, dict[str, Interval]], tuple[str, ...]]:
    """Return what a score can be told good or bad by, on the same utterances; and notes.

    The mean training face of the condition is measured here. The run's regressor and clone (by
    expected distance) are there where the run has measured them: LVE and EVE alone.
    """
    from train.rows import MEAN_FACE, Row
    from train.stages.baselines import mean_face_motions
    from train.tables.table1.measures import measure_motions

    task, test = benchmark.task, benchmark.test
    rows = np.flatnonzero(np.isin(test, list(score.found.motions)))
    still = measure_motions(benchmark, mean_face_motions(task, test[rows]), rows)
    found = {Row(MEAN_FACE).short_label: intervals_of(still)}
    ids = task.ids_of(test[rows])
    try:
        measured = benchmark.measured()
    except InputError as error:
        return found, (f"no figures of the run's own rows: {error}",)
    for label, (names, figures) in measured.items():
        places = {name: place for place, name in enumerate(names)}
        if not places.keys() >= set(ids):
            return found, ("no figures of the run's own rows: they are of other utterances",)
        chosen = [places[name] for name in ids]
        found[label] = intervals_of({key: values[chosen] for key, values in figures.items()})
    return found, ()


def benchmark_of(
    *, run: Path | None, corpus: str | None, table: Path | None, seed: int
) -> ScoredTask | ScoredRun:
    """Return what predictions are measured with: a run's, a table's, or a corpus' own.

    Raises:
        InputError: If it is not told, told twice, or cannot be opened.
    """
    from esarm_env.task.opening import open_task
    from train.run.run_folder import RunFolder

    if run is not None:
        given = {"corpus": corpus, "table": table}
        other = next((name for name, value in given.items() if value is not None), None)
        if other is not None:
            raise InputError(f"`--{other}` must be left out beside `--run`, got {given[other]}")
        return ScoredRun(RunFolder.open(run))
    if corpus is None:
        beside = "" if table is None else "; `--table` goes with `--corpus`"
        raise InputError(f"`--corpus` or `--run` must be given, got neither{beside}")
    if table is None:
        return ScoredTask(open_task(corpus=corpus), corpus)
    place = table / corpus_folder(corpus)
    if not has_run(place, seed):
        raise InputError(
            f"{run_folder(place, seed)}: must be a run of the table, got none; `esarm table1 "
            f"--corpora {corpus} --seeds {seed} --out {table}` makes it"
        )
    return ScoredRun(RunFolder.open(run_folder(place, seed)))


def add_to_table(score: Score, benchmark: Benchmark, table: Path, corpus: str) -> Path:
    """Keep a score as a cell of a table, and write its page anew; return the page's path.

    Predictions of this name and seed that are there already are replaced.

    Raises:
        InputError: If the name is one of our methods'.
    """
    from train.run.lock import locked
    from train.tables.table1.page import write_page

    cell = score.cell
    if slug(cell.method) in {"", *map(slug, METHODS), RUNS_FOLDER, ERRORS_FOLDER, EARLIER_FOLDER}:
        raise InputError(f"`--name` must not be that of a method of ours, got {cell.method!r}")
    folder = cell_folder(table / corpus_folder(corpus), cell.method, cell.seed)
    with locked(table):
        before = read_cell(folder)
        if before is not None and before.method != cell.method:
            raise InputError(
                f"`--name` must be another than {before.method!r}, whose folder {folder} it would "
                f"have, got {cell.method!r}"
            )
        drop_folder(folder)
        ids = benchmark.task.ids_of(np.array(list(score.found.motions)))
        save_predictions(folder / PREDICTIONS_FOLDER, ids, score.found.motions.values())
        keep_cell(folder, cell)
        return write_page(table)
