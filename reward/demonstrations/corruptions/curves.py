"""Corruptions of motion curves: timing, smoothing, amplitude, and parts of other animations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import FRAME_RATE_HZ, FloatArray, IntArray
from esarm_env.face.names import MOUTH_CHANNELS

if TYPE_CHECKING:
    from reward.demonstrations.corruptions.context import Context

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


WIDEST_SMOOTHING = 10.0  # frames, the deviation of the Gaussian: a third of a second
LARGEST_GAIN = 3.0


def over_smoothing(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Smooth with a Gaussian of up to a third of a second, as regression to the mean does."""
    from scipy.ndimage import gaussian_filter1d

    width = WIDEST_SMOOTHING * strength
    smooth = gaussian_filter1d(motion.astype(np.float64), width, axis=0, mode="nearest")
    return np.asarray(smooth, dtype=np.float32)


def over_amplification(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Multiply all deviations from the animation's mean pose by up to 3."""
    mean = motion.mean(axis=0)
    gain = np.float32(1 + (LARGEST_GAIN - 1) * strength)
    amplified: FloatArray = mean + gain * (motion - mean)
    return amplified


def blend(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Return `(1 - strength) * motion + strength * partner`, the partner to the same audio."""
    assert context.partner is not None, "checked by the family"
    other = context.decode(context.partner)
    if not 0 <= len(other) - len(motion) < context.task.tokenizer.frames_per_chunk:
        raise ValueError(
            f"`context.partner` must cover {len(motion)} frames like the motion, got {len(other)}"
        )
    share = np.float32(strength)
    return (1 - share) * motion + share * other[: len(motion)]


LARGEST_SHIFT_S = 0.4
# Frames of a loop: a third of a second to a second, one syllable to a short word.
SHORTEST_LOOP, LONGEST_LOOP = 10, 30


def time_shift(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Move the motion up to 0.4 s before or behind the audio; the first or last pose is held.

    The shift grows with the square of the strength: 0.1 s, at one half, doubles the lip error
    already, and a whole syllable too late is little worse than half of one.
    """
    direction = 1 if rng.random() < 0.5 else -1
    shift = direction * strength**2 * LARGEST_SHIFT_S * FRAME_RATE_HZ
    return at_times(motion, np.arange(len(motion)) - shift)


def frozen_span(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Hold one frame's pose over a growing stretch round it; at 1 the whole face is a picture."""
    place = rng.random()
    held = motion[int(place * len(motion))]
    weight = growing_span(len(motion), strength, place)
    frozen: FloatArray = motion * (1 - weight) + held * weight
    return frozen


def repetition(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Repeat a third of a second to a second over a growing stretch round it."""
    place, share = rng.random(2)
    n = len(motion)
    size = min(n, SHORTEST_LOOP + int(share * (LONGEST_LOOP - SHORTEST_LOOP + 1)))
    begin = int(place * (n - size + 1))
    loop = motion[begin + (np.arange(n) - begin) % size]
    weight = growing_span(n, strength, place)
    return motion * (1 - weight) + loop * weight


def wrong_emotion(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Blend into the expression of an utterance of another emotion, a parallel one if there is.

    The upper face is blended frame by frame, the donor played in the same time; of the mouth only
    the mean pose moves, so that it keeps saying the same words.
    """
    donor = context.donor("emotion", rng)
    return _with_expression(motion, donor, strength)


def wrong_intensity(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Do the same with an utterance of the same emotion at another intensity."""
    donor = context.donor("intensity", rng)
    return _with_expression(motion, donor, strength)


def _with_expression(motion: FloatArray, donor: FloatArray, strength: float) -> FloatArray:
    other = stretched(donor, len(motion))
    mouth = MOUTH_CHANNELS
    other[:, mouth] = motion[:, mouth] - motion[:, mouth].mean(0) + other[:, mouth].mean(0)
    share = np.float32(strength)
    return (1 - share) * motion + share * other


def shuffled_audio(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Show another utterance's motion over a growing stretch: good motion to the wrong audio."""
    donor = context.donor("sentence", rng)
    cut, place = rng.random(2)
    weight = growing_span(len(motion), strength, place)
    return motion * (1 - weight) + fitted(donor, len(motion), cut) * weight
