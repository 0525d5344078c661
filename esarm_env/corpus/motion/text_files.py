"""CSV and JSON motion readers.

CSV: Live Link Face recordings, our own captures, and tables with ARKit names. JSON: frames of
weights (BEAT, LAM) or one matrix (Audio2Face).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.track import (
    Extent,
    MotionTrack,
    check_names,
    check_rate,
    check_times,
    regular_times,
    track_of_table,
)
from esarm_env.face.livelink import Row, measure_recording, numbers_of, read_recording, read_rows

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

# Names of the time column, and the factor to seconds.
TIME_COLUMNS = {
    "time_s": 1.0,
    "time": 1.0,
    "timestamp": 1.0,
    "time_ms": 1e-3,
    "timestamp_ms": 1e-3,
}
QUALITY_COLUMN = "quality"
# In addition to rotations and `_neutral`, which `to_arkit_order` leaves out.
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


def read_json(path: Path) -> MotionTrack:
    """Read a JSON file of one of two forms.

    - BEAT, LAM: `{"names": [...], "frames": [{"weights": [...], "time": seconds}, ...]}`; LAM adds
      `"metadata": {"fps": ...}`, which must fit the times or stands for missing ones.
    - Audio2Face: `{"facsNames": [...], "weightMat": [[...], ...], "exportFps": ...}`; its shapes
      of the tongue alone (`tongueTipUp`, ...) are left out.

    Raises:
        InputError: If the file is truncated, of another form, or its frames do not fit its names.
    """
    document = _parse(path)
    if "frames" in document:
        return _read_frames(path, document)
    if "weightMat" in document:
        return _read_matrix(path, document)
    raise InputError(
        f"{path}: must hold `names` and `frames` (BEAT, LAM) or `facsNames` and `weightMat` "
        f"(Audio2Face), got {list(document)[:8]}"
    )


def measure_json(path: Path) -> Extent:
    """Return the extent of a JSON file, for which it is read whole.

    Raises:
        InputError: As `read_json`.
    """
    track = read_json(path)
    if track.time_s is None:
        return Extent(len(track.values), None)
    return Extent.of_times(len(track.values), track.time_s[0], track.time_s[-1])


def _parse(path: Path) -> dict[str, Any]:
    """Return the object in the file."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: must be whole JSON, got {error}; export it again") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: must be a JSON object, got {type(document).__name__}")
    return document


def _names(path: Path, names: Any, key: str) -> list[str]:
    """Return a list of names, or refuse what is none."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: `{key}` must be a list of names, got {str(names)[:40]}")
    return names


def _table(path: Path, rows: Any, *, n_columns: int) -> DoubleArray:
    """Return rows of numbers as an array of shape (T, n); null is NaN."""
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: must hold at least one frame, got {str(rows)[:40]}")
    for frame, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != n_columns:
            got = f"{len(row)}" if isinstance(row, list) else f"{row!r:.40}"
            raise InputError(f"{path}: frame {frame} must have {n_columns} weights, got {got}")
    try:
        return np.array(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: weights must be numbers, got {error}") from error


def _read_frames(path: Path, document: dict[str, Any]) -> MotionTrack:
    """Return the track of BEAT's form."""
    names = _names(path, document.get("names"), "names")
    frames = document["frames"]
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise InputError(f"{path}: `frames` must be a list of objects, got {str(frames)[:40]}")
    table = _table(path, [frame.get("weights") for frame in frames], n_columns=len(names))
    metadata = document.get("metadata")
    fps = metadata.get("fps") if isinstance(metadata, dict) else None
    claimed_hz = None if fps is None else check_rate(path, fps)
    return track_of_table(path, names, table, time_s=_frame_times(path, frames, claimed_hz))


def _frame_times(
    path: Path, frames: list[dict[str, Any]], claimed_hz: float | None
) -> DoubleArray | None:
    """Return the times of the frames, None if neither they nor the header tell."""
    times: list[Any] = [frame.get("time") for frame in frames]
    if all(time is None for time in times):
        return None if claimed_hz is None else regular_times(len(frames), claimed_hz)
    for frame, time in enumerate(times):
        if not isinstance(time, (int, float)):
            raise InputError(f"{path}: frame {frame} must have a time in seconds, got {time!r}")
    return check_times(path, times, claimed_hz=claimed_hz)


def _read_matrix(path: Path, document: dict[str, Any]) -> MotionTrack:
    """Return the track of Audio2Face's form."""
    names = _names(path, document.get("facsNames"), "facsNames")
    table = _table(path, document["weightMat"], n_columns=len(names))
    kept = [
        i for i, name in enumerate(names) if not name.startswith("tongue") or name == "tongueOut"
    ]
    fps = document.get("exportFps")
    time_s = None if fps is None else regular_times(len(table), check_rate(path, fps))
    return track_of_table(path, [names[i] for i in kept], table[:, kept], time_s=time_s)
