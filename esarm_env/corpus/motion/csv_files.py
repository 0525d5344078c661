"""Motion in CSV files: Live Link Face recordings, our own captures, and tables with ARKit names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from esarm_env.corpus.motion.timing import check_times
from esarm_env.corpus.motion.track import Extent, MotionTrack, check_names, track_of_table
from esarm_env.errors import InputError
from esarm_env.face.livelink import (
    Row,
    measure_recording,
    numbers_of,
    read_recording,
    read_rows,
)

# Columns of time and what makes them seconds.
TIME_COLUMNS = {
    "time_s": 1.0,
    "time": 1.0,
    "timestamp": 1.0,
    "time_ms": 1e-3,
    "timestamp_ms": 1e-3,
}
QUALITY_COLUMN = "quality"
# Beside rotations and `_neutral`, which `names.place` leaves out.
_IGNORED = ("frame", "blendshapecount")


def read_csv(path: Path) -> MotionTrack:
    """Read a CSV file whose header names ARKit shapes in any spelling.

    A header that starts with `Timecode` is a Live Link Face recording. Any other has one column
    per shape and may have one of `TIME_COLUMNS` and `quality`, 0 where the face was lost: such a
    row may leave its values empty. Rotations, `_neutral` and `frame` are left out.

    Raises:
        InputError: If names are unknown or double (all are told at once), or a row is too short or
            too long or holds what is no number.
    """
    rows = read_rows(path)
    header = _header(path, rows)
    if header[0].lower() == "timecode":
        return _read_livelink(path)
    time, quality = _time_column(path, header), _column_called(header, QUALITY_COLUMN)
    shapes = [
        column
        for column, name in enumerate(header)
        if column not in (time, quality) and name.lower() not in _IGNORED
    ]
    names = [header[column] for column in shapes]
    # First, so that a column of words is told as an unknown name and not as a bad number.
    check_names(path, names)
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise _fault(path, line, f"{len(cells)} columns instead of {len(header)}")
    table = numbers_of(rows[1:], lambda line, got: _fault(path, line, got))
    seconds = None if time is None else table[:, time] * TIME_COLUMNS[header[time].lower()]
    return track_of_table(
        path,
        names,
        table[:, shapes],
        time_s=None if seconds is None else check_times(path, seconds),
        quality=None if quality is None else table[:, quality].astype(np.float32),
    )


def measure_csv(path: Path) -> Extent:
    """Return the extent of a CSV file from its lines and its first and last time.

    Raises:
        InputError: If there is no row, or a time is none.
    """
    rows = read_rows(path)
    header = _header(path, rows)
    if header[0].lower() == "timecode":
        n_frames, last_s = measure_recording(path)
        return Extent.of_times(n_frames, 0.0, last_s)
    time = _time_column(path, header)
    if time is None:
        return Extent(len(rows) - 1, None)
    ends = [(line, cells[time : time + 1]) for line, cells in (rows[1], rows[-1])]
    first, last = numbers_of(ends, lambda line, got: _fault(path, line, got))[:, 0]
    scale = TIME_COLUMNS[header[time].lower()]
    return Extent.of_times(len(rows) - 1, first * scale, last * scale)


def _fault(path: Path, line: int, got: str) -> InputError:
    return InputError(f"{path}: must be a table of numbers, got {got} in line {line}")


def _header(path: Path, rows: list[Row]) -> list[str]:
    """Return the names of the columns of a table with at least one row."""
    if len(rows) < 2:
        raise _fault(path, len(rows), "no row of values")
    line, header = rows[0]
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise _fault(path, line, "columns that no comma separates")
    return [name.strip() for name in header]


def _column_called(header: list[str], name: str) -> int | None:
    """Return the first column of that name, None if there is none."""
    names = [column.lower() for column in header]
    return names.index(name) if name in names else None


def _time_column(path: Path, header: list[str]) -> int | None:
    """Return the column of time, None if there is none."""
    found = [column for column, name in enumerate(header) if name.lower() in TIME_COLUMNS]
    if len(found) > 1:
        names = ", ".join(header[column] for column in found)
        raise InputError(f"{path}: must have one column of time at most, got {names}")
    return found[0] if found else None


def _read_livelink(path: Path) -> MotionTrack:
    """Return a Live Link Face recording as a track, its first row at 0 seconds."""
    recording = read_recording(path)
    return MotionTrack(
        recording.values,
        recording.captured,
        check_times(path, recording.frames / recording.rate_hz),
        recording.seen.astype(np.float32),
    )
