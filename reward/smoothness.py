"""How jerky an animation is: registered as `jerk`, meant for a negative weight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.errors import InputError
from esarm_env.metrics import jerk
from esarm_env.metrics.region import region_of
from esarm_env.types import FloatArray, Trajectories

if TYPE_CHECKING:
    from esarm_env.task import AnimationTask

REGIONS = ("lips", "upper")
MM_PER_M = 1000.0
SHORTEST = 4  # frames; fewer have no third difference


class JerkReward:
    """The mean jerk of the decoded animation in m/s³; implements `RewardFunction`.

    `esarm_env.metrics.jerk` (mean over frames and vertices of the third derivative's length, by
    finite differences at 30 fps) of the lips and of the upper face, averaged over the two; a region
    that the corpus never captured is left out. Recordings of the synthetic corpus have about 13,
    uniformly random tokens 18, so that -0.1 is a mild weight beside `learned`. At 0 the face stands
    still: on its own, jerk is no aim.
    """

    needs_ground_truth = False

    def __init__(self, task: AnimationTask) -> None:
        """Score animations of `task`.

        Raises:
            InputError: If its corpus captured neither lips nor upper face.
        """
        self._task = task
        captured = task.corpus.captured
        self._regions = tuple(
            name for name in REGIONS if region_of(task.head, name).measured(captured)
        )
        if not self._regions:
            raise InputError(
                "the corpus must have captured lips or upper face for the reward `jerk`, "
                f"got neither in {task.corpus.name!r}"
            )

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return the jerk, shape (N,), at least 0; 0 for less than 4 frames."""
        motion = self._task.decode(trajectories)  # (N, T, 52)
        lengths = self._task.n_frames[trajectories.utterance]
        jerks = [
            jerk(
                motion,
                head=self._task.head,
                region=region,
                captured=self._task.corpus.captured,
                lengths=lengths,
            )
            for region in self._regions
        ]
        mean = np.mean(jerks, axis=0) / MM_PER_M  # (N,)
        return np.where(lengths < SHORTEST, 0, mean).astype(np.float32)


def open_jerk(task: AnimationTask, run: Path | None) -> JerkReward:
    """Mean jerk of lips and upper face in m/s³; give it a negative weight."""
    return JerkReward(task)
