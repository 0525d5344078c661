"""The learned reward as a plug-in: registered as `learned`.

torch is imported when something is opened or scored, so that listing rewards stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.errors import InputError
from esarm_env.rewards import REWARD_FILE
from esarm_env.types import N_CHANNELS, FloatArray, IntArray, Trajectories

if TYPE_CHECKING:
    from esarm_env.task import AnimationTask
    from reward.model import RewardTransformer

BATCH_SIZE = 64


class LearnedReward:
    """Scores animations with a `RewardTransformer`; implements `RewardFunction`."""

    needs_ground_truth = False

    def __init__(
        self, task: AnimationTask, model: RewardTransformer, *, batch_size: int = BATCH_SIZE
    ) -> None:
        """Score animations of `task` with `model`, `batch_size` at a time."""
        self._task, self._model, self._batch_size = task, model, batch_size

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return scores (N,): 0 is the mean of the least noisy demonstrations, 1 their spread."""
        motions = self._task.decode_chunks(trajectories)
        return self.score_motion(trajectories.utterance, motions)

    def score_motion(self, utterances: IntArray, motions: list[FloatArray]) -> FloatArray:
        """Return scores of any motion, each (T_i, 52), to the audio of `utterances` (N,)."""
        scores: FloatArray = score_with(
            [self._model], self._task, utterances, motions=motions, batch_size=self._batch_size
        )[0]
        return scores


def score_with(
    models: Sequence[RewardTransformer],
    task: AnimationTask,
    utterances: IntArray,
    *,
    motions: list[FloatArray],
    batch_size: int = BATCH_SIZE,
) -> FloatArray:
    """Return the scores of M models, shape (M, N); they read every batch one after another.

    Args:
        models: In evaluation mode.
        task: Whose audio is heard.
        utterances: Shape (N,), the index of each motion's utterance.
        motions: N times (T_i, 52).
        batch_size: Animations of similar length that are scored together.
    """
    import torch

    from reward.chunks import make_chunks

    scores = np.zeros((len(models), len(motions)), dtype=np.float32)
    order = np.argsort([len(motion) for motion in motions], kind="stable")
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        with torch.inference_mode():
            batch = make_chunks(task, utterances[rows], [motions[row] for row in rows])
            for number, model in enumerate(models):
                given = batch.audio, batch.motion, batch.n_chunks
                scores[number, rows] = model(*given).numpy()
    return scores


def open_learned(task: AnimationTask, run: Path | None, argument: str = "") -> LearnedReward:
    """Learned from ranked demonstrations; of the run, or `learned:PATH` (run or weights file)."""
    if argument:
        return LearnedReward(task, open_model(Path(argument), task))
    if run is None:
        raise InputError(
            "`run` must be a run folder for the reward `learned`, got none; "
            "train one with `esarm run`, or choose the reward `accuracy`"
        )
    return LearnedReward(task, open_model(run, task))


def open_model(path: Path, task: AnimationTask) -> RewardTransformer:
    """Read the reward model of a run folder, or of a `.safetensors` file.

    Raises:
        InputError: If there is none, it is damaged, or it reads other chunks than those of `task`.
    """
    from esarm_env.opening import need_file
    from reward.model import load_reward

    path = path.expanduser()
    model = load_reward(path if path.suffix == ".safetensors" else need_file(path, REWARD_FILE))
    step = task.tokenizer.frames_per_chunk
    expected = (task.features.dim * step, N_CHANNELS * step)
    if (model.audio_dim, model.motion_dim) != expected:
        raise InputError(
            f"{path}: must hold a reward model for the task's chunks of {expected[0]} audio and "
            f"{expected[1]} motion values, got one for {model.audio_dim} and {model.motion_dim}; "
            "it was trained with other features or chunks"
        )
    return model
