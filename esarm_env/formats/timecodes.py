"""Timecodes HH:MM:SS:FF.mmm: how many frames they count a second, and when each frame was.

What is behind the point is thousandths of a frame in Live Link Face, and something else in others'
writers (milliseconds of the second, a running counter); the second is written with or without
drop-frame numbers. The labels themselves tell: frames come evenly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, IntArray

# Frames a second that cameras and programs count; thousandths where the last number is one.
STANDARD_HZ = (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 200, 240, 1000)
DROP_FRAME_HZ = (30, 60, 120)  # which leave out 2, 4 or 8 labels a minute, but for every tenth
NTSC = 1.001  # 30, 60 and 24 frames "a second" of American television take so many seconds
_DEFAULT_HZ = 30
_CODE = re.compile(
    r"(\d{1,2})[:;.](\d{1,2})[:;.](\d{1,2})([:;.,])(\d{1,3})(?:[.,:;](\d{1,12}))?", re.ASCII
)
_ODD_STEP = 0.25  # of the usual one, beyond which a step is not even
_DAY_S = 24 * 3600

FaultAt = Callable[[int, str], InputError]


@dataclass(frozen=True)
class Timecodes:
    """Timecodes as frame numbers.

    Attributes:
        frames: Shape (T,), from 0 for the first on, with fractions, ascending or equal.
        counted_hz: How many labels a second has.
        rate_hz: How many frames pass in a second of time: fewer with drop-frame labels.
    """

    frames: DoubleArray
    counted_hz: int
    rate_hz: float


def parse_timecodes(
    codes: Sequence[str], fault: FaultAt, *, counted_hz: int | None = None
) -> Timecodes:
    """Parse the timecodes of a recording.

    Args:
        codes: One per frame, at least one.
        fault: Makes the error about the frame of a number, from what is there.
        counted_hz: What they count; by default told from them, 30 where less than a second does
            not tell.

    Raises:
        InputError: If one is no timecode, or they go back in time.
    """
    parts = [_CODE.fullmatch(code.strip()) for code in codes]
    numbers = np.zeros((len(parts), 4), dtype=np.int64)
    for row, (part, code) in enumerate(zip(parts, codes, strict=True)):
        if part is None or int(part[2]) > 59 or int(part[3]) > 59:
            raise fault(row, f"the timecode {code[:40]!r}")
        numbers[row] = int(part[1]), int(part[2]), int(part[3]), int(part[5])
    known = [part for part in parts if part is not None]
    seconds, labels = numbers[:, :3] @ np.array([3600, 60, 1]), numbers[:, 3]
    digits = [part[6] or "0" for part in known]
    rate = counted_hz or _counted_hz(seconds, labels) or _rate_by_digits(digits, labels)
    if len(wrong := np.flatnonzero(labels >= rate)):
        row = int(wrong[0])
        raise fault(row, f"the timecode {codes[row][:40]!r} at {rate} fps")
    dropped = 0
    if any(part[4] == ";" for part in known) or _drops_labels(seconds, labels, rate):
        dropped = rate // 15 if rate in DROP_FRAME_HZ else 0
    minutes = seconds // 60
    whole = seconds * rate + labels - dropped * (minutes - minutes // 10)
    day = _DAY_S * rate - dropped * (1440 - 144)
    whole[1:] += day * np.cumsum(np.diff(whole) < -day / 2)  # midnight
    frames = whole + _fractions(digits, whole, labels, rate)
    if len(back := np.flatnonzero(np.diff(frames) < 0)):
        row = int(back[0]) + 1
        raise fault(row, f"a jump in time to {codes[row]!r}")
    # Beyond a millionth of a frame lies the rounding of differences.
    return Timecodes(np.round(frames - frames[0], 6), rate, rate / NTSC if dropped else rate)


def _counted_hz(seconds: IntArray, labels: IntArray) -> int | None:
    """Infer how many labels a second has, a standard number if in doubt; None within a second.

    From the last frame of a second to the first of the next is a step like any other, so that the
    rate is a step and the difference of their labels.
    """
    rolls, steps = np.diff(seconds) % _DAY_S == 1, np.diff(labels)
    if not rolls.any() or rolls.all():
        return None
    usual = np.median(steps[~rolls])
    estimates = usual - steps[rolls]
    estimate, most = float(np.median(estimates)), int(labels.max())
    is_sure = len(estimates) > 2 and (estimates == estimate).all()
    if estimate > most and (is_sure or estimate in STANDARD_HZ):
        return int(estimate)
    # A frame that was dropped where a second ends makes it seem shorter.
    near = [each for each in STANDARD_HZ if abs(each - estimate) <= usual and each > most]
    if near:
        return min(near, key=lambda each: abs(each - estimate))
    return round(estimate) if estimate > most else None


def _rate_by_digits(digits: Sequence[str], labels: IntArray) -> int:
    """Return the rate at which digits are the label's time in its second; else 30, 60 or more."""
    for rate in STANDARD_HZ:
        if rate > labels.max() and _is_time_in_second(digits, labels, rate):
            return rate
    return next((rate for rate in STANDARD_HZ if rate > max(labels.max(), _DEFAULT_HZ - 1)), 1000)


