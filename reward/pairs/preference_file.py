"""Preference file `preferences.jsonl`: one human judgement a line.

```json
{"utterance": "S01_001_happy_2", "a": {"name": "clone/S01_001.npy", "sha256": "..."},
 "b": {"name": "ppo/S01_001.npy", "sha256": "..."}, "better": "b", "rater": "anna",
 "time": "2026-03-01T12:00:00+00:00"}
```

An animation is named by a path (`.npy`, or `.csv` of Live Link Face) relative to the file's folder,
or by any other name that whoever reads the file has a motion for; the digest of the motion tells
whether it is still the one that was shown.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, FloatArray

PREFERENCES_FILE = "preferences.jsonl"
CANNOT_TELL = "cannot-tell"  # an answer that is kept and not learned from
VERDICTS = ("a", "b", "tie", CANNOT_TELL)


@dataclass(frozen=True)
class RatedAnimation:
    """An animation as a rater saw it.

    Attributes:
        name: Path or name.
        sha256: `motion_digest` of its motion; empty if it was not noted.
        rate_hz: Frame rate.
    """

    name: str
    sha256: str = ""
    rate_hz: float = FRAME_RATE_HZ


@dataclass(frozen=True)
class Preference:
    """One judgement.

    Attributes:
        utterance: Id of the utterance that both animations answer.
        a: One animation.
        b: The other.
        better: `a`, `b`, `tie` or `cannot-tell`, from which nothing is learned.
        rater: Who judged.
        time: When, ISO 8601.
    """

    utterance: str
    a: RatedAnimation
    b: RatedAnimation
    better: str
    rater: str
    time: str

    def __post_init__(self) -> None:
        """Check verdict and time."""
        if self.better not in VERDICTS:
            raise ValueError(f"`better` must be one of {VERDICTS}, got {self.better!r}")
        if self.a == self.b:
            raise ValueError(f"`a` and `b` must be different animations, got {self.a.name!r} twice")
        try:
            datetime.fromisoformat(self.time.replace("Z", "+00:00"))
        except ValueError as error:
            raise ValueError(f"`time` must be ISO 8601, got {self.time!r}") from error

    def as_line(self) -> str:
        """Return the line of JSON, without its end."""

        def plain(shown: RatedAnimation) -> dict[str, Any]:
            values = vars(shown).copy()
            if shown.rate_hz == FRAME_RATE_HZ:
                del values["rate_hz"]
            return values

        values = vars(self) | {"a": plain(self.a), "b": plain(self.b)}
        return json.dumps(values, ensure_ascii=False)


def motion_digest(motion: FloatArray) -> str:
    """Return the SHA-256 of a motion (T, 52): of its shape and its values in 32 bits."""
    values = np.ascontiguousarray(motion, dtype="<f4")
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()


def write_preferences(preferences: Iterable[Preference], path: Path | str) -> None:
    """Write `preferences` to a file, which is replaced as a whole."""
    with new_file(Path(path)) as draft:
        text = "".join(preference.as_line() + "\n" for preference in preferences)
        draft.write_text(text, encoding="utf-8")


def add_preference(preference: Preference, path: Path | str) -> None:
    """Add one judgement at the end of a file, which need not exist yet."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
        # Behind a line that was cut, ours would be lost with it.
        cut = file.read(1) not in (b"", b"\n")
        file.write(("\n" * cut + preference.as_line() + "\n").encode())


def read_preferences(path: Path | str) -> tuple[list[Preference], list[str]]:
    """Read a file of judgements.

    Returns:
        What could be read, and a line of text for each line that could not.

    Raises:
        InputError: If there is no such file, or it is no text.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path}: must be a file of preferences, got {error}") from error
    preferences, problems, no_text = [], [], 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            preferences.append(parse_line(line))
        except (ValueError, OverflowError, RecursionError) as error:  # also what `json` raises
            no_text += isinstance(error, UnicodeDecodeError)
            problems.append(f"line {number}: {error}")
    if no_text and no_text == len(problems) and not preferences:
        raise InputError(f"{path}: must be a file of preferences, got no text: {problems[0]}")
    return preferences, problems


def parse_line(line: bytes) -> Preference:
    """Return the judgement in a line of UTF-8, which may be cut in the middle of a letter.

    Raises:
        ValueError: If it is none.
    """
    text = line.decode()
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"must be a JSON object, got one that is cut, or none: {text[:40]!r}"
        ) from error
    if not isinstance(values, dict):
        raise ValueError(f"must be a JSON object, got {text[:40]!r}")
    for key in ("utterance", "better", "rater", "time"):
        if not isinstance(values.get(key), str):
            raise ValueError(f"`{key}` must be text, got {values.get(key)!r}")
    return Preference(
        utterance=values["utterance"],
        a=_shown(values.get("a"), "a"),
        b=_shown(values.get("b"), "b"),
        better=values["better"],
        rater=values["rater"],
        time=values["time"],
    )


def _shown(value: Any, key: str) -> RatedAnimation:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError(f"`{key}` must hold the `name` of an animation, got {value!r}")
    digest, rate = value.get("sha256", ""), value.get("rate_hz", FRAME_RATE_HZ)
    if not isinstance(digest, str):
        raise ValueError(f"`{key}.sha256` must be text, got {digest!r}")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        raise ValueError(f"`{key}.rate_hz` must be a number, got {rate!r}")
    return RatedAnimation(value["name"], digest, float(rate))
