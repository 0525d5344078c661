"""Cells of the table: one method, corpus and seed, animated and measured once, and kept.

| in `CORPUS/METHOD/seed-K/` | holds |
|---|---|
| `cell.json` | status, parameters, seconds of training, real-time factor, what it rests on |
| `figures.csv`, `several.csv` | figures of every test utterance; of those animated several times |
| `predictions/` | the motion that was measured, a file for each utterance |
| `training/` | what the method trained |

A cell works in `.seed-K.partial/` and has its name when it is whole: interrupted ones go on, whole
ones are not touched again, and what failed is tried again by the next call.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.cache import drop_folder, read_json, write_text
from esarm_env.core.errors import InputError, MissingExtraError, MissingProgramError, one_line
from esarm_env.core.run_layout import partial_folder
from train.tables.table1.settings import slug

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esarm_env.core.types import FloatArray
    from train.tables.table1.benchmark import Benchmark
    from train.tables.table1.methods import Method, Prepared

DONE, FAILED, SKIPPED = "done", "failed", "skipped"
CELL_FILE, FIGURES_FILE, SEVERAL_FILE = "cell.json", "figures.csv", "several.csv"
PREDICTIONS_FOLDER, TRAINING_FOLDER = "predictions", "training"


@dataclass(frozen=True)
class Cell:
    """A cell as it is kept.

    Attributes:
        method: Name of the method.
        kind: As of a `Method`, or `other` for predictions of another system.
        seed: Of training.
        status: `done`, `failed` or `skipped`.
        reason: Why it is not done.
        parameters: Of all networks that animate; None if unknown.
        trained_s: Seconds of training; None if unknown.
        real_time_factor: Seconds to animate a second of speech, from audio features on.
        notes: What is to be said beside the row.
        origin: What it rests on: digests of files by name.
        utterances: Ids, in the order of the figures.
        figures: By key, shape (N,).
        several: By key, shape (M,); nothing where the method does not sample.
        means: By key, figures of which only the mean is known, see `errors`.
    """

    method: str
    kind: str
    seed: int
    status: str = DONE
    reason: str = ""
    parameters: int | None = None
    trained_s: float | None = None
    real_time_factor: float | None = None
    notes: tuple[str, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)
    utterances: tuple[str, ...] = ()
    figures: dict[str, FloatArray] = field(default_factory=dict)
    several: dict[str, FloatArray] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> Cell:
        """Return a cell without its figures, of what `known_of` returned."""
        return cls(
            method=str(known["method"]),
            kind=str(known["kind"]),
            seed=int(known["seed"]),
            status=str(known["status"]),
            reason=str(known["reason"]),
            parameters=known["parameters"],
            trained_s=known["trained_s"],
            real_time_factor=known["real_time_factor"],
            notes=tuple(known["notes"]),
            origin=dict(known["origin"]),
        )


def known_of(cell: Cell) -> dict[str, Any]:
    """Return what is known of a cell but for its figures, as plain values."""
    names = (
        "method", "kind", "seed", "status", "reason", "parameters", "trained_s",
        "real_time_factor", "notes", "origin",
    )  # fmt: skip
    return {name: getattr(cell, name) for name in names}


def cell_folder(place: Path, method: str, seed: int) -> Path:
    """Return the folder of a cell below that of its corpus."""
    return place / slug(method) / f"seed-{seed}"


def make_cell(benchmark: Benchmark, method: Method, place: Path) -> Cell:
    """Return a cell: the one that is kept, or a new one; a failure is kept as such.

    Raises:
        InputError: If the one that is kept rests on other files of the shared run.
    """
    folder = cell_folder(place, method.name, benchmark.seed)
    kept = read_cell(folder)
    if kept is not None and kept.status == DONE:
        _check_origin(folder, kept, benchmark.origin(method.files))
        return kept
    work = partial_folder(folder.parent, folder.name)
    try:
        cell = _work(benchmark, method, work)
    except (MissingExtraError, MissingProgramError) as error:
        cell = Cell(method.name, method.kind, benchmark.seed, SKIPPED, one_line(error))
    except Exception as error:  # whatever ends one cell, the others go on
        reason = one_line(error)
        if not isinstance(error, InputError):
            reason = f"{type(error).__name__}: {reason}"
        cell = Cell(method.name, method.kind, benchmark.seed, FAILED, reason)
    drop_folder(folder)
    if cell.status == DONE:
        keep_cell(work, cell)
        work.rename(folder)
    else:  # what was trained so far stays in the partial folder
        keep_cell(folder, cell)
    return cell


def _work(benchmark: Benchmark, method: Method, work: Path) -> Cell:
    """Prepare, animate and measure a method."""
    from train.run.stage_work import StageClock
    from train.tables.predictions import read_predictions, save_predictions
    from train.tables.table1.measures import measure_motions

    benchmark.make(method.stage)
    work.mkdir(parents=True, exist_ok=True)
    training = work / TRAINING_FOLDER
    clock = StageClock(work / "training_s.txt")
    try:
        if method.trains:
            training.mkdir(exist_ok=True)
        prepared = method.prepare(benchmark, training)
    finally:
        clock.stop()
    begin = time.monotonic()
    motions = prepared.animate(benchmark.test, 0)
    factor = (time.monotonic() - begin) / benchmark.speech_s
    ids = benchmark.task.ids_of(benchmark.test)
    shutil.rmtree(work / PREDICTIONS_FOLDER, ignore_errors=True)
    save_predictions(work / PREDICTIONS_FOLDER, ids, motions, dtype=np.float16)
    # What is measured is what is kept: others who score these files get the same figures.
    kept = read_predictions(work / PREDICTIONS_FOLDER, benchmark.task.corpus, benchmark.test)
    if kept.faults:
        raise InputError(f"it animates what cannot be: {kept.faults[0]}")
    rows = np.arange(len(benchmark.test))
    figures = measure_motions(benchmark, [kept.motions[i] for i in benchmark.test.tolist()], rows)
    return Cell(
        method.name,
        method.kind,
        benchmark.seed,
        parameters=prepared.parameters,
        trained_s=prepared.trained_s + (clock.total_s if method.trains else 0.0),
        real_time_factor=factor,
        notes=prepared.notes,
        origin=benchmark.origin(method.files),
        utterances=tuple(ids),
        figures=figures,
        several=_several(benchmark, prepared),
    )


def _several(benchmark: Benchmark, prepared: Prepared) -> dict[str, FloatArray]:
    """Return the figures of several animations, if the method gives several."""
    from train.tables.table1.measures import measure_samples

    if not prepared.samples:
        return {}
    count = benchmark.run.config.evaluate.energy_samples
    drawn = [prepared.animate(benchmark.several, number) for number in range(count)]
    return measure_samples(benchmark, drawn)


def keep_cell(folder: Path, cell: Cell) -> None:
    """Write a cell into a folder, `cell.json` last."""
    from esarm_env import __version__

    folder.mkdir(parents=True, exist_ok=True)
    if cell.status == DONE:
        _write_figures(folder / FIGURES_FILE, cell.utterances, cell.figures)
        if cell.several:
            numbers = [str(number) for number in range(len(next(iter(cell.several.values()))))]
            _write_figures(folder / SEVERAL_FILE, numbers, cell.several)
    text = json.dumps(known_of(cell) | {"esarm": __version__}, indent=1)
    write_text(folder / CELL_FILE, text + "\n")


def read_cell(folder: Path) -> Cell | None:
    """Return a cell that is kept; None if there is none.

    Raises:
        InputError: If its files are damaged.
    """
    file = folder / CELL_FILE
    if not file.is_file():
        return None
    remedy = f"delete {folder}"
    known = read_json(file, "a cell", remedy=remedy)
    try:
        cell = Cell.of(known)
        if cell.status != DONE:
            return cell
        utterances, figures = _read_figures(folder / FIGURES_FILE)
        cell.figures.update(figures)
        if (folder / SEVERAL_FILE).is_file():
            cell.several.update(_read_figures(folder / SEVERAL_FILE)[1])
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{folder}: must be a whole cell, got {error!r:.100}; {remedy}") from error
    return dataclasses.replace(cell, utterances=utterances)


def read_cells(place: Path) -> list[Cell]:
    """Return all cells of a corpus, in the order of their folders.

    Raises:
        InputError: If one of them is damaged.
    """
    found = [read_cell(file.parent) for file in sorted(place.glob(f"[!.]*/seed-*/{CELL_FILE}"))]
    return [cell for cell in found if cell is not None]


def _check_origin(folder: Path, cell: Cell, origin: Mapping[str, str]) -> None:
    """Refuse a cell of other files than the shared run has now."""
    changed = [name for name in cell.origin if cell.origin[name] != origin.get(name)]
    if changed:
        raise InputError(
            f"{folder}: must be of the shared run as it is, got another {' and '.join(changed)}; "
            "delete the folder to measure it anew"
        )


def _write_figures(
    file: Path, utterances: Sequence[str], figures: Mapping[str, FloatArray]
) -> None:
    from train.run.loop import write_rows

    rows: list[dict[str, Any]] = [
        {"utterance": name, **{key: float(figures[key][row]) for key in figures}}
        for row, name in enumerate(utterances)
    ]
    write_rows(rows, file)


def _read_figures(file: Path) -> tuple[tuple[str, ...], dict[str, FloatArray]]:
    with file.open(newline="", encoding="utf-8") as opened:
        lines = list(csv.DictReader(opened))
    keys = [key for key in lines[0] if key != "utterance"] if lines else []
    if not keys:
        raise ValueError(f"{file.name} without figures")
    figures = {key: np.array([float(line[key]) for line in lines], np.float32) for key in keys}
    return tuple(line["utterance"] for line in lines), figures
