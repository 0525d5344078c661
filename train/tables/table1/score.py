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
from train.tables.predictions import read_predictions, save_predictions
from train.tables.table1.benchmark import Benchmark
from train.tables.table1.cells import (
    PREDICTIONS_FOLDER,
    Cell,
    cell_folder,
    keep_cell,
    read_cell,
)
from train.tables.table1.methods import METHODS
from train.tables.table1.settings import corpus_folder, has_run, run_folder, slug

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from train.tables.predictions import Predictions

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
        unknown = Interval(math.nan, math.nan, math.nan)
        known = {key: row[np.isfinite(row)] for key, row in self.cell.figures.items()}
        return {
            key: bootstrap_mean(row, resamples=RESAMPLES, confidence=CONFIDENCE)
            if len(row)
            else unknown
            for key, row in known.items()
        }


class ScoredTask(Benchmark):
    """A corpus that predictions are scored on where no run was given."""

    def __init__(self, task: AnimationTask) -> None:
        """Take the task of a corpus."""
        self.__dict__["task"] = task  # what the run's would be cached as


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
        why = "; ".join(found.faults[:3]) or f"{found.others} files of other utterances"
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


def benchmark_of(
    *, run: Path | None, corpus: str | None, table: Path | None, seed: int
) -> Benchmark:
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
            raise InputError(f"`{other}` must be left out beside `run`, got {given[other]}")
        return Benchmark(RunFolder.open(run))
    if corpus is None:
        raise InputError("`corpus` or `run` must be given, got neither")
    if table is None:
        return ScoredTask(open_task(corpus=corpus))
    place = table / corpus_folder(corpus)
    if not has_run(place, seed):
        raise InputError(
            f"{run_folder(place, seed)}: must be a run of the table, got none; `esarm table1 "
            f"--corpora {corpus} --seeds {seed} --out {table}` makes it"
        )
    return Benchmark(RunFolder.open(run_folder(place, seed)))


def add_to_table(score: Score, benchmark: Benchmark, table: Path, corpus: str) -> Path:
    """Keep a score as a cell of a table, and write its page anew; return the page's path.

    Predictions of this name and seed that are there already are replaced.

    Raises:
        InputError: If the name is one of our methods'.
    """
    from train.run.lock import locked
    from train.tables.table1.page import write_page

    cell = score.cell
    if slug(cell.method) in {"", *map(slug, METHODS), "runs"}:
        raise InputError(f"`name` must not be that of a method of ours, got {cell.method!r}")
    folder = cell_folder(table / corpus_folder(corpus), cell.method, cell.seed)
    with locked(table):
        before = read_cell(folder)
        if before is not None and before.method != cell.method:
            raise InputError(
                f"`name` must be another than {before.method!r}, whose folder {folder} it would "
                f"have, got {cell.method!r}"
            )
        drop_folder(folder)
        ids = benchmark.task.ids_of(np.array(list(score.found.motions)))
        save_predictions(folder / PREDICTIONS_FOLDER, ids, score.found.motions.values())
        keep_cell(folder, cell)
        return write_page(table)
