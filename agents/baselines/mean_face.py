"""The baseline that ignores the audio: always the mean face of the condition.

One baseline a file: rivals stand beside it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from agents.protocols import FloatArray


class MeanFace:
    """Holds the mean training face of each condition still for the whole utterance."""

    def __init__(self, motions: Sequence[FloatArray], conditions: Sequence[Hashable]) -> None:
        """Average all frames of `motions` (T, D) that share a condition.

        Args:
            motions: Training motion, at least one.
            conditions: The condition of each, for instance (emotion, intensity).
        """
        if len(motions) == 0 or len(motions) != len(conditions):
            raise ValueError(
                "`motions` must be one or more, one per condition, "
                f"got {len(motions)} and {len(conditions)}"
            )
        frames: dict[Hashable, list[FloatArray]] = {}
        for motion, condition in zip(motions, conditions, strict=True):
            frames.setdefault(condition, []).append(motion)
        self._means = {key: _mean(parts) for key, parts in frames.items()}
        self._overall = _mean(list(motions))

    def animate(self, condition: Hashable, *, n_frames: int) -> FloatArray:
        """Return motion of shape (n_frames, D); an unseen condition gets the mean of everything."""
        face = self._means.get(condition, self._overall)
        return np.repeat(face[None], n_frames, axis=0).astype(np.float32)


def _mean(parts: list[FloatArray]) -> FloatArray:
    # float32 sums drift by a percent over a million frames.
    mean: FloatArray = np.concatenate(parts).mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean
