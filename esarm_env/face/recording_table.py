"""Table of a Live Link Face recording: which column is what, and which rows cannot be read.

What the timecodes count is judged in `esarm_env.face.livelink`.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from esarm_env.face.names import shape_columns, to_arkit_order
from esarm_env.formats.clock_times import is_clock
from esarm_env.formats.spellings import BOOKKEEPING, TIMECODE_NAME, note_on_others, plain
from esarm_env.formats.tables import Table, read_table

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray

_COUNT_NAME = "blendshapecount"  # writers differ in the capitals
# Whatever parts the numbers; minutes and seconds are checked, frames by what they count.
_CODE = re.compile(r"\d{1,2}[:;.](\d{1,2})[:;.](\d{1,2})[:;.,]\d{1,3}(?:[.,:;]\d+)?")
_SAMPLED_ROWS = 20  # to tell timecodes from seconds


def fault(path: Path, line: int, got: str) -> InputError:
    """Build the error for a bad line of a recording."""
    return InputError(f"{path}: must be a Live Link Face recording, got {got} in line {line}")


def is_recording(table: Table) -> bool:
    """Return whether a table has a column of timecodes; numbers in it are seconds.

    So are clock times, which say more than a timecode can: a date, or millionths of a second.
    """
    place = _place_of(table, TIMECODE_NAME)
    if place is None:
        return False
    sample = itertools.islice(table.rows(), _SAMPLED_ROWS)
    codes = ["".join(row[place : place + 1]).strip() for _, row in sample]
    coded = [code for code in codes if ":" in code]
    return any(_is_code(code) or not is_clock(code) for code in coded)


@dataclass(frozen=True)
class RecordingColumns:
    """Places of the columns of a recording, the names of its shapes, and a note on the others."""

    code: int
    count: int | None
    shapes: list[int]
    names: list[str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodedRow:
    """A row with a timecode: its number from 0, its timecode, whether it marks a lost face."""

    place: int
    code: str
    is_lost: bool


def _place_of(table: Table, name: str) -> int | None:
    """Return the first column of that plain name, None if there is none."""
    names = [plain(column) for column in table.header]
    return names.index(name) if name in names else None


def read_recording_table(path: Path, *, allow_missing: bool) -> tuple[Table, RecordingColumns]:
    """Return a recording as a table with at least one row, and what its columns are."""
    table = dataclasses.replace(read_table(path), kind="a Live Link Face recording")
    if not table.lines:
        raise fault(path, table.header_line, "no row of values")
    code, count = _place_of(table, TIMECODE_NAME), _place_of(table, _COUNT_NAME)
    if code is None:
        got = f"a header that starts with {','.join(table.header[:2])!r}"
        raise fault(path, table.header_line, got)
    places = [
        place
        for place, name in enumerate(table.header)
        if place not in (code, count) and plain(name) not in BOOKKEEPING
    ]
    names = [table.header[place] for place in places]
    try:
        if not allow_missing and not _has_all_shapes(names):
            to_arkit_order(names, np.zeros(len(names)), allow_missing=False)
        found = shape_columns(names)
    except InputError as error:
        raise fault(path, table.header_line, f"a faulty header ({error})") from error
    notes = note_on_others(found.others)
    shapes = [places[place] for place in found.places]
    return table, RecordingColumns(
        code, count, shapes, [names[place] for place in found.places], notes
    )


def _has_all_shapes(names: Sequence[str]) -> bool:
    try:
        return len(shape_columns(names).places) == N_CHANNELS
    except InputError:
        return False


def coded_rows(
    table: Table, columns: RecordingColumns
) -> tuple[list[tuple[int, CodedRow]], list[str]]:
    """Return line and row of all that have a timecode, and what is wrong with the others."""
    rows: list[tuple[int, CodedRow]] = []
    wrong: list[str] = []
    for place, (line, cells) in enumerate(table.rows()):
        code = "".join(cells[columns.code : columns.code + 1]).strip()
        is_lost = _is_lost(cells, columns)
        if not _is_code(code):
            wrong.append(f"the timecode {code[:20]!r} in line {line}")
        elif place == len(table.lines) - 1 and len(cells) < len(table.header) and not is_lost:
            # The time itself may be cut short, too.
            wrong.append(table.width_fault(place, line, len(cells)))
        else:
            rows.append((line, CodedRow(place, code, is_lost)))
    if not rows:
        raise InputError(f"{table.path}: must be {table.kind}, got {wrong[0]}")
    return rows, wrong


def _is_code(text: str) -> bool:
    """Return whether a cell may be a timecode; what its frames count is judged later."""
    found = _CODE.fullmatch(text)
    return found is not None and int(found[1]) < 60 and int(found[2]) < 60


def _is_lost(cells: Sequence[str], columns: RecordingColumns) -> bool:
    """Return whether a row marks a lost face: no values, or zeros alone and counted as none."""
    if columns.count is not None and "".join(cells[columns.count :][:1]).strip() != "0":
        return False
    width = len(cells)
    filled = (cells[place].strip() for place in columns.shapes if place < width)
    if columns.count is None:
        return not any(filled)
    return not any(cell.strip(" -0.,") for cell in filled)


def values_of(
    table: Table,
    columns: RecordingColumns,
    rows: Sequence[CodedRow],
    seen: BoolArray,
    wrong: list[str],
) -> tuple[FloatArray, BoolArray]:
    """Return the values of rows in our column order, (T, 52), and the mask of shapes present.

    Rows that cannot be read are taken out of `seen`, and told in `wrong`.
    """
    values = np.full((len(rows), len(columns.shapes)), np.nan)
    places = np.flatnonzero(seen)
    if len(places):
        found = dataclasses.replace(
            table, lines=tuple(table.lines[rows[place].place] for place in places.tolist())
        )
        values[places], faults = found.numbers(columns.shapes)
        seen[places[list(faults)]] = False
        wrong.extend(faults.values())
    return to_arkit_order(columns.names, values)
