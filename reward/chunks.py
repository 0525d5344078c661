"""Trajectories as the reward model reads them: audio and decoded motion in chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from esarm_env.task import AnimationTask, pad_stack
from esarm_env.types import N_CHANNELS, FloatArray, IntArray, Trajectories


@dataclass(frozen=True)
class ChunkBatch:
    """One row per animation.

    Attributes:
        audio: Shape (B, C, frames_per_chunk * feature_dim).
        motion: Shape (B, C, frames_per_chunk * 52).
        n_chunks: Shape (B,).
    """

    audio: Tensor
    motion: Tensor
    n_chunks: Tensor


def motion_rows(task: AnimationTask, trajectories: Trajectories) -> list[FloatArray]:
    """Return the decoded motion of each trajectory in whole chunks, (C_i * frames_per_chunk, 52)."""
    rows: list[FloatArray] = []
    frames = trajectories.lengths // task.tokens_per_chunk * task.tokenizer.frames_per_chunk
    for begin in range(0, len(trajectories), 256):  # bounds the memory of the decoder
        part = trajectories[begin : begin + 256]
        decoded = task.tokenizer.decode_batch(part.tokens, part.lengths)
        rows += [m[:n] for m, n in zip(decoded, frames[begin:], strict=False)]
    return rows


def make_chunks(
    task: AnimationTask, utterances: IntArray, motions: list[FloatArray]
) -> ChunkBatch:
    """Return audio of `utterances` (B,) beside `motions`, each (T_i, 52); the last frame fills up."""
    step = task.tokenizer.frames_per_chunk
    filled = [_fill(motion, step) for motion in motions]
    n_chunks = np.array([len(motion) // step for motion in filled])
    audio = task.audio_chunks(utterances)[:, : n_chunks.max()]
    motion = pad_stack([m.reshape(-1, step * N_CHANNELS) for m in filled])
    return ChunkBatch(
        torch.from_numpy(audio), torch.from_numpy(motion), torch.from_numpy(n_chunks)
    )


def _fill(motion: FloatArray, step: int) -> FloatArray:
    missing = -len(motion) % step
    return np.pad(motion, ((0, missing), (0, 0)), mode="edge") if missing else motion
