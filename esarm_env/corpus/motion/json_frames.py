"""Frames of a JSON file: where in each the weights stand, its time, rate and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.stamps import Stamps
from esarm_env.face.names import MOST_COLUMNS, find_column
from esarm_env.formats.spellings import (
    BOOKKEEPING,
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

_LABEL_KEYS = frozenset({"name", "categoryname", "displayname", "shape", "blendshape", "key"})
_SCORE_KEYS = frozenset({"value", "score", "weight", "coefficient"})
_NO_VALUES = set(TIME_NAMES) | set(RATE_NAMES) | BOOKKEEPING | {TIMECODE_NAME, QUALITY_NAME}
_DEEPEST = 4  # levels between a frame and its weights


@dataclass(slots=True)
class JsonFrame:
    """What one frame holds: a row, or values by name; neither if it is empty."""

    row: list[Any] | None = None
    named: dict[str, Any] = field(default_factory=dict)


def weights_in(frame: Any, *, level: int = 0) -> JsonFrame:
    """Return what a frame holds, wherever in it the weights stand."""
    if isinstance(frame, list):
        if frame and all(isinstance(each, dict) for each in frame):
            if len(frame) == 1 and level < _DEEPEST and not _labelled(frame):
                return weights_in(frame[0], level=level + 1)  # one face of several
            return JsonFrame(named=_labelled(frame))
        return JsonFrame(row=frame)
    if not isinstance(frame, dict):
        return JsonFrame()
    for key in keys_called(frame, VALUE_KEYS):
        if isinstance(frame[key], dict | list) and level < _DEEPEST:
            return weights_in(frame[key], level=level + 1)
    named = {key: value for key, value in frame.items() if not isinstance(value, dict | list)}
    if level == 0:
        named = {key: value for key, value in named.items() if plain(key) not in _NO_VALUES}
    return JsonFrame(named={key: value for key, value in named.items() if _is_value(key, value)})


def _labelled(frame: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the values of a list of objects that each hold a name and a value."""
    named: dict[str, Any] = {}
    for each in frame:
        labels = [key for key in keys_called(each, _LABEL_KEYS) if each[key]]
        scores = keys_called(each, _SCORE_KEYS)
        if labels and scores and isinstance(each[labels[0]], str):
            named[each[labels[0]]] = each[scores[0]]
    return named


def _is_value(key: str, value: Any) -> bool:
    """Return whether a frame's value may be a weight; a shape's in text is one, or wrong."""
    return _is_number(value) or (isinstance(value, str) and find_column(key) is not None)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def names_in(path: Path, frames: Sequence[JsonFrame]) -> list[str]:
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


def row_of(frame: JsonFrame, names: Sequence[str]) -> list[Any] | None:
    """Return the values of a frame in the order of `names`, None for an empty frame."""
    if frame.named:
        return [frame.named.get(name) for name in names]
    return frame.row


def rate_of_all(frames: Sequence[Any]) -> list[tuple[str, object]]:
    """Return the frame rate that all frames state alike."""
    first = frames[0]
    keys = keys_called(first, RATE_NAMES) if isinstance(first, dict) else []
    return [
        (key, first[key])
        for key in keys
        if all(isinstance(frame, dict) and frame.get(key) == first[key] for frame in frames)
    ]


def quality_of(frames: Sequence[Any]) -> DoubleArray | None:
    """Return how well the face was tracked, 0 in frames that do not tell; None if none does."""
    first = next((frame for frame in frames if isinstance(frame, dict)), {})
    keys = keys_called(first, (QUALITY_NAME,))
    if not keys:
        return None
    values = [frame.get(keys[0]) if isinstance(frame, dict) else None for frame in frames]
    if not all(value is None or _is_number(value) for value in values):
        return None
    return np.array([0.0 if value is None else value for value in values], dtype=np.float64)


def times_of(path: Path, frames: Sequence[Any]) -> tuple[Stamps | None, dict[int, str]]:
    """Return the times of the frames, None if they do not tell; and which of them lack one."""
    keys = [_time_key(frame) if isinstance(frame, dict) else None for frame in frames]
    cells = [None if key is None else frame[key] for key, frame in zip(keys, frames, strict=True)]
    if all(cell is None for cell in cells):
        return None, {}
    name = next(key for key, cell in zip(keys, cells, strict=True) if cell is not None) or ""
    same = [cell if key == name else None for key, cell in zip(keys, cells, strict=True)]
    stamps = Stamps.of_cells(path, name, same)
    return stamps, {
        frame: f"frame {frame} must have a time in seconds, got {shown(cells[frame])}"
        for frame in np.flatnonzero(np.isnan(stamps.values)).tolist()
    }


def _time_key(frame: dict[str, Any]) -> str | None:
    """Return the key of a frame's time."""
    return next(iter(keys_called(frame, TIME_NAMES) or keys_called(frame, (TIMECODE_NAME,))), None)


def shown(value: Any) -> str:
    """Return the beginning of a value; one of thousands of digits cannot be printed whole."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "an integer of hundreds of digits"
    return str(value[:8] if isinstance(value, list) else value)[:40]
