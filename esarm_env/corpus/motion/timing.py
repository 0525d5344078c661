"""When each frame of a motion file was taken, as far as its file can be believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError

# No face tracker is slower or faster: what lies outside is in milliseconds, or no rate at all.
SLOWEST_HZ, FASTEST_HZ = 5.0, 500.0
# 30 and 29.97 fps are 0.1 % apart, 25 and 24 fps 4 %: only the second is a wrong header.
RATE_TOLERANCE = 0.01
# A recording starts at 0 or a little beside it, as its sound does; any other clock far from it.
FARTHEST_START_S = 1.0

DoubleArray = npt.NDArray[np.float64]


def rate_of(time_s: DoubleArray) -> float | None:
    """Return the frames per second between gaps; None for fewer than two frames.

    The mean of the steps near the median one: a median alone would make 58.8 Hz of 60 where times
    are rounded to milliseconds.
    """
    if len(time_s) < 2:
        return None
    steps = np.diff(time_s)
    median = np.median(steps)
    return float(1 / steps[(steps > 0.5 * median) & (steps < 1.5 * median)].mean())


def check_rate(source: str | Path, rate_hz: object) -> float:
    """Return a frame rate as a float.

    Raises:
        InputError: If it is no number from `SLOWEST_HZ` to `FASTEST_HZ`.
    """
    try:
        rate = float(rate_hz)  # type: ignore[arg-type]  # that is what is checked
    except (TypeError, ValueError):
        rate = float("nan")
    if not SLOWEST_HZ <= rate <= FASTEST_HZ:
        raise InputError(
            f"{source}: frame rate must be {SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz, got {rate_hz!r}"
        )
    return rate


def regular_times(n_frames: int, rate_hz: float) -> DoubleArray:
    """Return the times of frames at a constant rate, shape (T,), in seconds."""
    return np.arange(n_frames) / rate_hz


def check_times(
    source: str | Path, times: npt.ArrayLike, *, claimed_hz: float | None = None
) -> DoubleArray:
    """Return the times of frames in seconds, counted from the start of the recording.

    A first frame within `FARTHEST_START_S` of 0, before or after, keeps its time, so that motion
    stays with its sound; any other start is a clock's, and is taken off.

    Args:
        source: The file, for messages.
        times: Shape (T,), in seconds.
        claimed_hz: The frame rate that the file states beside its times.

    Raises:
        InputError: If times are not finite, do not ascend, have an unlikely rate, or disagree
            with the stated one by more than `RATE_TOLERANCE`.
    """
    time_s = np.asarray(times, dtype=np.float64)
    steps = np.diff(time_s)
    for frames, rule in (
        (np.flatnonzero(~np.isfinite(time_s)), "be finite"),
        (np.flatnonzero(~(steps > 0)) + 1, "ascend"),
    ):
        if len(frames):
            got = f"{time_s[frames[0]]} at frame {frames[0]}"
            raise InputError(f"{source}: times must {rule}, got {got}")
    rate = rate_of(time_s)
    if rate is not None and not SLOWEST_HZ <= rate <= FASTEST_HZ:
        raise InputError(
            f"{source}: times must be in seconds at {SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz, "
            f"got {rate:g} Hz; are they milliseconds?"
        )
    if rate and claimed_hz and abs(claimed_hz / rate - 1) > RATE_TOLERANCE:
        raise InputError(
            f"{source}: the frame rate in the header must fit the times of the frames "
            f"({rate:.2f} Hz), got {claimed_hz:g} Hz"
        )
    return time_s - (time_s[0] - start_of(time_s[0])) if len(time_s) else time_s


def start_of(first_s: float) -> float:
    """Return when a recording starts whose first frame bears this time; a clock's counts as 0."""
    return first_s if abs(first_s) < FARTHEST_START_S else 0.0
