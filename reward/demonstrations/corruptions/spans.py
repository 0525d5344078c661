"""Stretches of time that grow with strength, and motion fitted to a length."""

from __future__ import annotations

import numpy as np

from esarm_env.types import FloatArray, IntArray

FADE = 2.0  # frames of cross-fade at each end of a stretch


def growing_span(n: int, strength: float, place: float) -> FloatArray:
    """Return how much of each frame lies in a stretch that covers a share of the time.

    The stretch round `place` at a smaller strength lies within that at a larger one.

    Args:
        n: Frames.
        strength: Share of the frames, 0 to 1.
        place: Where it grows from, 0 (start) to 1 (end).

    Returns:
        Shape (n, 1), 1 inside, 0 outside, a slope of 2 frames between; no slope at either end of
        the animation.
    """
    begin = place * (1 - strength) * n
    end = begin + strength * n
    time = np.arange(n) + 0.5
    into = np.inf if begin <= 0 else (time - begin) / FADE
    out_of = np.inf if end >= n else (end - time) / FADE
    weight = np.clip(np.minimum(into, out_of), 0, 1)
    return np.broadcast_to(weight, (n,)).astype(np.float32)[:, None]


def stretched(motion: FloatArray, n: int) -> FloatArray:
    """Return `motion` (T, D) played faster or slower so that it takes `n` frames."""
    return at_times(motion, np.linspace(0, len(motion) - 1, n))


def at_times(motion: FloatArray, times: FloatArray | np.ndarray) -> FloatArray:
    """Return `motion` (T, D) at fractional frame numbers (n,), held still beyond its ends."""
    times = np.clip(times, 0, len(motion) - 1)
    below: IntArray = np.floor(times).astype(np.int64)
    above = np.minimum(below + 1, len(motion) - 1)
    share = (times - below).astype(np.float32)[:, None]
    mixed: FloatArray = motion[below] * (1 - share) + motion[above] * share
    return mixed


def fitted(motion: FloatArray, n: int, place: float) -> FloatArray:
    """Return `n` frames: a piece cut at `place` (0 to 1), or all of it stretched if shorter."""
    if len(motion) < n:
        return stretched(motion, n)
    begin = int(place * (len(motion) - n + 1))
    return motion[begin : begin + n]
