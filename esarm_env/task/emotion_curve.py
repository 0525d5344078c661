"""Emotion curve: shares of emotions over time, linear between the rows of a small table.

| time_s | neutral | happy | intensity |
|---|---|---|---|
| 0 | 1 | 0 | 1 |
| 2.5 | 0 | 1 | 3 |

is a face that begins to smile. A policy is shown the condition of each chunk's middle.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, FRAME_RATE_HZ, N_INTENSITIES
from esarm_env.formats.tables import read_table
from esarm_env.task.emotion_choice import (
    AUTO,
    EmotionMix,
    chosen_mix,
    emotion_named,
    nearest_emotion,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from esarm_env.core.types import DoubleArray

SUFFIX = ".csv"
TIME, INTENSITY = "time_s", "intensity"
_SLACK_S = 1 / FRAME_RATE_HZ  # that a curve may be short: durations are written rounded
_TRACE = 0.1  # shares below are not named


@dataclass(frozen=True, eq=False)
class EmotionCurve:
    """What is shown over the time of a recording; `of` checks and normalises.

    Attributes:
        times_s: Shape (N,), ascending.
        emotions: Shape (N, 9), shares at these times, each row adding up to 1.
        intensities: Shape (N,), 1 to 3; None where the curve does not say.
        name: What it is called in messages.
    """

    times_s: DoubleArray
    emotions: DoubleArray
    intensities: DoubleArray | None = None
    name: str = "the curve"

    @classmethod
    def of(
        cls,
        times_s: npt.ArrayLike,
        shares: Mapping[str, npt.ArrayLike],
        *,
        intensity: npt.ArrayLike | None = None,
        name: str = "the curve",
    ) -> EmotionCurve:
        """Make a curve of N points; shares that do not add up to 1 are divided by their sum.

        Args:
            times_s: Shape (N,), seconds from the start of the recording, ascending.
            shares: Shape (N,) each, by the emotion's name, at least 0.
            intensity: Shape (N,), 1 (weak) to 3 (strong), also between.
            name: What it is called in messages.

        Raises:
            InputError: If an emotion is unknown or stands there twice, or a number is out of its
                range.
        """
        times = _column(times_s, TIME, None, name)
        if not (len(times) and (np.diff(times) > 0).all()):
            raise InputError(f"{name}: `{TIME}` must be ascending times, got {_few(times)}")
        emotions = np.zeros((len(times), len(EMOTIONS)))
        for place, column in _places(tuple(shares), name).items():
            values = _column(shares[column], column, len(times), name)
            _check_range(values, times, column, name, low=0, high=np.inf)
            emotions[:, place] = values
        strengths = None
        if intensity is not None:
            strengths = _column(intensity, INTENSITY, len(times), name)
            _check_range(strengths, times, INTENSITY, name, low=1, high=N_INTENSITIES)
        return cls(times, _normalised(emotions, times, name), strengths, name)

    @property
    def label(self) -> str:
        """What it is, in words: `neutral, happy over time (smile.csv)`."""
        seen = [float(most) >= _TRACE for most in self.emotions.max(axis=0)]
        first = np.where(seen, (self.emotions >= _TRACE).argmax(axis=0), len(self.times_s))
        order = [EMOTIONS[int(i)] for i in np.argsort(first, kind="stable") if seen[i]]
        return f"{', '.join(order)} over time ({self.name})"

    def check_covers(self, duration_s: float) -> None:
        """Check that it says what is shown from the first to the last moment of a recording.

        Raises:
            InputError: If it does not; a frame may be missing.
        """
        first, last = self.times_s[0], self.times_s[-1]
        if first > _SLACK_S or last < duration_s - _SLACK_S:
            raise InputError(
                f"{self.name}: `{TIME}` must cover the whole recording, 0 to {duration_s:.2f} s, "
                f"got {first:g} to {last:g} s; add a row at the end that is missing"
            )

    def at(self, times_s: DoubleArray) -> EmotionMix:
        """Return shares of emotions (C, 9) and intensities (C, 3) at times (C,) in seconds.

        Linear between points; an intensity of 2.3 is 0.7 of 2 and 0.3 of 3.
        """
        emotions = [np.interp(times_s, self.times_s, column) for column in self.emotions.T]
        strength = np.full(len(self.times_s), 2.0) if self.intensities is None else self.intensities
        found = np.interp(times_s, self.times_s, strength)
        steps = np.arange(1, N_INTENSITIES + 1)
        intensities = np.clip(1 - np.abs(found[:, None] - steps), 0, 1)
        return EmotionMix(
            np.stack(emotions, axis=1).astype(np.float32), intensities.astype(np.float32)
        )


def read_curve(path: Path) -> EmotionCurve:
    """Read a curve from a CSV file: a column `time_s`, one for each emotion, and `intensity`.

    Raises:
        InputError: If it cannot be read, or as `EmotionCurve.of`.
    """
    table = read_table(path)
    header = [name.strip() for name in table.header]
    lowered = [name.lower() for name in header]
    if TIME not in lowered or len(set(lowered)) < len(lowered):
        raise InputError(
            f"{path}: must have a column {TIME}, one for each emotion, and `{INTENSITY}` if it "
            f"changes, each once, got {', '.join(header) or 'an empty file'}"
        )
    values, wrong = table.numbers(range(len(header)))
    for place, (line, _) in enumerate(table.lines):
        if place in wrong or np.isnan(values[place]).any():
            got = wrong.get(place, f"an empty cell in line {line}")
            raise InputError(f"{path}: must have a number in every cell, got {got}")
    columns = dict(zip(header, values.T, strict=True))
    times = columns.pop(header[lowered.index(TIME)])
    strength = None
    if INTENSITY in lowered:
        strength = columns.pop(header[lowered.index(INTENSITY)])
    return EmotionCurve.of(times, columns, intensity=strength, name=path.name)


def chosen_emotion(
    emotion: str | Path | EmotionCurve, intensity: int | None
) -> EmotionMix | EmotionCurve | None:
    """Return what a choice of emotion stands for; None for `auto`, which the voice decides.

    Args:
        emotion: A name, a blend, `auto`, or a curve, also by the path of its `.csv` file.
        intensity: 1 to 3; None is 2, or what a curve says.

    Raises:
        InputError: If one of them cannot be used, or both say an intensity.
    """
    if isinstance(emotion, str) and emotion.strip().lower() == AUTO:
        return None
    if isinstance(emotion, str) and not emotion.strip().lower().endswith(SUFFIX):
        return chosen_mix(emotion, 2 if intensity is None else intensity)
    curve = emotion if isinstance(emotion, EmotionCurve) else read_curve(Path(emotion))
    if curve.intensities is None:
        strength = chosen_mix("neutral", 2 if intensity is None else intensity).intensities
        level = float(strength @ np.arange(1, N_INTENSITIES + 1))
        return replace(curve, intensities=np.full(len(curve.times_s), level))
    if intensity is not None:
        raise InputError(
            f"`intensity` must be left out where {curve.name} has a column of it, got {intensity}"
        )
    return curve


def _places(columns: Sequence[str], name: str) -> dict[int, str]:
    """Return the columns by the place of their emotion."""
    if not columns:
        raise InputError(f"{name}: must have a column for at least one emotion, got none")
    places: dict[int, str] = {}
    for column in columns:
        emotion = emotion_named(column)
        if emotion is None:
            rule = f"{TIME}, {INTENSITY}, or one of {', '.join(EMOTIONS)}"
            raise InputError(
                f"{name}: a column must be {rule}, got {column!r}{nearest_emotion(column)}"
            )
        if EMOTIONS.index(emotion) in places:
            raise InputError(f"{name}: must have one column for {emotion}, got more")
        places[EMOTIONS.index(emotion)] = column
    return places


def _column(values: npt.ArrayLike, column: str, count: int | None, name: str) -> DoubleArray:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or (count is not None and len(found) != count):
        rule = "of one axis" if count is None else f"a number for each of {count} times"
        raise InputError(f"{name}: `{column}` must be {rule}, got shape {found.shape}")
    if not np.isfinite(found).all():
        raise InputError(f"{name}: `{column}` must be finite, got {_few(found)}")
    return found


def _check_range(
    values: DoubleArray, times: DoubleArray, column: str, name: str, *, low: float, high: float
) -> None:
    wrong = np.flatnonzero((values < low) | (values > high))
    if len(wrong):
        rule = f"at least {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"
        got = f"{values[wrong[0]]:g} at {times[wrong[0]]:g} s"
        raise InputError(f"{name}: `{column}` must be {rule}, got {got}")


def _normalised(emotions: DoubleArray, times: DoubleArray, name: str) -> DoubleArray:
    """Return shares that add up to 1 in every row, and say so where they did not."""
    totals = emotions.sum(axis=1)
    if (totals == 0).any():
        at = times[int((totals == 0).argmax())]
        raise InputError(
            f"{name}: an emotion must have a share above 0 at every time, got none at {at:g} s; "
            "`neutral` is one"
        )
    if (np.abs(totals - 1) > 1e-6).any():
        low, high = f"{totals.min():g}", f"{totals.max():g}"
        added = low if low == high else f"{low} to {high}"
        warnings.warn(
            f"the shares of {name} add up to {added}; each row is divided by its sum", stacklevel=4
        )
    shares: DoubleArray = emotions / totals[:, None]
    return shares


def _few(values: DoubleArray) -> str:
    """Return the first few numbers, for messages."""
    if not len(values):
        return "none"
    shown = ", ".join(f"{value:g}" for value in values[:6])
    return f"{shown}, ..." if len(values) > 6 else shown
