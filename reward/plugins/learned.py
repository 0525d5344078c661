"""The learned reward as a plug-in: registered as `learned`.

torch is imported when something is opened or scored, so that listing rewards stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import REWARD_FILE, need_file
from esarm_env.core.types import N_CHANNELS, FloatArray, IntArray, Trajectories

if TYPE_CHECKING:
    from torch import Tensor

    from esarm_env.task.animation_task import AnimationTask
    from reward.chunks import ChunkBatch

BATCH_SIZE = 64


class RewardModel(Protocol):
    """A network that scores animations, alone or as an ensemble of members."""

    @property
    def audio_dim(self) -> int:
        """Audio values per chunk."""

    @property
    def motion_dim(self) -> int:
        """Motion values per chunk."""

    @property
    def needs_condition(self) -> bool:
        """Whether it judges against emotion, intensity and speaker."""

    @property
    def stream_names(self) -> tuple[str, ...]:
        """Streams of tokens whose scores add up to the score; none if it gives one score alone."""

    def score_members(self, batch: ChunkBatch) -> Tensor:
        """Return each member's score of each stream, shape (members, B, max(1, streams))."""

    def combine(self, scores: Tensor) -> Tensor:
        """Return (B, streams) of the members' scores (members, B, streams)."""


class LearnedReward:
    """Scores animations with a `RewardModel`; implements `RewardFunction`.

    0 is the mean of the clone's animations that the model was standardised on, 1 their spread.
    """

    needs_ground_truth = False

    def __init__(
        self, task: AnimationTask, model: RewardModel, *, batch_size: int = BATCH_SIZE
    ) -> None:
        """Score animations of `task` with `model`, `batch_size` at a time."""
        self._task, self._model, self._batch_size = task, model, batch_size

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return scores, shape (N,), judged against the condition they were made for."""
        motions = self._task.decode_chunks(trajectories)
        return self.score_motion(trajectories.utterance, motions, condition=trajectories.condition)

    def score_motion(
        self,
        utterances: IntArray,
        motions: list[FloatArray],
        *,
        condition: FloatArray | None = None,
    ) -> FloatArray:
        """Return scores of any motion, each (T_i, 52), to the audio of `utterances` (N,).

        Args:
            utterances: Shape (N,).
            motions: N times (T_i, 52).
            condition: Shape (N, condition_dim), what was asked for; by default as recorded.
        """
        scores: FloatArray = self._combined(utterances, motions, condition).sum(axis=-1)
        return scores

    def score_members(self, trajectories: Trajectories) -> FloatArray:
        """Return each member's scores, shape (M, N); their spread tells how far they disagree."""
        motions = self._task.decode_chunks(trajectories)
        return score_with(
            [self._model],
            self._task,
            trajectories.utterance,
            motions=motions,
            condition=trajectories.condition,
            batch_size=self._batch_size,
        )

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams that the model has a head for; empty where it has a single one."""
        return self._model.stream_names

    def score_streams(self, trajectories: Trajectories) -> dict[str, FloatArray]:
        """Return `score` by stream of tokens, `mouth` and `upper`, (N,) each; they add up to it.

        Raises:
            ValueError: If there are no `streams`.
        """
        motions = self._task.decode_chunks(trajectories)
        return self.score_motion_streams(
            trajectories.utterance, motions, condition=trajectories.condition
        )

    def score_motion_streams(
        self,
        utterances: IntArray,
        motions: list[FloatArray],
        *,
        condition: FloatArray | None = None,
    ) -> dict[str, FloatArray]:
        """Return `score_motion` by stream, (N,) each, with the same arguments.

        Raises:
            ValueError: If there are no `streams`.
        """
        if not self.streams:
            raise ValueError("this reward model has a single head, so it cannot score streams")
        scores = self._combined(utterances, motions, condition)
        return {name: scores[:, s] for s, name in enumerate(self._model.stream_names)}

    def _combined(
        self, utterances: IntArray, motions: list[FloatArray], condition: FloatArray | None
    ) -> FloatArray:
        """Return scores by stream, shape (N, streams)."""
        import torch

        members = member_streams(
            self._model,
            self._task,
            utterances,
            motions=motions,
            condition=condition,
            batch_size=self._batch_size,
        )
        combined: FloatArray = self._model.combine(torch.from_numpy(members)).numpy()
        return combined


def score_with(
    models: Sequence[RewardModel],
    task: AnimationTask,
    utterances: IntArray,
    *,
    motions: list[FloatArray],
    condition: FloatArray | None = None,
    batch_size: int = BATCH_SIZE,
) -> FloatArray:
    """Return the scores of all members of all models, shape (M, N).

    Args:
        models: In evaluation mode.
        task: Whose audio is heard.
        utterances: Shape (N,), the index of each motion's utterance.
        motions: N times (T_i, 52).
        condition: Shape (N, condition_dim), what was asked for; by default as recorded.
        batch_size: Animations of similar length that are scored together.
    """
    parts = [
        member_streams(
            model, task, utterances, motions=motions, condition=condition, batch_size=batch_size
        ).sum(axis=-1)
        for model in models
    ]
    return np.concatenate(parts)


def member_streams(
    model: RewardModel,
    task: AnimationTask,
    utterances: IntArray,
    *,
    motions: list[FloatArray],
    condition: FloatArray | None,
    batch_size: int,
) -> FloatArray:
    """Return each member's score of each stream, shape (members, N, max(1, streams))."""
    import torch

    from reward.chunks import make_chunks

    if condition is None:
        condition = task.condition_of(utterances)
    order = np.argsort([len(motion) for motion in motions], kind="stable")
    parts = []
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        with torch.inference_mode():
            batch = make_chunks(
                task,
                utterances[rows],
                [motions[row] for row in rows],
                condition=condition[rows],
                cut=model.needs_condition,
            )
            parts.append(model.score_members(batch).numpy())
    if not parts:
        return np.zeros((1, 0, max(1, len(model.stream_names))), dtype=np.float32)
    together = np.concatenate(parts, axis=1)
    scores = np.empty_like(together)
    scores[:, order] = together
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


def open_model(path: Path, task: AnimationTask) -> RewardModel:
    """Read the reward model of a run folder, or of a `.safetensors` file, of either recipe.

    Raises:
        InputError: If there is none, it is damaged, or it reads other chunks or conditions than
            those of `task`.
    """
    path = path.expanduser()
    model = _load(path if path.suffix == ".safetensors" else need_file(path, REWARD_FILE))
    step = task.tokenizer.frames_per_chunk
    expected = (task.features.dim * step, N_CHANNELS * step)
    if (model.audio_dim, model.motion_dim) != expected:
        raise InputError(
            f"{path}: must hold a reward model for the task's chunks of {expected[0]} audio and "
            f"{expected[1]} motion values, got one for {model.audio_dim} and {model.motion_dim}; "
            "it was trained with other features or chunks"
        )
    if getattr(model, "condition_dim", task.condition_dim) != task.condition_dim:
        raise InputError(
            f"{path}: must hold a reward model for the task's conditions of {task.condition_dim} "
            f"columns, got one for {getattr(model, 'condition_dim', None)}; "
            "it was trained on other speakers"
        )
    return model


def _load(path: Path) -> RewardModel:
    from esarm_env.core.weights import kind_of
    from reward.consensus.network import KIND, load_consensus
    from reward.ranking.network import load_reward

    return load_consensus(path) if kind_of(path) == KIND else load_reward(path)
