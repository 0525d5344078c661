"""Damage to the curves themselves: too smooth, too large, or too near another animation's."""

from __future__ import annotations

import numpy as np

from esarm_env.types import FloatArray
from reward.demonstrations.corruptions.context import Context

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
    return mean + gain * (motion - mean)


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
