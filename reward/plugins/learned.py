"""Reward `learned`: the reward network of a run.

torch is imported when something is opened or scored, so that listing rewards stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.hub.shareable import REWARD, Shareable
from esarm_env.core.run_layout import REWARD_FILE, need_file
from esarm_env.core.types import N_CHANNELS, FloatArray, IntArray, Trajectories
from reward.scoring import (
    BATCH_SIZE,
    combined_chunks,
    differentiable_members,
    member_chunks,
    member_streams,
    score_with,
    scores_with_spread,
)
from reward.shared import reward_place, write_whole_model

if TYPE_CHECKING:
    from torch import Tensor

    from esarm_env.core.types import DifferentiableScores
    from esarm_env.task.animation_task import AnimationTask
    from reward.scoring import RewardModel


class LearnedReward(Shareable):
    """Scores animations with a `RewardModel`; implements `ChunkedReward`.

    0 is the mean of the clone's animations that the model was standardised on, 1 their spread.
    """

    needs_ground_truth = False
    shared_kind = REWARD

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

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """Columns of `score_chunks`: `mouth` and `upper`, or `whole` of a model with one head."""
        return getattr(self._model, "chunk_streams", ())  # models of others may have none

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return `score` by chunk, (N, C, S), in the columns `chunk_streams`.

        A consensus model's score is a mean over chunks and is taken apart as such, and what its
        members make of it together as `ConsensusModel.member_weights` says; how a ranking model's
        is taken apart, `RewardConfig.chunk_credit` says.
        """
        motions = self._task.decode_chunks(trajectories)
        return self.score_motion_chunks(
            trajectories.utterance, motions, condition=trajectories.condition
        )

    def score_motion_chunks(
        self,
        utterances: IntArray,
        motions: list[FloatArray],
        *,
        condition: FloatArray | None = None,
    ) -> FloatArray:
        """Return `score_motion` by chunk, (N, C, S), in the columns `chunk_streams`."""
        members = member_chunks(
            self._model,
            self._task,
            utterances,
            motions=motions,
            condition=condition,
            batch_size=self._batch_size,
        )
        return combined_chunks(self._model, members)

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

    def differentiable_score(
        self, choices: Tensor, utterances: IntArray, lengths: IntArray, condition: FloatArray
    ) -> DifferentiableScores:
        """Return `score` with a gradient to the choices, see `DifferentiableReward`."""
        members = differentiable_members(
            self._model, self._task, utterances, choices, lengths, condition
        )
        return scores_with_spread(self._model.combine(members).sum(-1), members.sum(-1))

    @property
    def tells_recordings(self) -> bool:
        """Whether the model has a head that tells recordings from a policy's samples."""
        return hasattr(self._model, "recorded_members")

    def score_recorded(self, trajectories: Trajectories) -> FloatArray:
        """Return the log-odds, (N,), of being a recording and no sample: the members' mean.

        To be watched beside the score, as `SequenceDiffReward` does.

        Raises:
            ValueError: If the model has no such head (`tells_recordings`).
        """
        import torch

        from reward.chunks import make_chunks

        model: Any = self._model
        if not self.tells_recordings:
            raise ValueError("this reward model cannot tell recordings from samples")
        motions = self._task.decode_chunks(trajectories)
        odds = [np.zeros(0, dtype=np.float32)]
        for begin in range(0, len(motions), self._batch_size):
            rows = slice(begin, begin + self._batch_size)
            given = trajectories.utterance[rows], motions[rows]
            with torch.inference_mode():
                condition = trajectories.condition[rows]
                batch = make_chunks(self._task, *given, condition=condition, cut=True)
                odds.append(model.recorded_members(batch).mean(dim=0).numpy())
        return np.concatenate(odds)

    def write_shared(self, folder: Path) -> None:
        """Write the files of the model, see `save_pretrained`."""
        write_whole_model(self._model, folder)

    @classmethod
    def read_shared(
        cls, folder: Path, *args: Any, task: AnimationTask | None = None, **more: Any
    ) -> LearnedReward:
        """Read the reward of a shared folder, see `from_pretrained`: `task` is what it scores.

        Raises:
            InputError: If `task` is left out, it is damaged, or it reads other chunks or conditions
                than those of `task`.
        """
        from reward.plugins.heads import open_both_heads

        if task is None:
            raise InputError("`task` must be given (`from_pretrained(NAME, task=...)`), got none")
        return open_both_heads(task, reward_place(folder), **more)

    def describe_shared(self) -> str:
        """Return a sentence on what it is."""
        return "Reward model of ESARM, the reward `learned`: scores an animation of speech."

    def tokenizer_told(self) -> str:
        """Return the content hash of the tokenizer through which it scored."""
        return self._task.tokenizer.content_hash()

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


def open_learned(task: AnimationTask, run: Path | None, argument: str = "") -> LearnedReward:
    """Learned from animations, with both heads; of the run, or `learned:PATH` (run or weights)."""
    from reward.plugins.heads import open_both_heads

    if argument:
        from reward.nets.files import trusted_place

        return open_both_heads(task, reward_place(trusted_place(argument)))
    if run is None:
        raise InputError(
            "`run` must be a run folder for the reward `learned`, got none; "
            "train one with `esarm run`, or choose the reward `accuracy`"
        )
    return open_both_heads(task, run)


def open_model(path: Path, task: AnimationTask) -> RewardModel:
    """Read the reward model of a run folder, or of a `.safetensors` file, of any class.

    Raises:
        InputError: If there is none, it is damaged, or it reads other chunks or conditions than
            those of `task`.
    """
    path = path.expanduser()
    model = load_model(path if path.suffix == ".safetensors" else need_file(path, REWARD_FILE))
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


def load_model(path: Path, *, net: type | None = None) -> RewardModel:
    """Read a reward model of any class; `net` is that of a model of one's own, where it is known.

    Raises:
        InputError: If it is damaged, or its class is not trusted (`reward.nets.files`).
    """
    from esarm_env.core.weights import kind_of
    from reward.consensus.network import KIND, load_consensus
    from reward.nets.base import RewardNet
    from reward.nets.files import NET_KIND, load_net
    from reward.ranking.network import RewardTransformer, load_reward

    kind = kind_of(path)
    if kind == NET_KIND:
        own = net is not None and issubclass(net, RewardNet)
        return load_net(path, net if own and net not in (RewardNet, RewardTransformer) else None)
    return load_consensus(path) if kind == KIND else load_reward(path)
