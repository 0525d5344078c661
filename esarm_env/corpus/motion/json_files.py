"""JSON motion reader: frames of weights (BEAT, LAM, and what people dump), or one matrix.

Names may stand in a header, in every frame, or beside every value; `JsonFrame` is what all come to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.frames import track_of_frames
from esarm_env.corpus.motion.json_documents import (
    LINE_SUFFIXES,
    Frames,
    columns_in,
    keyed_frames,
    names_of,
    parse_document,
    rates_in,
)
from esarm_env.corpus.motion.json_frames import (
    names_in,
    quality_of,
    rate_of_all,
    row_of,
    shown,
    times_of,
    weights_in,
)
from esarm_env.corpus.motion.stamps import Stamps, claimed_rate
from esarm_env.corpus.motion.track import MOST_FRAMES, Extent, MotionTrack
from esarm_env.face.names import MOST_COLUMNS, find_column, shape_columns
from esarm_env.formats.files import check_wrong, reading
from esarm_env.formats.numerals import decimal_sign, number
from esarm_env.formats.spellings import (
    FRAME_KEYS,
    TIME_NAMES,
    TIMECODE_NAME,
    VALUE_KEYS,
    keys_called,
)

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

_FORMS = (
    "must hold `names` and `frames` (BEAT, LAM) or `facsNames` and `weightMat` (Audio2Face), "
    "or a list of frames with names"
)
_DEEPEST = 3  # levels between the document and its frames
_SAMPLED_CELLS = 20_000  # to tell the decimal sign


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
    - The same frames by number or time: `{"0": {...}, "1": {...}}`, `{"0.033": {...}}`.
    - The same frames one a line (JSON lines, whatever the suffix), after names or not.
    - Columns: `{"time": [...], "jawOpen": [...], ...}`, or as pandas has them, by number.

    Numbers and times may be text. A frame that is empty or cannot be read is lost, and noted.

    Raises:
        InputError: If the file is truncated, of another form, or its frames do not fit its names.
    """
    document = parse_document(path)
    with reading(path, "motion in JSON"):
        if isinstance(document, Frames):
            return _read_frames(path, {}, document)
        track = _read_object(path, document)
        if track is None and path.suffix.lower() in LINE_SUFFIXES:
            track = _read_frames(path, {}, Frames([document]))  # a recording of one line
    if track is None:
        raise InputError(f"{path}: {_FORMS}, got {shown(list(document)[:8])}")
    return track


def _read_object(path: Path, document: dict[str, Any], *, level: int = 0) -> MotionTrack | None:
    """Return the track of a document, None if it has none of our forms."""
    values = keys_called(document, VALUE_KEYS)
    frame_keys = keys_called(document, FRAME_KEYS)
    for key in frame_keys or [key for key in values if _are_objects(document[key])]:
        found = document[key]
        frames = found if isinstance(found, Frames) else keyed_frames(path, found)
        if frames is None and isinstance(found, dict) and _has_columns(path, found):
            break
        return _read_frames(path, document, frames or Frames(_listed(path, found)))
    for key in values:
        if isinstance(document[key], list):
            return _read_matrix(path, document)
        keyed = keyed_frames(path, document[key])
        if keyed is not None:
            return _read_frames(path, document, keyed)
    frames = keyed_frames(path, document)
    if frames is not None:
        return _read_frames(path, document, frames)
    inner = [document[key] for key in (*frame_keys, *values) if isinstance(document[key], dict)]
    if len(inner) == 1 and _has_columns(path, inner[0]):
        return _read_columns(path, {**document, **inner[0]})
    if columns_in(path, document):
        return _read_columns(path, document)
    takes = [key for key, value in document.items() if isinstance(value, dict)]
    if len(takes) == 1 and level < _DEEPEST:  # the whole below a name
        around = {key: value for key, value in document.items() if key != takes[0]}
        return _read_object(path, {**around, **document[takes[0]]}, level=level + 1)
    return None


def _listed(path: Path, found: Any) -> list[Any]:
    """Return a list of frames as such."""
    if not isinstance(found, list):
        raise InputError(f"{path}: `frames` must be a list of objects, got {shown(found)}")
    return found


def _has_columns(path: Path, found: dict[str, Any]) -> bool:
    """Return whether an object holds columns of which one is a shape at least."""
    return any(find_column(key) is not None for key in columns_in(path, found))


def measure_json(path: Path) -> Extent:
    """Return the extent of a JSON file, for which it is read whole.

    Raises:
        InputError: As `read_json`.
    """
    track = read_json(path)
    if track.time_s is None:
        return Extent(len(track.values), None)
    return Extent.of_times(len(track.values), float(track.time_s[0]), float(track.time_s[-1]))


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _names(path: Path, document: Mapping[str, Any], key: str) -> list[str] | None:
    """Return the list of names of a document, None if it has none; refuse what is none."""
    found, names = names_of(document)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: `{found}` must be a list of names, got {shown(names)}")
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{path}: `{key}` must be at most {MOST_COLUMNS}, got {len(names)}")
    return names


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
            got = f"{len(row)}" if isinstance(row, list) else shown(row)
            wrong[frame] = f"frame {frame} must have {n_columns} weights, got {got}"
    # Before empty frames by the million get an array as wide as a header of thousands of names.
    check_wrong(path, list(wrong.values()), n_frames=len(rows))
    values = np.full((len(rows), n_columns), np.nan)
    slow: list[int] = []  # rows with text, or with integers beyond all floats
    for frame, row in enumerate(rows):
        if frame in wrong:
            continue
        try:
            values[frame] = row
        except (OverflowError, TypeError, ValueError):
            slow.append(frame)
    sign = _sign(path, [rows[frame] for frame in slow])
    for frame in slow:
        try:
            values[frame] = [_float(value, sign) for value in rows[frame]]
        except (TypeError, ValueError) as error:
            wrong[frame] = f"frame {frame}: weights must be numbers, got {str(error)[:80]}"
            values[frame] = np.nan
    return values, wrong


def _sign(path: Path, rows: Sequence[Sequence[Any]]) -> str:
    """Return the decimal sign of numbers in text."""
    cells = [cell for row in rows for cell in row if isinstance(cell, str)]
    try:
        return decimal_sign(cells[:_SAMPLED_CELLS], unclear=".")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _float(value: Any, sign: str) -> float:
    """Return a number or one in text as a float, one beyond all floats as infinite."""
    if isinstance(value, str):
        return number(value, sign=sign)
    try:
        return np.nan if value is None else float(value)
    except OverflowError:  # as in every other format; the check of values tells it
        return np.inf if value > 0 else -np.inf


def _read_frames(path: Path, document: Mapping[str, Any], listed: Frames) -> MotionTrack:
    """Return the track of a list of frames."""
    frames = listed.items
    if not all(frame is None or isinstance(frame, dict | list) for frame in frames):
        raise InputError(f"{path}: `frames` must be a list of objects, got {shown(frames)}")
    if not frames:
        raise InputError(f"{path}: must hold at least one frame, got []")
    if len(frames) > MOST_FRAMES:
        got = f"{len(frames)}; cut it first"
        raise InputError(f"{path}: must hold at most {MOST_FRAMES} frames, got {got}")
    check_wrong(path, list(listed.wrong.values()), n_frames=len(frames))
    found = [weights_in(frame) for frame in frames]
    names = _names(path, document, "names")
    if any(frame.named for frame in found):
        names = names or names_in(path, found)
        rows: list[Any] = [row_of(frame, names) for frame in found]
    else:
        rows = [frame.row for frame in found]
    if names is None:
        raise InputError(f"{path}: `names` must be a list of names, got None")
    table, wrong = _table(path, rows, n_columns=len(names))
    stamps, untimed = times_of(path, frames)
    claimed_hz, notes = claimed_rate(path, [*rates_in(document), *rate_of_all(frames)])
    return track_of_frames(
        path,
        names,
        table,
        stamps=stamps or listed.stamps,
        claimed_hz=claimed_hz,
        quality=quality_of(frames),
        wrong=list({**untimed, **wrong, **listed.wrong}.values()),
        notes=notes,
    )


def _read_matrix(path: Path, document: dict[str, Any]) -> MotionTrack:
    """Return the track of Audio2Face's form."""
    names = _names(path, document, "facsNames")
    if names is None:
        raise InputError(f"{path}: `facsNames` must be a list of names, got None")
    key = next(k for k in keys_called(document, VALUE_KEYS) if isinstance(document[k], list))
    if len(document[key]) > MOST_FRAMES:
        raise InputError(f"{path}: must hold at most {MOST_FRAMES} frames; cut it first")
    table, wrong = _table(path, document[key], n_columns=len(names))
    claimed_hz, notes = claimed_rate(path, rates_in(document))
    kept = [
        i for i, name in enumerate(names) if not name.startswith("tongue") or name == "tongueOut"
    ]
    return track_of_frames(
        path,
        [names[i] for i in kept],
        table[:, kept],
        claimed_hz=claimed_hz,
        wrong=list(wrong.values()),
        notes=notes,
    )


def _read_columns(path: Path, document: dict[str, Any]) -> MotionTrack:
    """Return the track of an object of columns."""
    columns = columns_in(path, document)
    time_keys = keys_called(columns, TIME_NAMES) or keys_called(columns, (TIMECODE_NAME,))
    names = [key for key in columns if key not in time_keys]
    try:
        chosen = [names[place] for place in shape_columns(names).places]
    except InputError as error:
        raise InputError(f"{path}: {_FORMS}, got {shown(list(document)[:8])}") from error
    lengths = {len(columns[key]) for key in (*chosen, *time_keys[:1])}
    if len(lengths) > 1 or max(lengths) > MOST_FRAMES:
        rule = f"equally long, at most {MOST_FRAMES}"
        raise InputError(f"{path}: columns must be {rule}, got {sorted(lengths)[:8]}")
    rows = [list(row) for row in zip(*(columns[name] for name in chosen), strict=True)]
    table, wrong = _table(path, rows, n_columns=len(chosen))
    claimed_hz, notes = claimed_rate(path, rates_in(document))
    return track_of_frames(
        path,
        chosen,
        table,
        stamps=Stamps.of_cells(path, time_keys[0], columns[time_keys[0]]) if time_keys else None,
        claimed_hz=claimed_hz,
        wrong=list(wrong.values()),
        notes=notes,
    )
