"""Scoring of animations by reward networks of either recipe: protocol, minibatches, positions.

torch is imported when something is scored, so that listing rewards stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esarm_env.core.types import DifferentiableScores

if TYPE_CHECKING:
    from torch import Tensor

    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.chunks import ChunkBatch

BATCH_SIZE = 64
_LEAST_VARIANCE = 1e-12


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

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """Columns of `score_member_chunks`: streams of tokens, or the whole face."""

    def score_members(self, batch: ChunkBatch) -> Tensor:
        """Return each member's score of each stream, shape (members, B, max(1, streams))."""

    def combine(self, scores: Tensor) -> Tensor:
        """Return (B, streams) of the members' scores (members, B, streams)."""

    def score_member_chunks(self, batch: ChunkBatch) -> Tensor:
        """Return each member's score by chunk and column, shape (members, B, C, columns).

        Over the chunks they add up to `score_members`; past an animation's end they are 0.
        """

    def member_weights(self, scores: Tensor) -> Tensor:
        """Return what each score (members, B, columns) counts: the sum of both is `combine`."""


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
    given = (task, utterances, motions, condition)
    parts, order = _in_batches(model, model.score_members, *given, batch_size=batch_size)
    if not parts:
        return np.zeros((1, 0, max(1, len(model.stream_names))), dtype=np.float32)
    return _in_order(np.concatenate(parts, axis=1), order)


def member_chunks(
    model: RewardModel,
    task: AnimationTask,
    utterances: IntArray,
    *,
    motions: list[FloatArray],
    condition: FloatArray | None,
    batch_size: int,
) -> FloatArray:
    """Return each member's score of each chunk and column, shape (members, N, C, columns)."""
    given = (task, utterances, motions, condition)
    parts, order = _in_batches(model, model.score_member_chunks, *given, batch_size=batch_size)
    if not parts:
        return np.zeros((1, 0, 0, len(model.chunk_streams)), dtype=np.float32)
    width = max(part.shape[2] for part in parts)
    padded = [np.pad(p, ((0, 0), (0, 0), (0, width - p.shape[2]), (0, 0))) for p in parts]
    return _in_order(np.concatenate(padded, axis=1), order)


def combined_chunks(model: RewardModel, members: FloatArray) -> FloatArray:
    """Return a model's scores by chunk (N, C, columns) of its members' (members, N, C, columns).

    They add up to what `model.combine` makes of the members' scores.
    """
    import torch

    weights = model.member_weights(torch.from_numpy(members.sum(axis=2))).numpy()
    chunks: FloatArray = (weights[:, :, None] * members).sum(axis=0)
    return chunks


def _in_batches(
    model: RewardModel,
    score: Callable[[ChunkBatch], Tensor],
    task: AnimationTask,
    utterances: IntArray,
    motions: list[FloatArray],
    condition: FloatArray | None,
    *,
    batch_size: int,
) -> tuple[list[FloatArray], IntArray]:
    """Return what `score` makes of batches of similar length, and whose scores they are, (N,)."""
    import torch

    from reward.chunks import make_chunks

    if condition is None:
        condition = task.condition_of(utterances)
    order = np.argsort([len(motion) for motion in motions], kind="stable")
    parts: list[FloatArray] = []
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
            parts.append(score(batch).numpy())
    return parts, order


def _in_order(together: FloatArray, order: IntArray) -> FloatArray:
    """Return scores (members, N, ...) of the animations `order` (N,) in their own order."""
    scores = np.empty_like(together)
    scores[:, order] = together
    return scores


def differentiable_members(
    model: RewardModel,
    task: AnimationTask,
    utterances: IntArray,
    choices: Tensor,
    lengths: IntArray,
    condition: FloatArray,
) -> Tensor:
    """Return each member's score of each stream, (members, N, max(1, streams)), with a gradient.

    Args:
        model: In evaluation mode.
        task: Whose audio is heard, and whose tokenizer decodes.
        utterances: Shape (N,).
        choices: Shape (N, L, n_tokens), one-hot in value.
        lengths: Shape (N,), tokens of each.
        condition: Shape (N, condition_dim), what was asked for.
    """
    from reward.chunks import chunks_of_choices

    batch = chunks_of_choices(
        task, utterances, choices, lengths, condition=condition, cut=model.needs_condition
    )
    return model.score_members(batch)


def scores_with_spread(score: Tensor, members: Tensor) -> DifferentiableScores:
    """Return scores (N,) beside the standard deviation of the members (M, N); 0 of one alone."""
    if len(members) < 2:
        return DifferentiableScores(score, score.new_zeros(score.shape))
    # The root has no slope where all members agree.
    return DifferentiableScores(score, (members.var(dim=0) + _LEAST_VARIANCE).sqrt())


def positions(length: int, width: int) -> Tensor:
    """Return sinusoidal positions (Vaswani et al. 2017), shape (length, width)."""
    import torch

    frequency = 10_000 ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(length)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)
