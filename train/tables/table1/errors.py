"""Errors of a corpus' cells in one small file per seed, by which tables are put together.

`CORPUS/errors/seed-K.json` has a line for each method: what is known of it, and the errors of every
test utterance that differences between methods are told from. Such files of other tables join this
one in `CORPUS/earlier/`: seeds that were trained on several machines, or last year, add up. Figures
other than `EACH` and `SEVERAL` are kept as their mean; they have no interval.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.cache import read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import SETTINGS_FILE, is_file
from esarm_env.task.episode_metrics import EVE, LVE
from train.run.kept_settings import changed_settings
from train.tables.table1.cells import DONE, Cell, known_of, read_cells
from train.tables.table1.measures import EVE_ENERGY, LVE_ENERGY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from esarm_env.core.types import FloatArray

ERRORS_FOLDER, EARLIER_FOLDER = "errors", "earlier"
EACH, SEVERAL = (LVE, EVE), (LVE_ENERGY, EVE_ENERGY)
_DIGITS = 4  # of mm: tenths of micrometres


def write_errors(place: Path, cells: Iterable[Cell]) -> None:
    """Write the errors of all cells that are done into the folder `place` of their corpus."""
    settings = json.dumps(read_settings(place))
    by_seed: dict[int, list[Cell]] = {}
    for cell in cells:
        if cell.status == DONE:
            by_seed.setdefault(cell.seed, []).append(cell)
    for seed, found in by_seed.items():
        lines = ",\n".join(f" {json.dumps(_as_dict(cell))}" for cell in found)
        ids = json.dumps(found[0].utterances)
        text = f'{{"settings": {settings},\n"utterances": {ids},\n"cells": [\n{lines}\n]}}\n'
        (place / ERRORS_FOLDER).mkdir(exist_ok=True)
        write_text(place / ERRORS_FOLDER / f"seed-{seed}.json", text)


def read_earlier(place: Path) -> list[Cell]:
    """Return the cells of earlier tables that join that of the corpus in `place`.

    Raises:
        InputError: If a file is damaged, or of other settings than the table.
    """
    cells = []
    for file in sorted((place / EARLIER_FOLDER).glob("seed-*.json")):
        remedy = f"delete {file}"
        known = read_json(file, "errors of a table", remedy=remedy)
        if is_file(place / SETTINGS_FILE):
            _check_settings(file, known.get("settings", {}), read_settings(place))
        try:
            utterances = tuple(map(str, known["utterances"]))
            cells += [_as_cell(each, utterances) for each in known["cells"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}: must be errors of a table, got {error!r:.100}; {remedy}"
            ) from error
    return cells


def read_all_cells(place: Path) -> list[Cell]:
    """Return the cells of a corpus, and those of earlier tables that it has not made itself.

    Raises:
        InputError: If a file is damaged.
    """
    whole = read_cells(place)
    known = {(cell.method, cell.seed) for cell in whole}
    rest = [cell for cell in read_earlier(place) if (cell.method, cell.seed) not in known]
    return whole + rest


def read_settings(place: Path) -> dict[str, Any]:
    """Return what the cells of a corpus share.

    Raises:
        InputError: If there is no table of that corpus, or the file is damaged.
    """
    file = place / SETTINGS_FILE
    if not is_file(file):
        raise InputError(f"{place}: must be a corpus of a table, got none")
    return read_json(file, "settings", remedy=f"delete {place} to measure anew")


def _check_settings(file: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    names = sorted({*changed_settings(found, wanted), *changed_settings(wanted, found)})
    if names:
        said = ", ".join(f"{k} {found.get(k)!r} instead of {wanted.get(k)!r}" for k in names[:3])
        raise InputError(f"{file}: must have the settings of the table, got {said}; delete it")


def _as_dict(cell: Cell) -> dict[str, Any]:
    rest = {**cell.figures, **cell.several}
    means = {key: _plain([np.nanmean(values)])[0] for key, values in rest.items()
             if key not in (*EACH, *SEVERAL) and np.isfinite(values).any()}  # fmt: skip
    return {
        **known_of(cell),
        "means": {**cell.means, **means},
        "figures": {key: _plain(cell.figures[key]) for key in EACH},
        "several": {key: _plain(cell.several[key]) for key in SEVERAL if key in cell.several},
    }


def _as_cell(known: Mapping[str, Any], utterances: tuple[str, ...]) -> Cell:
    cell = Cell.of(known)
    figures = {key: _array(known["figures"][key]) for key in EACH}
    if any(len(values) != len(utterances) for values in figures.values()):
        raise ValueError(f"{cell.method}: as many errors as utterances, {len(utterances)}")
    several = {key: _array(values) for key, values in known["several"].items()}
    means = {str(key): float(value) for key, value in known["means"].items()}
    return replace(cell, utterances=utterances, figures=figures, several=several, means=means)


def _plain(values: Sequence[float] | FloatArray) -> list[float | None]:
    """Return figures as JSON knows them: rounded, and None where there is none."""
    return [round(float(value), _DIGITS) if np.isfinite(value) else None for value in values]


def _array(values: Sequence[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], np.float32)
