"""Signal functions for curves at 30 fps: loudness, smoothing, turning points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, BoolArray, FloatArray, IntArray

Curve = npt.NDArray[np.float64]

_WINDOW_S = 0.064
_FLOOR_DB = 50.0  # below the loud parts; digital silence at -100 dB would rule every correlation
_SPEECH_DB = 30.0  # below the loud parts: what is louder is speech
_SPEECH_REACH_S = 0.15  # pauses shorter than twice this belong to the speech


def loudness_db(audio: FloatArray, n_frames: int) -> Curve:
    """Return the smoothed log-loudness at each frame, shape (n_frames,), in dB.

    Power in 64 ms around the frame, in dB, never below 50 dB under the recording's 95th
    percentile, smoothed by a Gaussian of one frame.

    Args:
        audio: Shape (n_samples,), 16 kHz.
        n_frames: Frames of the motion at 30 fps.
    """
    total = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    centres = np.arange(n_frames) * SAMPLE_RATE_HZ / FRAME_RATE_HZ
    half = _WINDOW_S / 2 * SAMPLE_RATE_HZ
    begin = np.clip(np.round(centres - half), 0, len(audio) - 1).astype(np.int64)
    end = np.clip(np.round(centres + half), begin + 1, len(audio)).astype(np.int64)
    level = 10 * np.log10((total[end] - total[begin]) / (end - begin) + 1e-10)
    return smooth(np.maximum(level, np.percentile(level, 95) - _FLOOR_DB))


def smooth(values: Curve) -> Curve:
    """Smooth (T,) by a Gaussian with a standard deviation of one frame, edges held."""
    kernel = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    return np.convolve(np.pad(values, 4, mode="edge"), kernel / kernel.sum(), mode="valid")


def speech_frames(loudness: Curve) -> BoolArray:
    """Return the speech mask, shape (T,): loud frames and short pauses between them."""
    loud = loudness > np.percentile(loudness, 95) - _SPEECH_DB
    reach = round(_SPEECH_REACH_S * FRAME_RATE_HZ)
    near = np.convolve(loud, np.ones(2 * reach + 1))[reach : reach + len(loud)]
    return np.asarray(near > 0.5)


def turning_points(values: Curve, *, least: float) -> tuple[IntArray, BoolArray]:
    """Return alternating maxima and minima of `values` that differ by at least `least`.

    Args:
        values: Shape (T,).
        least: How far the curve must fall after a maximum, or rise after a minimum; above 0.

    Returns:
        Their indices, shape (n,), the first frame among them if the curve leaves it far enough,
        and whether each is a minimum, shape (n,).
    """
    points: list[tuple[int, bool]] = []
    low = high = direction = 0  # where the extremes since the last turn stand; 1 is rising
    for index, value in enumerate(values):
        high = index if value > values[high] else high
        low = index if value < values[low] else low
        if direction >= 0 and values[high] - value >= least:
            points.append((high, False))
            low = high = index
            direction = -1
        elif direction <= 0 and value - values[low] >= least:
            points.append((low, True))
            low = high = index
            direction = 1
    places, minima = np.array(points, dtype=np.int64).reshape(-1, 2).T
    return places, minima.astype(np.bool_)
