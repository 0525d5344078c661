"""CSV motion reader: Live Link Face recordings, our own captures, and tables with ARKit names."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.frames import kept_frames, track_of_frames
from esarm_env.corpus.motion.track import (
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
    TIME_NAMES,
    TIMECODE_NAME,
    note_on_others,
    plain,
)
from esarm_env.formats.tables import Table, read_table

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray


@dataclass(frozen=True)
class _Columns:
    """Places of the columns of a table; None for what it lacks."""

    time: int | None
    quality: int | None
    shapes: list[int]


def read_csv(path: Path) -> MotionTrack:
    """Read a CSV file whose header names ARKit shapes in any spelling.

    A column `Timecode` of HH:MM:SS:FF makes it a Live Link Face recording. Any other has one column
    per shape and may have one of time (`TIME_NAMES`) and `quality`, 0 where the face was lost: such
    a row may leave its values empty. Other columns are left out, with a note unless they are known
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
    n_rows = _without_cut_end(table)
    return track_of_frames(
        path,
        [table.header[place] for place in shapes],
        values[:n_rows, : len(shapes)],
        times=_times(table, columns, n_rows),
        quality=values[:n_rows, -1] if rated else None,
        wrong=[f"must be a table of numbers, got {what}" for what in wrong.values()],
        notes=note_on_others(found.others),
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
    n_rows = _without_cut_end(table)
    times = _times(table, columns, n_rows)
    if times is None:
        return Extent(n_rows, None)
    times = times[kept_frames(path, times).mask]
    return Extent.of_times(len(times), float(times[0]), float(times[-1]))


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
    known = BOOKKEEPING | {TIMECODE_NAME}
    shapes = [
        place
        for place, name in enumerate(names)
        if place not in (time, quality) and name not in known
    ]
    return _Columns(time, quality, shapes)


def _time_column(table: Table, names: list[str]) -> int | None:
    """Return the column of time, None if there is none."""
    found = [place for place, name in enumerate(names) if name in TIME_NAMES]
    if len(found) > 1:
        told = ", ".join(table.header[place] for place in found)
        raise InputError(f"{table.path}: must have one column of time at most, got {told}")
    if not found and TIMECODE_NAME in names:  # in seconds, or it would be a recording
        return names.index(TIMECODE_NAME)
    return found[0] if found else None


def _times(table: Table, columns: _Columns, n_rows: int) -> DoubleArray | None:
    """Return the times of the first rows in seconds, NaN where a row has none."""
    if columns.time is None:
        return None
    scale = TIME_NAMES.get(plain(table.header[columns.time]), 1.0)
    with np.errstate(over="ignore"):
        return table.column(columns.time)[:n_rows] * scale


def _without_cut_end(table: Table) -> int:
    """Return the number of rows but for a last one that was cut short."""
    ((_, last),) = deque(table.rows(), maxlen=1)
    return len(table.lines) - (len(last) < len(table.header))


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
