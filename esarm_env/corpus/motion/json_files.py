"""Motion in JSON files: frames of weights (BEAT, LAM) or one matrix (Audio2Face)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.corpus.motion.timing import DoubleArray, check_rate, check_times, regular_times
from esarm_env.corpus.motion.track import Extent, MotionTrack, track_of_table
from esarm_env.errors import InputError


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
    """Return the extent of a JSON file; this format tells it only to whom reads it all.

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
