"""Resampling of motion from any frame rate, regular or not, to 30 fps: no aliasing, no shift.

Convolution with a windowed sinc (Smith, "Digital Audio Resampling", CCRMA), evaluated where each
30 fps frame stands, so that no rate needs to be a ratio of another and no error builds up. From 60
fps, decimation alone would fold a 20 Hz tremble of the tracker onto 10 Hz, right into speech.
"""

from __future__ import annotations

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, DoubleArray, FloatArray
from esarm_env.corpus.motion.track import MotionTrack, rate_of, regular_times

# Frames that stand this close to a regular grid are taken to stand on it: times are often rounded
# to milliseconds. The fastest blink moves 1.5 % in that time.
GRID_TOLERANCE_S = 1e-3
# Half the amplitude at 12.75 Hz, nothing left from 15 Hz (the Nyquist frequency) on.
CUTOFF_HZ = 0.85 * FRAME_RATE_HZ / 2
# Zero crossings of the sinc on each side under the Hann window: more are steeper and ring longer.
N_CROSSINGS = 8


def at_frame_rate(
    track: MotionTrack, *, rate_hz: float | None = None, n_frames: int | None = None
) -> FloatArray:
    """Return the motion at 30 fps; frame `t` stands at `t / 30` seconds.

    A track that is at 30 fps already is returned as it is. Faster ones lose what 30 fps cannot
    hold; slower ones are interpolated through their frames. Irregular times are first brought to
    a grid of their own rate, linearly. Before the first frame and after the last one, these hold.

    Args:
        track: Without NaN (`fill_gaps`).
        rate_hz: The frame rate of a track that does not know its times; not used otherwise.
        n_frames: Number of frames to return; by default up to the last one of the track.

    Returns:
        Shape (T', 52), float32, clipped to [0, 1].

    Raises:
        InputError: If `track` holds NaN or infinity, neither it nor `rate_hz` tells the frame
            rate, or a number is out of range.
    """
    if not np.isfinite(track.values).all():
        raise InputError("`track` must be finite, got NaN or infinity; fill its gaps first")
    if n_frames is not None and n_frames < 1:
        raise InputError(f"`n_frames` must be at least 1, got {n_frames}")
    time_s = _times(track, rate_hz)
    wanted = n_frames or max(1, int((time_s[-1] + GRID_TOLERANCE_S) * FRAME_RATE_HZ) + 1)
    if _is_close(time_s, regular_times(len(time_s), FRAME_RATE_HZ)):
        values = track.values[np.minimum(np.arange(wanted), len(time_s) - 1)]
    else:
        grid, start_s, rate = _on_grid(track.values, time_s)
        positions = (np.arange(wanted) / FRAME_RATE_HZ - start_s) * rate
        values = interpolate(grid, positions.clip(0, len(grid) - 1), cutoff=_cutoff_hz(rate) / rate)
    return np.clip(values, 0.0, 1.0)


def interpolate(values: FloatArray, positions: DoubleArray, *, cutoff: float) -> FloatArray:
    """Interpolate curves between their frames by a Hann-windowed sinc low-pass.

    The weights of each position are scaled to sum to 1, so that constants stay what they are. Past
    the ends the curves go on turned about their last point, so that a ramp stays a ramp.

    Args:
        values: Shape (T, n).
        positions: Shape (T',), where to evaluate, in frames from the first: 0 to T - 1.
        cutoff: In cycles per frame, above 0; 0.5 passes through the frames.

    Returns:
        Shape (T', n), float32.
    """
    half_width = N_CROSSINGS / (2 * cutoff)
    reach = int(np.ceil(half_width))
    extended = _extend(values, reach)
    before = np.floor(positions).astype(np.int64)
    taps = np.arange(-reach + 1, reach + 1)
    distance = taps - (positions - before)[:, None]  # (T', n_taps)
    window = np.cos(np.clip(distance / half_width, -1, 1) * (np.pi / 2)) ** 2
    weights = np.sinc(2 * cutoff * distance) * window
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    result = np.zeros((len(positions), values.shape[1]), dtype=np.float32)
    for column, tap in enumerate(taps):
        result += weights[:, column, None] * extended[before + (tap + reach)]
    return result


def _extend(values: FloatArray, reach: int) -> FloatArray:
    """Pad curves by `reach` frames at both ends, by odd reflection."""
    if len(values) == 1:
        return np.repeat(values, 2 * reach + 1, axis=0)
    return np.pad(values, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")


def _times(track: MotionTrack, rate_hz: float | None) -> DoubleArray:
    """Return the time of each frame of the track."""
    if track.time_s is not None:
        return track.time_s
    if rate_hz is None:
        raise InputError("`rate_hz` must be given for a track without times, got None")
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"`rate_hz` must be above 0, got {rate_hz}")
    return regular_times(len(track.values), rate_hz)


def _is_close(time_s: DoubleArray, other_s: DoubleArray) -> bool:
    return bool(np.abs(time_s - other_s).max() <= GRID_TOLERANCE_S)


def _on_grid(values: FloatArray, time_s: DoubleArray) -> tuple[FloatArray, float, float]:
    """Return the values on a regular grid, the time of its first frame, and its rate."""
    start_s, last_s = float(time_s[0]), float(time_s[-1])
    if len(time_s) == 1:
        return values, start_s, float(FRAME_RATE_HZ)
    rate = (len(time_s) - 1) / (last_s - start_s)
    if _is_close(time_s, start_s + regular_times(len(time_s), rate)):
        return values, start_s, rate
    n_steps = max(1, round((last_s - start_s) * (rate_of(time_s) or rate)))
    grid_s = np.linspace(start_s, last_s, n_steps + 1)
    before = np.searchsorted(time_s, grid_s, side="right").clip(1, len(time_s) - 1) - 1
    share = ((grid_s - time_s[before]) / np.diff(time_s)[before]).astype(np.float32)[:, None]
    grid = (1 - share) * values[before] + share * values[before + 1]
    return grid, start_s, n_steps / (last_s - start_s)


def _cutoff_hz(rate_hz: float) -> float:
    """Return the cutoff frequency of the low-pass (half amplitude) at this rate.

    Up to 30 fps there is nothing to remove. A little above, only what would fold is: at 30.2 fps
    that is 14.9 to 15.1 Hz, and a filter made for 60 fps would blur every blink for it.
    """
    if rate_hz <= FRAME_RATE_HZ:
        return rate_hz / 2
    return max(CUTOFF_HZ, FRAME_RATE_HZ - rate_hz / 2)
