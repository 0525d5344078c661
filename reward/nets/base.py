"""Base class of reward models, `RewardNet`: what `forward` gets and returns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from reward.shared import SharedModel

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from reward.chunks import ChunkBatch

Self = TypeVar("Self", bound="RewardNet")
CONDITION_DIM = "condition_dim"


class RewardNet(SharedModel, nn.Module):
    """A network that scores animations; a reward model of your own overrides `forward`.

    ```python
    class PlainNet(RewardNet):
        def __init__(self, *, audio_dim, motion_dim, width=32):
            super().__init__(audio_dim=audio_dim, motion_dim=motion_dim, width=width)
            read = nn.Linear(audio_dim + motion_dim, width)
            self.body = nn.Sequential(read, nn.Tanh(), nn.Linear(width, 1))

        def forward(self, audio, motion, n_chunks):
            per_chunk = self.body(torch.cat([audio, motion], dim=2))[..., 0]  # (B, C)
            return self.mean_over_chunks(per_chunk, n_chunks)  # (B,)
    ```

    `PairTrainer(task, train=pairs, model=PlainNet, ...)` trains it on pairs from ranks, scores or
    human choices; `net.save(path)` keeps it; the reward `learned:PATH` (or `load_net(path)`) has it
    again, see `reward.nets.files`. `RewardTransformer` is one.

    The constructor takes keywords alone, and hands all of them to `super().__init__`, so that a
    file can say how to build the network again. Numbers, texts, lists and dictionaries will do.

    Shape letters: B animations, C chunks, A audio and M motion values per chunk.

    Attributes:
        needs_condition: Of the class; True lets `forward` have the condition (emotion, intensity,
            speaker) as a fourth argument, and the constructor `condition_dim`.
        chunk_streams: Of the class; `("whole",)` where it has `score_chunks`.
        stream_names: Streams with a score of their own; none, since there is one score.
        audio_dim: A, the task's audio features times frames per chunk.
        motion_dim: M, 52 coefficients times frames per chunk, frame by frame:
            `motion.unflatten(2, (-1, 52))` has shape (B, C, frames, 52).
        sizes: The other arguments of the constructor.
        offset: Mean of what `forward` returned for reference animations; 0 before `standardise`.
        scale: Spread of that; 1 before.
    """

    needs_condition: ClassVar[bool] = False
    stream_names: ClassVar[tuple[str, ...]] = ()
    chunk_streams: ClassVar[tuple[str, ...]] = ()
    offset: Tensor
    scale: Tensor

    def __init__(self, *, audio_dim: int, motion_dim: int, **sizes: Any) -> None:
        """Note the sizes of a chunk, and what else is needed to build the network again.

        Raises:
            InputError: If the class needs the condition and `condition_dim` is not given.
        """
        super().__init__()
        self.audio_dim, self.motion_dim, self.sizes = audio_dim, motion_dim, sizes
        if self.needs_condition and CONDITION_DIM not in sizes:
            raise InputError(
                f"`{CONDITION_DIM}` must be handed to `super().__init__` where `needs_condition` "
                f"is True, got {sorted(sizes)}"
            )
        if CONDITION_DIM in sizes:
            self.condition_dim = sizes[CONDITION_DIM]
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    @classmethod
    def for_task(cls: type[Self], task: AnimationTask, **sizes: Any) -> Self:
        """Return a network for the chunks of `task`, with fresh weights.

        Args:
            task: What is to be scored.
            **sizes: Further arguments of the constructor.
        """
        step = task.tokenizer.frames_per_chunk
        if cls.needs_condition:
            sizes = {CONDITION_DIM: task.condition_dim, **sizes}
        return cls(audio_dim=task.features.dim * step, motion_dim=N_CHANNELS * step, **sizes)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return one score per animation, shape (B,), in any unit; higher is better.

        To be overridden: `forward(self, audio, motion, n_chunks)`, with `condition` behind them
        where `needs_condition` is True.

        Args:
            *args: `audio`, float32 (B, C, A); `motion`, float32 (B, C, M), in training a stretch
                of an animation; `n_chunks`, int64 (B,), from where on an animation is padding,
                which must not change its score (`mean_over_chunks` leaves it out); `condition`,
                float32 (B, condition_dim).
            **kwargs: None.
        """
        raise NotImplementedError(f"{type(self).__name__} must override `forward`")

    def score_chunks(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        """Return what each chunk adds to the standardised score, (B, C), 0 past the end.

        To be overridden, with `chunk_streams = ("whole",)`, where an algorithm is to give credit by
        chunk.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `score_chunks`")

    @staticmethod
    def inside(n_chunks: Tensor, width: int) -> Tensor:
        """Return which of `width` chunks are no padding, bool (B, width), of `n_chunks` (B,)."""
        return torch.arange(width) < n_chunks[:, None]

    @classmethod
    def mean_over_chunks(cls, values: Tensor, n_chunks: Tensor) -> Tensor:
        """Return the mean over chunks, padding left out, (B, ...) of (B, C, ...)."""
        mask = cls.inside(n_chunks, values.shape[1])
        ends = (1,) * (values.ndim - 2)
        # What stands in padding may be anything, infinite too.
        kept = values.masked_fill(~mask.view(*mask.shape, *ends), 0.0)
        return kept.sum(1) / n_chunks.view(-1, *ends)

    def scores(self, batch: ChunkBatch) -> Tensor:
        """Return standardised scores, shape (B,).

        Raises:
            InputError: If `forward` does not return a score per animation.
        """
        given = [batch.audio, batch.motion, batch.n_chunks]
        if self.needs_condition:
            assert batch.condition is not None, "whoever makes the batch asks `needs_condition`"
            given.append(batch.condition)
        raw: object = self(*given)
        if not isinstance(raw, Tensor) or raw.shape != (len(batch.audio),):
            got = f"shape {tuple(raw.shape)}" if isinstance(raw, Tensor) else type(raw).__name__
            raise InputError(
                f"`forward` of {type(self).__name__} must return a tensor of shape (B,) = "
                f"({len(batch.audio)},), a score per animation, got {got}"
            )
        return (raw - self.offset) / self.scale

    def score_members(self, batch: ChunkBatch) -> Tensor:
        """Return standardised scores as of an ensemble of one, shape (1, B, 1)."""
        return self.scores(batch)[None, :, None]

    def score_member_chunks(self, batch: ChunkBatch) -> Tensor:
        """Return standardised scores by chunk as of an ensemble of one, shape (1, B, C, 1)."""
        return self.score_chunks(batch.audio, batch.motion, batch.n_chunks)[None, ..., None]

    def member_weights(self, scores: Tensor) -> Tensor:
        """Return 1 for each score of an ensemble of one (1, B, 1)."""
        return torch.ones_like(scores)

    def combine(self, scores: Tensor) -> Tensor:
        """Return the scores (B, 1) of an ensemble of one (1, B, 1)."""
        return scores[0]

    def standardise(self, scores: Tensor) -> None:
        """Make `scores`, as returned now for reference animations, have mean 0 and spread 1.

        A single one has no spread, and leaves the scale as it is.
        """
        self.offset += scores.mean() * self.scale
        if len(scores) > 1:
            self.scale *= scores.std() + 1e-6

    def save(self, path: Path | str) -> None:
        """Write weights, sizes and the name of the class to one `.safetensors` file.

        Raises:
            InputError: If `sizes` do not build the network again.
        """
        from reward.nets.files import save_net

        save_net(self, path)
