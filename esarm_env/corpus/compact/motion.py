"""Curves in 255 steps: each frame's step from the frame before, which compresses to a quarter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from esarm_env.types import N_CHANNELS, FloatArray

LEVELS = 255  # rounding is at most 1 / 510: for the jaw, which moves the lips most, 0.06 mm

Steps = npt.NDArray[np.uint8]


def pack_motion(motions: Sequence[FloatArray]) -> Steps:
    """Return `motions`, each (T_i, 52) in [0, 1], as one array of steps, shape (52, sum T_i).

    The first step of each starts from 0. Steps wrap round at 256, so that they fit into a byte.
    """
    levels = [np.round(motion * LEVELS).astype(np.uint8) for motion in motions]
    steps = [np.diff(rows, axis=0, prepend=np.zeros((1, N_CHANNELS), np.uint8)) for rows in levels]
    return np.ascontiguousarray(np.concatenate(steps).T)  # by channel, which compresses best


def unpack_motion(steps: Steps) -> FloatArray:
    """Return the motion (T, 52) of one utterance's `steps` (52, T)."""
    levels = np.cumsum(steps, axis=1, dtype=np.uint8)  # (52, T)
    return levels.T.astype(np.float32) / np.float32(LEVELS)
