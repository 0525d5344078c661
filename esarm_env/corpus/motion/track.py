"""`MotionTrack`: blendshape curves as a file holds them, at its own frame rate, and its time axis.

Columns are matched by name. Time stamps are believed as far as they are consistent: ascending, of a
plausible rate, and near the rate that the file states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, BoolArray, DoubleArray, FloatArray
from esarm_env.face.names import (
    ARKIT_NAMES,
    ORDERS,
    ShapeColumns,
    shape_columns,
    to_arkit_order,
)
from esarm_env.formats.spellings import note_on_others

# No face tracker is slower or faster: what lies outside is in milliseconds, or no rate at all.
SLOWEST_HZ, FASTEST_HZ = 5.0, 500.0
# 30 and 29.97 fps are 0.1 % apart, 25 and 24 fps 4 %: only the second is a wrong header.
RATE_TOLERANCE = 0.01
# A recording starts at 0 or a little beside it, as its sound does, any other clock far from it: up
# to the first, times are the recording's, from the second on a clock's; between, its sound decides.
FARTHEST_START_S, NEAREST_CLOCK_S = 1.0, 60.0
# Four hours at 60 fps: more may be declared by a file of a few megabytes.
MOST_FRAMES = 900_000
# Frames a second that are counted where 1.001 s pass as well.
COUNTED_HZ = (24.0, 30.0, 48.0, 60.0, 120.0)


@dataclass(frozen=True)
class Extent:
    """Number of frames, rate and start of a motion file, from its header.

    Attributes:
        n_frames: Number of frames in the file.
        rate_hz: Frames per second on average; None where the file says nothing about time.
        start_s: Time of the first frame, so that the last one ends at
            `start_s + n_frames / rate_hz`.
        nominal_hz: What its times count, if they look counted and not measured.
    """

    n_frames: int
    rate_hz: float | None
    start_s: float = 0.0
    nominal_hz: float | None = None

    @classmethod
    def of_times(cls, n_frames: int, first_s: float, last_s: float) -> Extent:
        """Return the extent of `n_frames` frames between these times."""
        if n_frames < 2 or not last_s > first_s:
            return cls(n_frames, None)
        start_s = float(start_of(first_s))
        rate_hz = float((n_frames - 1) / (last_s - first_s))
        return cls(n_frames, rate_hz, start_s, nominal_rate(last_s - first_s, rate_hz))


@dataclass(frozen=True)
class MotionTrack:
    """Blendshape curves at the rate of their file.

    Attributes:
        values: Shape (T, 52), float32, alphabetical ARKit order, as stored: range and finiteness
            are not checked here. Channels that the file lacks are 0; frames in which the face was
            lost are NaN.
        captured: Shape (52,), bool; False for channels that the file lacks.
        time_s: Shape (T,), float64, time of each frame, ascending, 0 at the start of the
            recording: the first frame is at 0 or less than `NEAREST_CLOCK_S` beside it. None
            where the file says nothing about time.
        quality: Shape (T,), float32 in [0, 1], how well the face was tracked, 0 where it was lost;
            None if unknown.
        notes: A line for each thing in the file that was left out.
    """

    values: FloatArray
    captured: BoolArray
    time_s: DoubleArray | None = None
    quality: FloatArray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the shapes."""
        n = len(self.values)
        if self.values.shape != (n, N_CHANNELS) or self.values.dtype != np.float32:
            got = f"{self.values.dtype} {self.values.shape}"
            raise ValueError(f"`values` must be float32 of shape (T, {N_CHANNELS}), got {got}")
        if self.captured.shape != (N_CHANNELS,) or self.captured.dtype != np.bool_:
            got = f"{self.captured.dtype} {self.captured.shape}"
            raise ValueError(f"`captured` must be bool of shape ({N_CHANNELS},), got {got}")
        for name in ("time_s", "quality"):
            column = getattr(self, name)
            if column is not None and column.shape != (n,):
                raise ValueError(f"`{name}` must have shape ({n},), got {column.shape}")

    @property
    def rate_hz(self) -> float | None:
        """Frames per second between gaps; None where time is unknown."""
        return None if self.time_s is None else rate_of(self.time_s)

    @property
    def lost(self) -> BoolArray:
        """Shape (T,), bool: frames without any number in a captured channel."""
        return np.asarray(np.isnan(self.values[:, self.captured]).all(axis=1))


def order_of_width(source: str | Path, n_columns: int) -> tuple[str, ...]:
    """Return the column names of a table without a header, by its width.

    Raises:
        InputError: If it has not 52 columns, nor 51 as without `tongueOut`.
    """
    orders = {len(ARKIT_NAMES): ARKIT_NAMES, len(ORDERS["beat"]): ORDERS["beat"]}
    if n_columns not in orders:
        raise InputError(
            f"{source}: must have 52 columns in alphabetical ARKit order, or 51 without tongueOut, "
            f"got {n_columns}"
        )
    return orders[n_columns]


