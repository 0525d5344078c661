"""Trajectories as the reward model reads them: audio and decoded motion in chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from esarm_env.task import AnimationTask, pad_stack
from esarm_env.types import N_CHANNELS, FloatArray, IntArray


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


def make_chunks(task: AnimationTask, utterances: IntArray, motions: list[FloatArray]) -> ChunkBatch:
    """Return audio of `utterances` (B,) beside `motions` (T_i, 52); the last frame fills up."""
    step = task.tokenizer.frames_per_chunk
    filled = [_fill(motion, step) for motion in motions]
    n_chunks = np.array([len(motion) // step for motion in filled])
    audio = task.audio_chunks(utterances)[:, : n_chunks.max()]
    motion = pad_stack([m.reshape(-1, step * N_CHANNELS) for m in filled])
    return ChunkBatch(torch.from_numpy(audio), torch.from_numpy(motion), torch.from_numpy(n_chunks))


def _fill(motion: FloatArray, step: int) -> FloatArray:
    missing = -len(motion) % step
    return np.pad(motion, ((0, missing), (0, 0)), mode="edge") if missing else motion
