"""Chunks of audio and decoded motion, the input of reward networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from esarm_env.core.types import N_CHANNELS, FloatArray, IntArray

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask


@dataclass(frozen=True)
class ChunkBatch:
    """One row per animation.

    Attributes:
        audio: Shape (B, C, frames_per_chunk * feature_dim).
        motion: Shape (B, C, frames_per_chunk * 52).
        n_chunks: Shape (B,).
        condition: Shape (B, condition_dim), or None where nobody asks for it.
    """

    audio: Tensor
    motion: Tensor
    n_chunks: Tensor
    condition: Tensor | None = None


def make_chunks(
    task: AnimationTask,
    utterances: IntArray,
    motions: list[FloatArray],
    *,
    condition: FloatArray | None = None,
    cut: bool = False,
) -> ChunkBatch:
    """Return audio beside motion; the last frame fills up the last chunk.

    Args:
        task: Gives the audio.
        utterances: Shape (B,).
        motions: B times (T_i, 52).
        condition: Shape (B, condition_dim), handed on.
        cut: Whether motion past the utterance's last frame, which a decoder writes to fill up a
            chunk, is replaced by the last frame: decoded and recorded motion then end alike.
    """
    step = task.tokenizer.frames_per_chunk
    if cut:
        ends = task.n_frames[utterances]
        motions = [motion[:end] for motion, end in zip(motions, ends, strict=True)]
    n_chunks = np.array([-(-len(motion) // step) for motion in motions])
    audio = task.audio_chunks(utterances)[:, : n_chunks.max()]
    motion = np.zeros((len(motions), int(n_chunks.max()) * step, N_CHANNELS), motions[0].dtype)
    for out, row, end in zip(motion, motions, n_chunks * step, strict=True):
        out[: len(row)] = row
        out[len(row) : end] = row[-1]
    return ChunkBatch(
        torch.from_numpy(audio),
        torch.from_numpy(motion.reshape(len(motion), -1, step * N_CHANNELS)),
        torch.from_numpy(n_chunks),
        None if condition is None else torch.from_numpy(condition),
    )


def chunks_of_choices(
    task: AnimationTask,
    utterances: IntArray,
    choices: Tensor,
    lengths: IntArray,
    *,
    condition: FloatArray | None = None,
    cut: bool = False,
) -> ChunkBatch:
    """Return what `make_chunks` makes of decoded tokens, with a gradient to their choices.

    Args:
        task: Gives audio and decoder.
        utterances: Shape (B,).
        choices: Shape (B, L, n_tokens), one-hot in value; see `decode_choices` of the tokenizer.
        lengths: Shape (B,), tokens of each.
        condition: Shape (B, condition_dim), handed on.
        cut: As of `make_chunks`.
    """
    step = task.tokenizer.frames_per_chunk
    decoded = task.tokenizer.decode_choices(choices, lengths)  # (B, T, 52)
    n_chunks = torch.from_numpy(lengths // task.tokens_per_chunk)
    frames = torch.arange(decoded.shape[1])
    if cut:
        last = torch.from_numpy(task.n_frames[utterances])[:, None] - 1
        places = torch.minimum(frames, last)[..., None].expand_as(decoded)
        decoded = decoded.gather(1, places)
    inside = frames < n_chunks[:, None] * step  # (B, T)
    motion = decoded * inside[..., None]
    audio = task.audio_chunks(utterances)[:, : motion.shape[1] // step]
    return ChunkBatch(
        torch.from_numpy(audio),
        motion.reshape(len(motion), -1, step * N_CHANNELS),
        n_chunks,
        None if condition is None else torch.from_numpy(condition),
    )
