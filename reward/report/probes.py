"""Animations that a reward must not fall for, made from a clean one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from esarm_env.types import FloatArray

LOOP_FRAMES = 15  # half a second: a short word


def frozen_mean(motion: FloatArray) -> FloatArray:
    """Return the mean pose of `motion` (T, 52), held still."""
    return np.repeat(motion.mean(axis=0, keepdims=True), len(motion), axis=0)


def frozen_first(motion: FloatArray) -> FloatArray:
    """Return the first frame of `motion` (T, 52), held still."""
    return np.repeat(motion[:1], len(motion), axis=0)


def loop(motion: FloatArray) -> FloatArray:
    """Return the middle half second of `motion` (T, 52) again and again."""
    n = len(motion)
    begin = max(0, (n - LOOP_FRAMES) // 2)
    size = min(LOOP_FRAMES, n)
    return motion[begin + np.arange(n) % size]


# Beside these, the report asks the corruption families.
PLAIN_PROBES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "frozen face, mean pose": frozen_mean,
    "frozen face, first frame": frozen_first,
    "repetition, a loop of 0.5 s": loop,
}
# Name, family and strength of the others; the gain of an over-amplification is 1 + 2 * strength.
FAMILY_PROBES: dict[str, tuple[str, float]] = {
    "repetition, 0.3 to 1 s all along": ("repetition", 1.0),
    "over-amplification, 1.25 times": ("over-amplification", 0.125),
    "over-amplification, 1.5 times": ("over-amplification", 0.25),
    "over-amplification, 2 times": ("over-amplification", 0.5),
    "shuffled audio": ("shuffled-audio", 1.0),
    "wrong emotion, blended in": ("wrong-emotion", 1.0),
    "wrong emotion, asked of the clone": ("policy-emotion", 1.0),
}
