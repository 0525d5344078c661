"""CSV motion reader: Live Link Face recordings, our own captures, and tables with ARKit names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.frames import extent_of_frames, track_of_frames
from esarm_env.corpus.motion.stamps import Stamps, claimed_rate
from esarm_env.corpus.motion.track import (
    FASTEST_HZ,
    SLOWEST_HZ,
    Extent,
    MotionTrack,
    check_names,
    check_times,
)
from esarm_env.face.livelink import measure_recording, read_recording
from esarm_env.face.recording_table import is_recording
from esarm_env.formats.spellings import (
    BOOKKEEPING,
    QUALITY_NAME,
    RATE_NAMES,
    TIME_NAMES,
    TIMECODE_NAME,
    note_on_others,
    plain,
)
from esarm_env.formats.tables import Table, read_table


@dataclass(frozen=True)
class _Columns:
    """Places of the columns of a table; None for what it lacks."""

    time: int | None
    quality: int | None
    rates: list[int]
    shapes: list[int]


def read_csv(path: Path) -> MotionTrack:
    """Read a CSV file whose header names ARKit shapes in any spelling.

    A column `Timecode` of HH:MM:SS:FF makes it a Live Link Face recording. Any other has one column
    per shape and may have one of time (`TIME_NAMES`, also as clock times), one of the frame rate,
    the same in all rows, and `quality`, 0 where the face was lost: such a row may leave its values
    empty. Other columns are left out, with a note unless they are known
    to hold something else. A row that cannot be read is a lost frame, a cut last line is none.

    Raises:
        InputError: If no column is a shape, one is there twice or nearly right (all are told at
            once), or too many rows cannot be read.
    """
    table = _table(path)
    if is_recording(table):
        return _read_livelink(table)
    columns = _columns(table)
    # First, so that a table of words is told as such and not as bad numbers.
    found = check_names(path, [table.header[place] for place in columns.shapes])
    shapes = [columns.shapes[place] for place in found.places]
    rated = [] if columns.quality is None else [columns.quality]
    values, wrong = table.numbers([*shapes, *rated])
    if rated:
        values[list(wrong), -1] = 0.0
    n_rows = len(table.lines) - table.ends_short()
    claimed_hz, others = _rate(table, columns)
    return track_of_frames(
        path,
        [table.header[place] for place in shapes],
        values[:n_rows, : len(shapes)],
        stamps=_stamps(table, columns, n_rows),
        claimed_hz=claimed_hz,
        quality=values[:n_rows, -1] if rated else None,
        wrong=[f"must be a table of numbers, got {what}" for what in wrong.values()],
        notes=note_on_others([*found.others, *others]),
    )


def measure_csv(path: Path) -> Extent:
    """Return the extent of a CSV file from its header, its lines and their times.

    Raises:
        InputError: If there is no row, no column is a shape, or times are none.
    """
    table = _table(path)
    if is_recording(table):
        n_frames, last_s = measure_recording(path)
        return Extent.of_times(n_frames, 0.0, last_s)
    columns = _columns(table)
    check_names(path, [table.header[place] for place in columns.shapes])
    n_rows = len(table.lines) - table.ends_short()
    stamps = _stamps(table, columns, n_rows)
    claimed_hz, _ = _rate(table, columns)
    return extent_of_frames(path, n_rows, stamps=stamps, claimed_hz=claimed_hz)


def _table(path: Path) -> Table:
    """Return a table with at least one row."""
    table = read_table(path)
    if not table.lines:
        got = f"no row of values in line {table.header_line}"
        raise InputError(f"{path}: must be a table of numbers, got {got}")
    return table


def _columns(table: Table) -> _Columns:
    """Return which column is what."""
    names = [plain(name) for name in table.header]
    time = _time_column(table, names)
    quality = names.index(QUALITY_NAME) if QUALITY_NAME in names else None
    rates = [i for i, name in enumerate(names) if name in RATE_NAMES]
    known = BOOKKEEPING | {TIMECODE_NAME}
    shapes = [
        place
        for place, name in enumerate(names)
        if place not in (time, quality, *rates) and name not in known
    ]
    return _Columns(time, quality, rates, shapes)


def _time_column(table: Table, names: list[str]) -> int | None:
    """Return the column of time, None if there is none."""
    found = [place for place, name in enumerate(names) if name in TIME_NAMES]
    if len(found) > 1:
        told = ", ".join(table.header[place] for place in found)
        raise InputError(f"{table.path}: must have one column of time at most, got {told}")
    if not found and TIMECODE_NAME in names:  # in seconds, or it would be a recording
        return names.index(TIMECODE_NAME)
    return found[0] if found else None


def _stamps(table: Table, columns: _Columns, n_rows: int) -> Stamps | None:
    """Return the times of the first rows, NaN where a row has none."""
    if columns.time is None:
        return None
    name = table.header[columns.time]
    times = table.column(columns.time)[:n_rows]
    if np.isfinite(times).any():
        return Stamps.called(name, times)
    return Stamps.of_cells(table.path, name, table.cells(columns.time)[:n_rows])


def _rate(table: Table, columns: _Columns) -> tuple[float | None, list[str]]:
    """Return the frame rate that a column states in all rows alike, and the columns that do not."""
    stated, others = [], []
    for place in columns.rates:
        found = np.unique(table.column(place))
        known = found[np.isfinite(found)]
        if len(known) == 1 and SLOWEST_HZ <= known[0] <= FASTEST_HZ:
            stated.append((table.header[place], float(known[0])))
        else:
            others.append(table.header[place])
    return claimed_rate(table.path, stated)[0], others


def _read_livelink(table: Table) -> MotionTrack:
    """Return a Live Link Face recording as a track, its first row at 0 seconds."""
    recording = read_recording(table.path)
    return MotionTrack(
        recording.values,
        recording.captured,
        check_times(table.path, recording.frames / recording.rate_hz),
        recording.seen.astype(np.float32),
        recording.notes,
    )
