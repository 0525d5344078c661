"""Write whole sequences with a policy: greedy, sampled, or epsilon-greedy, batched and cached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agents.common.protocols import FloatArray, IntArray, SpeechTask
from agents.session import PolicySession
from agents.transformer import MotionTransformer

GREEDY = 0.0
COLDEST = 1e-3


@dataclass(frozen=True)
class Decoding:
    """How actions are chosen.

    Attributes:
        temperature: 0 takes the most likely token, 1 samples from the policy.
        epsilon: With this probability a token is drawn uniformly instead (D-REX).
    """

    temperature: float = GREEDY
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        """Check both ranges."""
        # Dividing by less than this overflows; it is greedy to any purpose.
        if self.temperature != GREEDY and not self.temperature >= COLDEST:
            raise ValueError(
                f"`temperature` must be 0 (greedy) or at least {COLDEST}, got {self.temperature}"
            )
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"`epsilon` must be in [0, 1], got {self.epsilon}")


@dataclass(frozen=True)
class Rollout:
    """Finished sequences of one policy.

    Attributes:
        tokens: Shape (N, L), int64, padded with -1.
        log_probs: Shape (N, L), of each token under the policy's own distribution; 0 in padding.
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
    batch_size: int = 64,
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
        batch_size: Rows that are stepped together.
    """
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
        windows = torch.from_numpy(task.audio_windows(utterances[rows]))
        noise = _noise(seeds[rows], int(lengths[rows].max()))
        batch = _write(model, windows, torch.from_numpy(condition[rows]), decoding, noise)
        width = batch[0].shape[1]
        inside = np.arange(width) < lengths[rows, None]
        written, chance, value = (part.numpy() for part in batch)
        tokens[rows, :width] = np.where(inside, written, -1)
        log_probs[rows, :width] = np.where(inside, chance, 0)
        values[rows, :width] = np.where(inside, value, 0)
    return Rollout(tokens, log_probs, values, lengths)


def _noise(seeds: IntArray, length: int) -> Tensor:
    """Return uniform numbers, shape (3, B, length): to explore or not, where to, what to sample."""
    rows = [np.random.default_rng(seed.tolist()).random((length, 3)) for seed in seeds]
    return torch.from_numpy(np.stack(rows)).permute(2, 0, 1).float()


@torch.inference_mode()
def _write(
    model: MotionTransformer, windows: Tensor, condition: Tensor, decoding: Decoding, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens, log-probabilities and values, each (B, L)."""
    per_chunk = model.config.tokens_per_chunk
    n_rows, length = len(windows), windows.shape[1] * per_chunk
    session = PolicySession(model, n_rows=n_rows, max_length=length)
    chunks = model.conditioning(windows, condition)  # (B, C, H)
    previous = torch.full((n_rows,), -1)
    columns: list[tuple[Tensor, Tensor, Tensor]] = []
    for t in range(length):
        logits, value = session.step(chunks[:, t // per_chunk], previous)
        previous = choose(logits, decoding, noise[:, :, t])
        tempered = logits / (decoding.temperature or 1.0)  # greedy ones have none
        log_prob = tempered.log_softmax(-1).gather(1, previous[:, None])[:, 0]
        columns.append((previous, log_prob, value))
    tokens, log_probs, values = (
        torch.stack(column, dim=1) for column in zip(*columns, strict=True)
    )
    return tokens, log_probs, values


def choose(logits: Tensor, decoding: Decoding, noise: Tensor) -> Tensor:
    """Choose a token per row of `logits` (B, K) with uniform `noise` (3, B); shape (B,)."""
    n_tokens = logits.shape[-1]
    if decoding.temperature == GREEDY:
        chosen = logits.argmax(-1)
    else:
        cumulative = (logits / decoding.temperature).softmax(-1).cumsum(-1)
        # Rounding may leave the sum just below 1: never step past the last token.
        chosen = (cumulative < noise[2][:, None]).sum(-1).clamp(max=n_tokens - 1)
    if decoding.epsilon == 0:
        return chosen
    random = (noise[1] * n_tokens).long().clamp(max=n_tokens - 1)
    return torch.where(noise[0] < decoding.epsilon, random, chosen)
