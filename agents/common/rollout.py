"""Write whole sequences with a policy: greedy, sampled, or epsilon-greedy, batched and cached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.acceleration import PLAIN, Acceleration
from agents.common.decoding import Decoding
from agents.common.protocols import FloatArray, IntArray, SpeechTask
from agents.common.writing import Given, write
from agents.transformer import MotionTransformer

# The caches of this many rows of 128 tokens stay in a processor's caches; 64 rows take longer each.
ROWS_ON_CPU, ROWS_ELSEWHERE = 32, 1024


@dataclass(frozen=True)
class Rollout:
    """Finished sequences of one policy.

    Attributes:
        tokens: Shape (N, L), int64, padded with -1.
        log_probs: Shape (N, L), of each token, see `write`; 0 in padding.
        values: Shape (N, L), value estimates before each token; 0 in padding.
        lengths: Shape (N,).
    """

    tokens: IntArray
    log_probs: FloatArray
    values: FloatArray
    lengths: IntArray


def sequence_seeds(
    *, run: int, iteration: int, utterances: IntArray, samples: IntArray
) -> IntArray:
    """Return one seed per sequence, shape (N, 4), from what the sequence is and not its batch."""
    n = len(utterances)
    return np.stack([np.full(n, run), np.full(n, iteration), utterances, samples], axis=1)


def occurrence_numbers(values: IntArray) -> IntArray:
    """Return how often each of `values` (N,) has come before, so that repeats can differ."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, ordered, side="left")
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.arange(len(values)) - first
    return numbers


def generate(
    model: MotionTransformer,
    task: SpeechTask,
    utterances: IntArray,
    *,
    condition: FloatArray,
    decoding: Decoding,
    seeds: IntArray,
    batch_size: int | None = None,
    acceleration: Acceleration = PLAIN,
) -> Rollout:
    """Write one sequence per entry of `utterances`.

    Sequences of similar length share a batch. Each has random numbers of its own, so the result
    does not depend on the batches.

    Args:
        model: The policy; it is put into evaluation mode (no dropout).
        task: Gives audio and lengths.
        utterances: Shape (N,), indices; repeats are allowed.
        condition: Shape (N, condition_dim).
        decoding: How tokens are chosen.
        seeds: Shape (N, n), from `sequence_seeds`.
        batch_size: Rows that are stepped together; by default what suits the device.
        acceleration: What may be traded for speed.
    """
    device = next(model.parameters()).device
    if batch_size is None:
        batch_size = ROWS_ON_CPU if device.type == "cpu" else ROWS_ELSEWHERE
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
    model.eval()
    lengths = task.lengths[utterances]
    order = np.argsort(lengths, kind="stable")
    shape = (len(utterances), int(lengths.max()))
    tokens = np.full(shape, -1, dtype=np.int64)
    log_probs, values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        given = Given(
            windows=torch.from_numpy(task.audio_windows(utterances[rows])).to(device),
            condition=torch.from_numpy(condition[rows]).to(device),
            noise=_noise(seeds[rows], int(lengths[rows].max())).to(device),
        )
        batch = write(model, given, decoding, acceleration=acceleration)
        width = batch[0].shape[1]
        inside = np.arange(width) < lengths[rows, None]
        written, chance, value = (part.cpu().numpy() for part in batch)
        tokens[rows, :width] = np.where(inside, written, -1)
        log_probs[rows, :width] = np.where(inside, chance, 0)
        values[rows, :width] = np.where(inside, value, 0)
    return Rollout(tokens, log_probs, values, lengths)


def _noise(seeds: IntArray, length: int) -> Tensor:
    """Return uniform numbers, shape (3, B, length): to explore or not, where to, what to sample."""
    rows = [np.random.default_rng(seed.tolist()).random((length, 3)) for seed in seeds]
    return torch.from_numpy(np.stack(rows)).permute(2, 0, 1).float()
