"""Rewards that look at the ground truth: upper bounds and tests, never a learned preference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from esarm_env.task import AnimationTask
from esarm_env.types import FloatArray, Trajectories


class ErrorReward:
    """Minus the mean of true errors, in mm; implements `RewardFunction`.

    An error that the corpus cannot tell (a region it never captured) is left out of the mean.
    """

    needs_ground_truth = True

    def __init__(self, task: AnimationTask, names: tuple[str, ...]) -> None:
        """Score by the errors called `names`: `lve`, `eve`."""
        self._task, self._names = task, names

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return scores, shape (N,), at most 0."""
        errors = self._task.errors(trajectories)
        chosen = np.stack([errors[name] for name in self._names])
        return -np.nanmean(chosen, axis=0).astype(np.float32)


def open_accuracy(task: AnimationTask, run: Path | None) -> ErrorReward:
    """Return minus the mean of LVE and EVE; the factory registered as `accuracy`."""
    return ErrorReward(task, ("lve", "eve"))


def open_lve(task: AnimationTask, run: Path | None) -> ErrorReward:
    """Return minus LVE; the factory registered as `lve`."""
    return ErrorReward(task, ("lve",))


def open_eve(task: AnimationTask, run: Path | None) -> ErrorReward:
    """Return minus EVE; the factory registered as `eve`."""
    return ErrorReward(task, ("eve",))
