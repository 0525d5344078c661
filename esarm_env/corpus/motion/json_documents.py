"""JSON documents of motion in one form: objects a line and frames by number or time become lists.

What programs put around the frames (`names`, a rate, `metadata`) stays where it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError, one_line
from esarm_env.corpus.motion.stamps import Stamps
from esarm_env.corpus.motion.track import MOST_FRAMES
from esarm_env.face.names import find_column
from esarm_env.formats.clock_times import is_clock
from esarm_env.formats.files import read_bytes, reading
from esarm_env.formats.spellings import (
    NAME_KEYS,
    PERIOD_NAMES,
    RATE_NAMES,
    TIME_NAMES,
    TIMECODE_NAME,
    VALUE_KEYS,
    keys_called,
)

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

LINE_SUFFIXES = (".jsonl", ".ndjson")
_HOLDERS = frozenset({"metadata", "meta", "header", "info", "settings", "config", "properties"})
_RATE_KEYS = PERIOD_NAMES.union(RATE_NAMES)
_LONGEST_KEY = 64  # of a frame
# `12`, `0.033`, `frame_12`, `t=0.033`.
_NUMBERED = re.compile(
    r"(?:frames?|f|times?|t|index|idx|i|row|sample)?[\s_.:#=-]*(\d{1,18}(?:\.\d{1,18})?)",
    re.ASCII | re.IGNORECASE,
)


@dataclass
class Frames:
    """A list of frames, and what its place in the document told.

    Attributes:
        items: One per frame, None for one that is missing.
        stamps: Times of the frames where the document is keyed by them.
        wrong: What cannot be read, by frame; the last may be none of `items`.
    """

    items: list[Any]
    stamps: Stamps | None = None
    wrong: dict[int, str] = field(default_factory=dict)


def parse_document(path: Path) -> dict[str, Any] | Frames:
    """Return the object in a file, or its list of frames; of objects a line, the first may be both.

    Raises:
        InputError: If it is no whole JSON, or no object.
    """
    content = read_bytes(path)
    try:
        document = json.loads(content)
    except Exception as error:
        found = _of_lines(path, content)
        if found is None:
            with reading(path, "whole JSON", remedy="export it again"):
                raise error
        return found
    if isinstance(document, list) and any(isinstance(each, dict | list) for each in document):
        return Frames(document)
    if not isinstance(document, dict):
        raise InputError(f"{path}: must be a JSON object, got {type(document).__name__}")
    return document


def _of_lines(path: Path, content: bytes) -> dict[str, Any] | Frames | None:
    """Return the frames of a file of one object or row a line; None if it is no such file."""
    text = content.decode(json.detect_encoding(content), errors="replace").lstrip("\ufeff")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) < 2 or not isinstance(_parsed(lines[0][1])[0], dict | list):
        return None
    if len(lines) > MOST_FRAMES + 1:
        got = f"{len(lines)}; cut it first"
        raise InputError(f"{path}: must hold at most {MOST_FRAMES} frames, got {got}")
    frames = Frames([])
    for number, line in lines:
        value, reason = _parsed(line)
        if reason is not None:
            frames.wrong[len(frames.items)] = f"line {number} must be whole JSON, got {reason}"
        if reason is None or number != lines[-1][0]:  # a last line that was cut is no frame
            frames.items.append(value)
    first = frames.items[0]
    if not isinstance(first, dict) or not _is_header(first):
        return frames
    frames.items.pop(0)
    frames.wrong = {frame - 1: reason for frame, reason in frames.wrong.items()}
    return {**first, "frames": frames}


def _is_header(first: Mapping[str, Any]) -> bool:
    """Return whether the first line says something about all frames, and is none itself."""
    if _is_timed(first) or any(find_column(key) is not None for key in first):
        return False
    holds_values = any(
        isinstance(first[key], dict | list) for key in keys_called(first, VALUE_KEYS)
    )
    return not holds_values and bool(keys_called(first, _RATE_KEYS | NAME_KEYS | _HOLDERS))


def _parsed(line: str) -> tuple[Any, str | None]:
    """Return the value in a line, or why there is none."""
    try:
        return json.loads(line), None
    except (ValueError, RecursionError) as error:
        return None, one_line(error)[:80]


def _is_timed(frame: Mapping[str, Any]) -> bool:
    return bool(keys_called(frame, (*TIME_NAMES, TIMECODE_NAME)))


def keyed_frames(path: Path, value: Any) -> Frames | None:
    """Return the frames of an object that is keyed by their numbers or times, None if it is none.

    Numbers that are left out are frames without a face, unless the frames tell their times.
    """
    if not isinstance(value, dict):
        return None
    found = {key: _place(key) for key, each in value.items() if _may_be_frame(each)}
    keys = [key for key, place in found.items() if place is not None]
    if all(value[key] is None for key in keys):
        return None
    places = np.array([found[key] for key in keys], dtype=np.float64)
    if np.isnan(places).any():
        stamps = Stamps.of_cells(path, "clock", [key if is_clock(key) else None for key in keys])
        return Frames([value[key] for key in keys], stamps)
    order = np.argsort(places, kind="stable")
    items, places = [value[keys[place]] for place in order.tolist()], places[order]
    if not _are_numbers_of_frames(places):
        return Frames(items, Stamps.called("time", places))
    if any(isinstance(frame, dict) and _is_timed(frame) for frame in items):
        return Frames(items)
    return Frames(_with_missing(path, items, places - places[0]))


def _may_be_frame(value: Any) -> bool:
    return value is None or isinstance(value, dict | list)


def _place(key: str) -> float | None:
    """Return the number in the key of a frame, NaN for a clock time, None for any other key."""
    if len(key) > _LONGEST_KEY:
        return None
    found = _NUMBERED.fullmatch(key.strip())
    if found is not None:
        return float(found[1])
    return np.nan if is_clock(key) else None


def _are_numbers_of_frames(places: DoubleArray) -> bool:
    steps = np.diff(places)
    return bool((places == np.round(places)).all() and (not len(steps) or np.median(steps) == 1))


def _with_missing(path: Path, items: Sequence[Any], places: DoubleArray) -> list[Any]:
    """Return the frames at their numbers from 0 on, None at those that nobody has."""
    n_frames = int(places[-1]) + 1
    if n_frames > MOST_FRAMES:
        got = f"number {n_frames}; cut it first"
        raise InputError(f"{path}: must hold at most {MOST_FRAMES} frames, got {got}")
    whole: list[Any] = [None] * n_frames
    for place, item in zip(places.astype(np.int64).tolist(), items, strict=True):
        whole[place] = item
    return whole


def columns_in(path: Path, document: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the columns of a document: lists, or objects keyed by the numbers of frames."""
    columns: dict[str, list[Any]] = {}
    keys: list[str] | None = None
    for name, value in document.items():
        if isinstance(value, list):
            columns[name] = value
        elif isinstance(value, dict) and value and all(map(_is_index, value)):
            order = sorted(value, key=_index)
            if keys is not None and keys != order:
                raise InputError(f"{path}: columns must have the same keys, got others in {name!r}")
            keys = order
            columns[name] = [value[key] for key in order]
    return columns


def _is_index(key: str) -> bool:
    return _place(key) is not None


def _index(key: str) -> float:
    place = _place(key)
    return 0.0 if place is None or np.isnan(place) else place


def names_of(document: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the key and the value of the names that a document states; None if it does not."""
    for holder in (document, *_metadata(document).values()):
        for key in keys_called(holder, NAME_KEYS):
            if holder[key] is not None:
                return key, holder[key]
    return "names", None


def rates_in(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield every frame rate that a document or its metadata states, with its key."""
    for name, holder in _metadata(document).items():
        for key in keys_called(holder, _RATE_KEYS):
            yield f"{name}.{key}", holder[key]
    for key in keys_called(document, _RATE_KEYS):
        if not isinstance(document[key], dict | list):
            yield key, document[key]


def _metadata(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    keys = keys_called(document, _HOLDERS)
    return {key: document[key] for key in keys if isinstance(document[key], dict)}
