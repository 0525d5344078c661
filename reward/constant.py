"""A reward that is always 0: registered as `zero`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.types import FloatArray, Trajectories

if TYPE_CHECKING:
    from esarm_env.task import AnimationTask


class ZeroReward:
    """Scores nothing and decodes nothing; implements `RewardFunction`."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return zeros, shape (N,)."""
        return np.zeros(len(trajectories), dtype=np.float32)


def open_zero(task: AnimationTask, run: Path | None) -> ZeroReward:
    """Always 0: for measuring speed and collecting data."""
    return ZeroReward()
