"""JSON motion reader: frames of weights (BEAT, LAM, and what people dump), or one matrix.

Names may stand in a header, in every frame, or beside every value; `_Frame` is what all come to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.frames import MOST_FRAMES, track_of_frames
from esarm_env.corpus.motion.track import Extent, MotionTrack, check_rate
from esarm_env.face.names import MOST_COLUMNS, shape_columns
from esarm_env.formats.files import check_wrong, read_bytes, reading
from esarm_env.formats.spellings import (
    BOOKKEEPING,
    FRAME_KEYS,
    NAME_KEYS,
    QUALITY_NAME,
    RATE_NAMES,
    TIME_NAMES,
    TIMECODE_NAME,
    VALUE_KEYS,
    keys_called,
    plain,
)

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

_FORMS = (
    "must hold `names` and `frames` (BEAT, LAM) or `facsNames` and `weightMat` (Audio2Face), "
    "or a list of frames with names"
)
_LABEL_KEYS = frozenset({"name", "categoryname", "displayname", "shape", "blendshape", "key"})
_SCORE_KEYS = frozenset({"value", "score", "weight", "coefficient"})
_NO_VALUES = set(TIME_NAMES) | set(RATE_NAMES) | BOOKKEEPING | {TIMECODE_NAME, QUALITY_NAME}
_DEEPEST = 4  # levels between a frame and its weights


@dataclass(slots=True)
class _Frame:
    """What one frame holds: a row, or values by name; neither if it is empty."""

    row: list[Any] | None = None
    named: dict[str, Any] = field(default_factory=dict)


def read_json(path: Path) -> MotionTrack:
    """Read a JSON file of one of these forms.

    - BEAT, LAM: `{"names": [...], "frames": [{"weights": [...], "time": seconds}, ...]}`; LAM adds
      `"metadata": {"fps": ...}`, which must fit the times or stands for missing ones. Frames may
      also be bare rows, and the rate stand outside.
    - Audio2Face: `{"facsNames": [...], "weightMat": [[...], ...], "exportFps": ...}`; its shapes
      of the tongue alone (`tongueTipUp`, ...) are left out.
    - A list of frames, alone or as `frames`, that hold values by name: `{"time": ..., "jawOpen":
      ...}`, the same below `blendShapes` or `weights`, or MediaPipe's list of `categoryName` and
      `score`.
    - Columns: `{"time": [...], "jawOpen": [...], ...}`.

    A frame that is empty or cannot be read is lost, and noted.

    Raises:
        InputError: If the file is truncated, of another form, or its frames do not fit its names.
    """
    document = _parse(path)
    with reading(path, "motion in JSON"):
        if isinstance(document, list):
            return _read_frames(path, {"frames": document})
        frames = keys_called(document, FRAME_KEYS) or [
            key for key in keys_called(document, VALUE_KEYS) if _are_objects(document[key])
        ]
        if frames:
            return _read_frames(path, {**document, "frames": document[frames[0]]})
        if any(isinstance(document[key], list) for key in keys_called(document, VALUE_KEYS)):
            return _read_matrix(path, document)
        if any(isinstance(value, list) for value in document.values()):
            return _read_columns(path, document)
    raise InputError(f"{path}: {_FORMS}, got {_shown(list(document)[:8])}")


def measure_json(path: Path) -> Extent:
    """Return the extent of a JSON file, for which it is read whole.

    Raises:
        InputError: As `read_json`.
    """
    track = read_json(path)
    if track.time_s is None:
        return Extent(len(track.values), None)
    return Extent.of_times(len(track.values), float(track.time_s[0]), float(track.time_s[-1]))


def _parse(path: Path) -> dict[str, Any] | list[Any]:
    """Return the object in the file, or its list of frames."""
    with reading(path, "whole JSON", remedy="export it again"):
        document = json.loads(read_bytes(path))
    if isinstance(document, list) and any(isinstance(each, dict | list) for each in document):
        return document
    if not isinstance(document, dict):
        raise InputError(f"{path}: must be a JSON object, got {type(document).__name__}")
    return document


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _names(path: Path, document: Mapping[str, Any], key: str) -> list[str] | None:
    """Return the list of names of a document, None if it has none; refuse what is none."""
    found = keys_called(document, NAME_KEYS)
    names = document[found[0]] if found else None
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: `{found[0]}` must be a list of names, got {_shown(names)}")
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{path}: `{key}` must be at most {MOST_COLUMNS}, got {len(names)}")
    return names


def _rate(path: Path, document: Mapping[str, Any]) -> float | None:
    """Return the frame rate that a document states, in it or in its metadata."""
    metadata = document.get("metadata")
    for holder in (metadata if isinstance(metadata, dict) else {}, document):
        for key in keys_called(holder, RATE_NAMES):
            if holder[key] is not None:
                return check_rate(path, holder[key])
    return None


def _table(
    path: Path, rows: Sequence[Any], *, n_columns: int
) -> tuple[DoubleArray, dict[int, str]]:
    """Return rows of numbers as an array of shape (T, n), and what is wrong with some; null is NaN.

    Rows that are wrong are NaN.
    """
    if not rows:
        raise InputError(f"{path}: must hold at least one frame, got []")
    wrong: dict[int, str] = {}
    for frame, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != n_columns:
            got = f"{len(row)}" if isinstance(row, list) else _shown(row)
            wrong[frame] = f"frame {frame} must have {n_columns} weights, got {got}"
    # Before empty frames by the million get an array as wide as a header of thousands of names.
    check_wrong(path, list(wrong.values()), n_frames=len(rows))
    values = np.full((len(rows), n_columns), np.nan)
    for frame, row in enumerate(rows):
        if frame in wrong:
            continue
        try:
            values[frame] = row
        except OverflowError:  # infinite, as in every other format; the check of values tells it
            values[frame] = [_float(value) for value in row]
        except (TypeError, ValueError) as error:
            wrong[frame] = f"frame {frame}: weights must be numbers, got {str(error)[:80]}"
            values[frame] = np.nan
    return values, wrong


def _float(value: Any) -> float:
    """Return a number as a float, one beyond all floats as infinite."""
    try:
        return np.nan if value is None else float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _read_frames(path: Path, document: dict[str, Any]) -> MotionTrack:
    """Return the track of a list of frames."""
    frames = document["frames"]
    if not isinstance(frames, list) or not all(
        frame is None or isinstance(frame, dict | list) for frame in frames
    ):
        raise InputError(f"{path}: `frames` must be a list of objects, got {_shown(frames)}")
    if not frames:
        raise InputError(f"{path}: must hold at least one frame, got []")
    if len(frames) > MOST_FRAMES:
        got = f"{len(frames)}; cut it first"
        raise InputError(f"{path}: must hold at most {MOST_FRAMES} frames, got {got}")
    found = [_frame(frame) for frame in frames]
    names = _names(path, document, "names")
    if any(frame.named for frame in found):
        names = names or _names_in(path, found)
        rows: list[Any] = [_row_of(frame, names) for frame in found]
    else:
        rows = [frame.row for frame in found]
    if names is None:
        raise InputError(f"{path}: `names` must be a list of names, got None")
    table, wrong = _table(path, rows, n_columns=len(names))
    claimed_hz = _rate(path, document)
    times, untimed = _frame_times(frames, claimed_hz)
    told = [*wrong.values(), *(text for frame, text in untimed.items() if frame not in wrong)]
    return track_of_frames(path, names, table, times=times, claimed_hz=claimed_hz, wrong=told)


def _frame(frame: Any, *, level: int = 0) -> _Frame:
    """Return what a frame holds, wherever in it the weights stand."""
    if isinstance(frame, list):
        if frame and all(isinstance(each, dict) for each in frame):
            if len(frame) == 1 and level < _DEEPEST and not _labelled(frame):
                return _frame(frame[0], level=level + 1)  # one face of several
            return _Frame(named=_labelled(frame))
        return _Frame(row=frame)
    if not isinstance(frame, dict):
        return _Frame()
    for key in keys_called(frame, VALUE_KEYS):
        if isinstance(frame[key], dict | list) and level < _DEEPEST:
            return _frame(frame[key], level=level + 1)
    named = {key: value for key, value in frame.items() if not isinstance(value, dict | list)}
    if level == 0:
        named = {key: value for key, value in named.items() if plain(key) not in _NO_VALUES}
    return _Frame(named={key: value for key, value in named.items() if _is_number(value)})


def _labelled(frame: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the values of a list of objects that each hold a name and a value."""
    named: dict[str, Any] = {}
    for each in frame:
        labels = [key for key in keys_called(each, _LABEL_KEYS) if each[key]]
        scores = keys_called(each, _SCORE_KEYS)
        if labels and scores and isinstance(each[labels[0]], str):
            named[each[labels[0]]] = each[scores[0]]
    return named


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _names_in(path: Path, frames: Sequence[_Frame]) -> list[str]:
    """Return the names in all frames, in the order in which they appear."""
    names: dict[str, None] = {}
    n_values = n_frames = 0
    for frame in frames:
        names.update(dict.fromkeys(frame.named))
        n_values += len(frame.named)
        n_frames += bool(frame.named)
        if len(names) > MOST_COLUMNS:
            raise InputError(f"{path}: must have at most {MOST_COLUMNS} names in its frames")
    if 2 * n_values < n_frames * len(names):
        raise InputError(
            f"{path}: frames must hold the same names, got {len(names)} in all and "
            f"{n_values / n_frames:.1f} a frame"
        )
    return list(names)


def _row_of(frame: _Frame, names: Sequence[str]) -> list[Any] | None:
    """Return the values of a frame in the order of `names`, None for an empty frame."""
    if frame.named:
        return [frame.named.get(name) for name in names]
    return frame.row


def _frame_times(
    frames: Sequence[Any], claimed_hz: float | None
) -> tuple[DoubleArray | None, dict[int, str]]:
    """Return the times of the frames in seconds, None if they do not tell; and who lacks one."""
    keys = [_time_key(frame) if isinstance(frame, dict) else None for frame in frames]
    values = [None if key is None else frame[key] for key, frame in zip(keys, frames, strict=True)]
    if all(value is None for value in values):
        return None, {}
    times = np.full(len(frames), np.nan)
    wrong: dict[int, str] = {}
    for frame, (key, value) in enumerate(zip(keys, values, strict=True)):
        if key is None or value is None or not _is_number(value):
            wrong[frame] = f"frame {frame} must have a time in seconds, got {_shown(value)}"
            continue
        try:
            times[frame] = float(value) * TIME_NAMES.get(plain(key), 1.0)
        except OverflowError:
            wrong[frame] = f"frame {frame} must have a time in seconds, got {_shown(value)}"
    return times, wrong


def _time_key(frame: dict[str, Any]) -> str | None:
    """Return the key of a frame's time; a timecode only if it is a number, of seconds."""
    for key in keys_called(frame, TIME_NAMES):
        return key
    codes = keys_called(frame, (TIMECODE_NAME,))
    return codes[0] if codes and _is_number(frame[codes[0]]) else None