def _drops_labels(seconds: IntArray, labels: IntArray, rate: int) -> bool:
    """Return whether minutes begin at label 2 (4, 8), but for every tenth."""
    if rate not in DROP_FRAME_HZ:
        return False
    begins = np.flatnonzero((np.diff(seconds // 60) == 1) & (seconds[1:] % 60 == 0)) + 1
    begins = begins[(seconds[begins] // 60 % 10 != 0) & (labels[begins - 1] == rate - 1)]
    return len(begins) > 0 and bool((labels[begins] == rate // 15).all())


def _fractions(digits: Sequence[str], whole: IntArray, labels: IntArray, rate: int) -> DoubleArray:
    """Return the parts of frames that digits behind the point mean: those that make steps even."""
    nothing = np.zeros(len(digits))
    if _is_time_in_second(digits, labels, rate) or _is_counter(digits, whole):
        return nothing
    ways = [_as_decimals(digits)]
    lengths = {len(text) for text in digits}
    if len(lengths) > 1 and max(lengths) <= 3:
        ways.append(np.array([int(text) for text in digits]) / 1000)  # `.5`: five thousandths
    ways.append(nothing)
    return min(ways, key=lambda way: _unevenness(whole + way))  # the first of equals


def _as_decimals(digits: Sequence[str]) -> DoubleArray:
    return np.array([int(text) / 10 ** len(text) for text in digits])


def _is_time_in_second(digits: Sequence[str], labels: IntArray, rate: int) -> bool:
    """Return whether digits are, to the last, the time of the label in its second."""
    n_digits = min(len(text) for text in digits)
    if len(digits) < 3 or n_digits < 2 or np.ptp(labels) == 0:
        return False
    rounding = 1.01 * 10.0**-n_digits
    decimals = _as_decimals(digits)
    return bool(decimals.any() and (np.abs(decimals - labels / rate) <= rounding).all())


def _is_counter(digits: Sequence[str], whole: IntArray) -> bool:
    """Return whether digits count the frames, to 999 and on from 0."""
    values = np.array([int(text) for text in digits])
    if len(values) < 3 or _unevenness(whole.astype(np.float64)):
        return False
    count = np.arange(len(values))
    counters = (count % 1000, (count + 1) % 1000, whole % 1000)
    return any((values == counter).all() for counter in counters)


def _unevenness(frames: DoubleArray) -> float:
    """Return the share of steps that are not like the usual one."""
    steps = np.diff(frames)
    if not len(steps):
        return 0.0
    usual = np.median(steps)
    return float((np.abs(steps - usual) > _ODD_STEP * max(usual, 1e-3)).mean())
