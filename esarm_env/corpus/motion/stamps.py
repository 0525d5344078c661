"""Time stamps and stated frame rates, in whatever unit, number or text a file has them.

A name such as `time` says no unit: no face is tracked at 5,000 frames a second or at one a minute,
so that of seconds, milliseconds, micro- and nanoseconds one alone can be meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.track import (
    FASTEST_HZ,
    RATE_TOLERANCE,
    SLOWEST_HZ,
    check_rate,
    rate_of,
)
from esarm_env.formats.clock_times import clock_seconds
from esarm_env.formats.numerals import number
from esarm_env.formats.spellings import (
    PERIOD_NAMES,
    SLOWEST_SOUND_HZ,
    SOUND_RATE_NAMES,
    TIME_NAMES,
    TIMES_WITHOUT_UNIT,
    plain,
)

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, DoubleArray

_UNITS = {"milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
_FASTEST_INFERRED_HZ = 480.0  # steps of 2 milliseconds are more likely every second frame
_IN_SECONDS = re.compile(r"(?:[\W_]s|S)\W*$")  # `time_s` and `Time (s)`, not `times`
_RATIO = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Stamps:
    """Times of frames as a file holds them.

    Attributes:
        values: Shape (T,), in the file's unit; NaN where a frame has none.
        scale: Factor to seconds; None where neither name nor form tells.
    """

    values: DoubleArray
    scale: float | None = 1.0

    @classmethod
    def called(cls, name: str, values: DoubleArray) -> Stamps:
        """Return numbers as times, their unit by the name of their column."""
        key = plain(name)
        says_no_unit = key in TIMES_WITHOUT_UNIT and not _IN_SECONDS.search(name)
        return cls(values, None if says_no_unit else TIME_NAMES.get(key))

    @classmethod
    def of_cells(cls, source: str | Path, name: str, cells: Sequence[object]) -> Stamps:
        """Return what stands for times: numbers, numbers as text, or clock times.

        Raises:
            InputError: If timecodes go back in time.
        """
        values = np.array([_number(cell) for cell in cells])
        texts = [
            cell if isinstance(cell, str) and np.isnan(value) else ""
            for cell, value in zip(cells, values.tolist(), strict=True)
        ]
        if not any(text.strip() for text in texts) or np.isfinite(values).any():
            return cls.called(name, values)
        try:
            return cls(clock_seconds(texts))
        except InputError as error:
            raise InputError(f"{source}: {error}") from error

    def seconds(
        self, source: str | Path, mask: BoolArray, *, claimed_hz: float | None = None
    ) -> tuple[DoubleArray, tuple[str, ...]]:
        """Return the times of some frames in seconds, and a note where their unit was inferred.

        Args:
            source: The file, for the message.
            mask: Which frames, shape (T,), bool; their times ascend.
            claimed_hz: The frame rate that the file states, which numbers of frames need.

        Raises:
            InputError: If nothing says the unit, and none makes a plausible rate.
        """
        times = self.values[mask]
        if self.scale is not None:
            return times * self.scale, ()
        rate = rate_of(times)
        if rate is None or SLOWEST_HZ <= rate <= FASTEST_HZ:
            return times, ()
        step = f"a frame steps by {1 / rate:.4g}"
        for unit, scale in _UNITS.items():
            if SLOWEST_HZ <= rate / scale <= _FASTEST_INFERRED_HZ:
                return times * scale, (f"times taken for {unit}, as {step}",)
        if claimed_hz is not None and _are_counts(times):
            return times / claimed_hz, (f"times taken for numbers of frames, as {step}",)
        raise InputError(
            f"{source}: times must be in seconds or parts of them at {SLOWEST_HZ:g} to "
            f"{FASTEST_HZ:g} Hz, got times of which {step}; name their unit as in `time_ms`, or "
            "take them out and state the rate"
        )


def _are_counts(times: DoubleArray) -> bool:
    """Return whether times are whole numbers that usually rise by one."""
    return bool((times == np.round(times)).all() and np.median(np.diff(times)) == 1)


def _number(cell: object) -> float:
    """Return the number that a cell of a column of times holds, NaN for none."""
    try:
        if isinstance(cell, str):
            return number(cell)
        return math.nan if cell is None or isinstance(cell, bool) else float(cell)  # type: ignore[arg-type]  # what cannot be raises
    except (TypeError, ValueError, OverflowError):
        return math.nan


def claimed_rate(
    source: str | Path, stated: Iterable[tuple[str, object]]
) -> tuple[float | None, tuple[str, ...]]:
    """Return the frame rate that a file states, None if it does not, and notes.

    Args:
        source: The file, for messages.
        stated: Key and value of everything called as in `RATE_NAMES` or `PERIOD_NAMES`; null does
            not count, nor a sound's rate, which is noted.

    Raises:
        InputError: If one is no frame rate, or they disagree; the message names the keys.
    """
    rates: dict[str, float] = {}
    notes: list[str] = []
    for key, value in stated:
        if value is None:
            continue
        name = plain(key.rsplit(".", 1)[-1])  # of what stands in metadata
        rate = _in_hz(name, value)
        if name in SOUND_RATE_NAMES and isinstance(rate, float) and rate >= SLOWEST_SOUND_HZ:
            notes.append(f"`{key[:40]}` of {rate:g} Hz taken for the sound's")
            continue
        rates[key] = check_rate(source, rate, key=key)
    if rates and max(rates.values()) / min(rates.values()) - 1 > RATE_TOLERANCE:
        told = list(rates.values())
        raise InputError(f"{source}: {' and '.join(rates)} must agree, got {told}")
    return next(iter(rates.values()), None), tuple(notes)


def _in_hz(name: str, value: object) -> object:
    """Return a stated rate in hertz, or the value itself if it is no number."""
    text = re.sub(r"\s*(?:fps|hz)$", "", value.strip().lower()) if isinstance(value, str) else ""
    ratio = _RATIO.fullmatch(text)
    if ratio is not None and int(ratio[2]):
        return int(ratio[1]) / int(ratio[2])  # 30000/1001, as FFmpeg writes
    found = _number(text or value)
    if name in PERIOD_NAMES and found > 0:
        return 1 / found if found <= 1 / SLOWEST_HZ else 1000 / found
    return value if math.isnan(found) else found
