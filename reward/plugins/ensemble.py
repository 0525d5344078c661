"""Reward `ensemble`: the mean of several learned rewards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.rewards.chunks import WeightedScores, columns_of_sum, sum_of_chunks
from reward.plugins.heads import open_whole_model
from reward.scoring import (
    BATCH_SIZE,
    differentiable_members,
    member_chunks,
    member_streams,
    score_with,
    scores_with_spread,
)

if TYPE_CHECKING:
    from torch import Tensor

    from esarm_env.core.types import DifferentiableScores, FloatArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask
    from reward.scoring import RewardModel


class EnsembleReward:
    """The mean of several reward models; implements `ChunkedReward`.

    Each member's scores are standardised already (0 is the mean of its least noisy demonstrations,
    1 their spread), so that a plain mean weighs all alike.
    """

    needs_ground_truth = False

    def __init__(
        self,
        task: AnimationTask,
        models: Sequence[RewardModel],
        *,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        """Score animations of `task` with all `models`, `batch_size` animations at a time.

        Raises:
            InputError: If there is no model.
        """
        if not models:
            raise InputError("`models` must hold at least one reward model, got none")
        self._task, self._models, self._batch_size = task, tuple(models), batch_size

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self._models)

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return the mean of the members' scores, shape (N,)."""
        mean: FloatArray = self.score_members(trajectories).mean(axis=0)
        return mean

    def score_members(self, trajectories: Trajectories) -> FloatArray:
        """Return each member's scores, shape (M, N); their spread tells how far they disagree.

        The motion is decoded once for all.
        """
        motions = self._task.decode_chunks(trajectories)
        return score_with(
            self._models,
            self._task,
            trajectories.utterance,
            motions=motions,
            condition=trajectories.condition,
            batch_size=self._batch_size,
        )

    @property
    def streams(self) -> tuple[str, ...]:
        """Streams that all models score; empty if they do not score the same ones."""
        names = {model.stream_names for model in self._models}
        return names.pop() if len(names) == 1 else ()

    def score_streams(self, trajectories: Trajectories) -> dict[str, FloatArray]:
        """Return `score` by stream of tokens, (N,) each.

        Raises:
            ValueError: If there are no `streams`.
        """
        if not self.streams:
            raise ValueError("the models do not all score the same streams, so they have none")
        motions = self._task.decode_chunks(trajectories)
        parts = [
            member_streams(
                model,
                self._task,
                trajectories.utterance,
                motions=motions,
                condition=trajectories.condition,
                batch_size=self._batch_size,
            )
            for model in self._models
        ]
        mean = np.concatenate(parts).mean(axis=0)  # (N, S)
        return {name: mean[:, s] for s, name in enumerate(self.streams)}

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """Columns of `score_chunks`: those of all models; empty if one has none."""
        told = [getattr(model, "chunk_streams", ()) for model in self._models]
        return columns_of_sum(told) if all(told) else ()

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return the mean of the members' scores by chunk, (N, C, S), as of `LearnedReward`."""
        motions = self._task.decode_chunks(trajectories)
        parts = [
            member_chunks(
                model,
                self._task,
                trajectories.utterance,
                motions=motions,
                condition=trajectories.condition,
                batch_size=self._batch_size,
            )
            for model in self._models
        ]
        n_members = sum(map(len, parts))
        told = [
            WeightedScores(1 / n_members, model.chunk_streams, part.sum(axis=0))
            for model, part in zip(self._models, parts, strict=True)
        ]
        return sum_of_chunks(told, self.chunk_streams, trajectories.lengths)

    def differentiable_score(
        self, choices: Tensor, utterances: IntArray, lengths: IntArray, condition: FloatArray
    ) -> DifferentiableScores:
        """Return `score` with a gradient to the choices, see `DifferentiableReward`."""
        import torch

        given = (self._task, utterances, choices, lengths, condition)
        parts = [differentiable_members(model, *given).sum(-1) for model in self._models]
        members = torch.cat(parts)
        return scores_with_spread(members.mean(dim=0), members)


def open_ensemble(task: AnimationTask, run: Path | None, argument: str) -> EnsembleReward:
    """Mean of the learned rewards of several runs or weights files: `ensemble:RUN1,RUN2,...`."""
    paths = [part.strip() for part in argument.split(",")]
    twice = len({os.path.realpath(os.path.expanduser(part)) for part in paths}) < len(paths)
    if "" in paths or twice:
        raise InputError(
            "`ensemble` must be followed by different run folders or weights files, "
            f"RUN1,RUN2,..., got {argument!r}"
        )
    from reward.nets.files import trusted_place

    return EnsembleReward(task, [open_whole_model(trusted_place(part), task) for part in paths])
