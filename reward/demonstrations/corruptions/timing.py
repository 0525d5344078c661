"""Damage to timing: motion too early or late, standing still, or going round in circles."""

from __future__ import annotations

import numpy as np

from esarm_env.types import FRAME_RATE_HZ, FloatArray
from reward.demonstrations.corruptions.context import Context
from reward.demonstrations.corruptions.spans import at_times, growing_span

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
    return motion * (1 - weight) + held * weight


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
