"""The learned reward as a plug-in: registered as `learned`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from esarm_env.errors import InputError
from esarm_env.opening import REWARD_FILE, need_file
from esarm_env.task import AnimationTask
from esarm_env.types import FloatArray, IntArray, Trajectories
from reward.chunks import make_chunks
from reward.model import RewardTransformer, load_reward


class LearnedReward:
    """Scores animations with a `RewardTransformer`; implements `RewardFunction`."""

    needs_ground_truth = False

    def __init__(
        self, task: AnimationTask, model: RewardTransformer, *, batch_size: int = 64
    ) -> None:
        """Score animations of `task` with `model`, `batch_size` at a time."""
        self._task, self._model, self._batch_size = task, model, batch_size

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return scores (N,): 0 is the mean of the least noisy demonstrations, 1 their spread."""
        motions = self._task.decode_chunks(trajectories)
        return self.score_motion(trajectories.utterance, motions)

    @torch.inference_mode()
    def score_motion(self, utterances: IntArray, motions: list[FloatArray]) -> FloatArray:
        """Return scores of any motion, each (T_i, 52), to the audio of `utterances` (N,)."""
        scores = np.zeros(len(motions), dtype=np.float32)
        order = np.argsort([len(motion) for motion in motions], kind="stable")
        for begin in range(0, len(order), self._batch_size):
            rows = order[begin : begin + self._batch_size]
            batch = make_chunks(self._task, utterances[rows], [motions[row] for row in rows])
            scores[rows] = self._model(batch.audio, batch.motion, batch.n_chunks).numpy()
        return scores


def open_learned(task: AnimationTask, run: Path | None) -> LearnedReward:
    """Return the learned reward of a run folder; the factory registered as `learned`."""
    if run is None:
        raise InputError(
            "`run` must be a run folder for the reward `learned`, got none; "
            "train one with `esarm run`, or choose the reward `accuracy`"
        )
    return LearnedReward(task, load_reward(need_file(run, REWARD_FILE)))
