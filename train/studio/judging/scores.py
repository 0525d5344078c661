"""What the run's reward model says of the pool, and the pairs that it is in doubt about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, one_line
from reward.judging import ActivePairs

if TYPE_CHECKING:
    from collections.abc import Set
    from pathlib import Path

    from esarm_env.core.types import FloatArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.judging import Pool
    from reward.judging.agreement import Key
    from reward.judging.choosing import Pair
    from reward.scoring import RewardModel

NO_MODEL = "the run has no reward model yet, which its stage `reward` trains"


class PoolScores:
    """Scores of the animations of a growing pool.

    Attributes:
        lack: Why there are none; empty where there are.
        by_key: Score of each animation by utterance and digest.
    """

    def __init__(self, run: Path | None) -> None:
        """Score nothing yet."""
        from esarm_env.core.run_layout import REWARD_FILE

        there = run is not None and (run / REWARD_FILE).is_file()
        self._run, self.lack = run, "" if there else NO_MODEL
        self.by_key: dict[Key, float] = {}
        self._members: dict[Key, FloatArray] = {}
        self._model: RewardModel | None = None
        self._task: AnimationTask | None = None

    def open(self, task: AnimationTask) -> None:
        """Load the reward model, if the run has one; what hinders it becomes `lack`."""
        from reward.plugins.heads import open_whole_model

        self._task = task
        if self.lack or self._run is None:
            return
        try:
            self._model = open_whole_model(self._run, task)
        except InputError as error:
            self.lack = one_line(error)

    def add(self, pool: Pool) -> None:
        """Score what has no score yet.

        Raises:
            InputError: If a motion of the pool is missing or another by now.
        """
        new = [each for each in pool.animations if (each.utterance, each.sha256) not in self.by_key]
        if self._model is None or self._task is None or not new:
            return
        import torch

        from reward.scoring import BATCH_SIZE, member_streams

        members = member_streams(
            self._model,
            self._task,
            np.array([self._task.index_of[each.utterance] for each in new]),
            motions=[pool.motion(each) for each in new],
            condition=None,
            batch_size=BATCH_SIZE,
        )
        with torch.inference_mode():
            totals = self._model.combine(torch.from_numpy(members)).sum(-1).numpy()
        for row, each in enumerate(new):
            key = (each.utterance, each.sha256)
            self._members[key] = members[:, row].sum(axis=-1)
            self.by_key[key] = float(totals[row])

    def members(self, pool: Pool) -> FloatArray:
        """Return the members' scores of a pool that was added, (M, N)."""
        columns = [self._members[each.utterance, each.sha256] for each in pool.animations]
        return np.stack(columns, axis=1)


class ActiveChoice:
    """Pairs of a growing pool about which the members of the run's reward disagree."""

    def __init__(self, scores: PoolScores) -> None:
        """Choose by `scores`, to which every pool was added before it is shown."""
        self._scores = scores
        self._latest: tuple[Pool, ActivePairs] | None = None

    def pick(self, pool: Pool, known: Set[Pair], rng: np.random.Generator) -> Pair | None:
        """Return a pair that is not `known`; see `PairChoice`."""
        if not pool.animations:
            return None
        if self._latest is None or self._latest[0] is not pool:
            self._latest = (pool, ActivePairs(self._scores.members(pool)))
        return self._latest[1].pick(pool, known, rng)