def _read_matrix(path: Path, document: dict[str, Any]) -> MotionTrack:
    """Return the track of Audio2Face's form."""
    names = _names(path, document, "facsNames")
    if names is None:
        raise InputError(f"{path}: `facsNames` must be a list of names, got None")
    key = next(k for k in keys_called(document, VALUE_KEYS) if isinstance(document[k], list))
    if len(document[key]) > MOST_FRAMES:
        raise InputError(f"{path}: must hold at most {MOST_FRAMES} frames; cut it first")
    table, wrong = _table(path, document[key], n_columns=len(names))
    kept = [
        i for i, name in enumerate(names) if not name.startswith("tongue") or name == "tongueOut"
    ]
    return track_of_frames(
        path,
        [names[i] for i in kept],
        table[:, kept],
        claimed_hz=_rate(path, document),
        wrong=list(wrong.values()),
    )


def _read_columns(path: Path, document: dict[str, Any]) -> MotionTrack:
    """Return the track of an object of columns."""
    columns = {key: value for key, value in document.items() if isinstance(value, list)}
    time_keys = keys_called(columns, TIME_NAMES)
    names = [key for key in columns if key not in time_keys]
    try:
        chosen = [names[place] for place in shape_columns(names).places]
    except InputError as error:
        raise InputError(f"{path}: {_FORMS}, got {_shown(list(document)[:8])}") from error
    lengths = {len(columns[key]) for key in (*chosen, *time_keys[:1])}
    if len(lengths) > 1 or max(lengths) > MOST_FRAMES:
        rule = f"equally long, at most {MOST_FRAMES}"
        raise InputError(f"{path}: columns must be {rule}, got {sorted(lengths)[:8]}")
    rows = [list(row) for row in zip(*(columns[name] for name in chosen), strict=True)]
    table, wrong = _table(path, rows, n_columns=len(chosen))
    times = None
    if time_keys:
        seconds, late = _table(path, [[t] for t in columns[time_keys[0]]], n_columns=1)
        times = seconds[:, 0] * TIME_NAMES[plain(time_keys[0])]
        wrong.update(late)
    claimed_hz = _rate(path, {key: document[key] for key in document if key not in columns})
    return track_of_frames(
        path, chosen, table, times=times, claimed_hz=claimed_hz, wrong=list(wrong.values())
    )


def _shown(value: Any) -> str:
    """Return the beginning of a value; one of thousands of digits cannot be printed whole."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "an integer of hundreds of digits"
    return str(value[:8] if isinstance(value, list) else value)[:40]