def check_names(source: str | Path, names: Sequence[str]) -> ShapeColumns:
    """Return which columns are shapes, or raise an error for names that cannot be meant.

    Raises:
        InputError: If none is a shape, one is there twice, or one is nearly a shape's name; the
            message lists all of them.
    """
    try:
        return shape_columns(names)
    except InputError as error:
        raise InputError(
            f"{source}: must have a header we know, got a faulty one ({error})"
        ) from error


def track_of_table(
    source: str | Path,
    names: Sequence[str],
    table: npt.ArrayLike,
    *,
    time_s: DoubleArray | None = None,
    quality: FloatArray | None = None,
    notes: Sequence[str] = (),
) -> MotionTrack:
    """Build a track from a table with named columns; frames of quality 0 become NaN.

    Args:
        source: The file, for messages.
        names: One per column, in any spelling; columns that are no shapes are left out.
        table: Shape (T, n).
        time_s: Shape (T,), or None.
        quality: Shape (T,), or None.
        notes: What was left out so far; columns with names that nobody knows are added.

    Raises:
        InputError: If there is no frame, no name is a shape's, names are double or nearly right
            (all are told at once), or quality is not in [0, 1].
    """
    columns = check_names(source, names)
    chosen = np.asarray(table)
    if len(columns.places) != len(names):
        chosen = chosen[:, list(columns.places)]
    values, captured = to_arkit_order([names[place] for place in columns.places], chosen)
    if not len(values):
        raise InputError(f"{source}: must hold at least one frame, got none")
    if quality is not None:
        if not ((quality >= 0) & (quality <= 1)).all():
            frame = int(np.argmin((quality >= 0) & (quality <= 1)))
            raise InputError(
                f"{source}: quality must be in [0, 1], got {quality[frame]} at frame {frame}"
            )
        values[np.ix_(quality == 0, captured)] = np.nan
    told = (*notes, *note_on_others(columns.others))
    return MotionTrack(values, captured, time_s, quality, told)


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


def check_rate(source: str | Path, rate_hz: object, *, key: str | None = None) -> float:
    """Return a frame rate as a float.

    Args:
        source: The file, for the message.
        rate_hz: A number, or one as text.
        key: Under which the file states it, for the message.

    Raises:
        InputError: If it is no number from `SLOWEST_HZ` to `FASTEST_HZ`.
    """
    try:
        rate = float(rate_hz)  # type: ignore[arg-type]  # that is what is checked
    except (TypeError, ValueError, OverflowError):
        rate = float("nan")
    if not SLOWEST_HZ <= rate <= FASTEST_HZ:
        place = "" if key is None else f" in `{key[:40]}`; correct it or take it out"
        shown = repr(rate_hz)[:40]
        raise InputError(
            f"{source}: frame rate must be {SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz, got {shown}{place}"
        )
    return rate


def regular_times(n_frames: int, rate_hz: float) -> DoubleArray:
    """Return the times of frames at a constant rate, shape (T,), in seconds."""
    return np.arange(n_frames) / rate_hz


def check_times(
    source: str | Path, times: npt.ArrayLike, *, claimed_hz: float | None = None
) -> DoubleArray:
    """Validate time stamps; return the times in seconds from the start of the recording.

    A first frame within `NEAREST_CLOCK_S` of 0, before or after, keeps its time, so that motion
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
        unit = "milliseconds" if rate < SLOWEST_HZ else "called by another unit than they have"
        raise InputError(
            f"{source}: times must be in seconds at {SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz, "
            f"got {rate:g} Hz; are they {unit}?"
        )
    if rate and claimed_hz and abs(claimed_hz / rate - 1) > RATE_TOLERANCE:
        raise InputError(
            f"{source}: the frame rate in the header must fit the times of the frames "
            f"({rate:.2f} Hz), got {claimed_hz:g} Hz"
        )
    return time_s - (time_s[0] - start_of(time_s[0])) if len(time_s) else time_s


def start_of(first_s: float) -> float:
    """Return the start time of a recording by its first frame; the time of a clock counts as 0."""
    return first_s if abs(first_s) < NEAREST_CLOCK_S else 0.0


def nominal_rate(span_s: float, rate_hz: float) -> float | None:
    """Return the whole rate that times count, None if they are measured or count none of ours.

    Args:
        span_s: From the first frame to the last.
        rate_hz: Frames a second in between; half of the rate where every second label is used.
    """
    for counted in COUNTED_HZ:
        n_labels = span_s * counted
        is_whole = abs(n_labels - round(n_labels)) < 1e-6
        if is_whole and min(abs(counted / rate_hz - times) for times in (1, 2)) < 0.01:
            return counted
    return None
