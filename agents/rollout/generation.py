"""Batched generation of token sequences with a KV cache.

Shape letters: B rows, C chunks, L tokens, H width, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from agents.collectors.parts import rows_of_a_part, rows_of_parts
from agents.network.acceleration import PLAIN, Acceleration
from agents.network.session import PolicySession
from agents.rollout.decoding import GREEDY, Decoding, choose, distance_table, sampling_logits
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.protocols import FloatArray, IntArray, SpeechTask

_WARM_UP_STEPS = 3


@dataclass(frozen=True)
class GenerationInputs:
    """What sequences are written from.

    Attributes:
        windows: Shape (B, C, window_dim).
        condition: Shape (B, condition_dim), or (B, C, condition_dim).
        noise: Shape (3, B, L), uniform numbers, see `choose`.
        lengths: Shape (B,), tokens of each row; beam search compares hypotheses up to there. None
            means L.
    """

    windows: Tensor
    condition: Tensor
    noise: Tensor
    lengths: Tensor | None = None


@torch.inference_mode()
def write(
    model: MotionTransformer,
    inputs: GenerationInputs,
    decoding: Decoding,
    *,
    acceleration: Acceleration = PLAIN,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens, their log-probabilities and values, each (B, L).

    Log-probabilities are those of the distribution that was sampled from, without its epsilon: with
    `top_k` or `top_p` those of what is left (-inf where epsilon wrote something else). Of tokens
    that are not sampled (greedy, by expected distance, beam) they are those of temperature 1.

    Raises:
        InputError: If a setting of `decoding` is not possible with this network or `acceleration`.
    """
    acceleration.check_for(inputs.windows.device)
    if decoding.median_of:
        raise InputError(
            f"`decoding` must choose tokens here, got a median of {decoding.median_of} samples; "
            "`animate` and `animate_utterances` write medians of whole animations"
        )
    if decoding.beam:
        if acceleration.cuda_graphs:
            raise InputError(
                f"`beam` must be 0 with `cuda_graphs`, got {decoding.beam}: a recorded step cannot "
                "reorder its caches"
            )
        from agents.rollout.beam import search

        speech = (inputs.windows, inputs.condition)
        return search(
            model, *speech, beam=decoding.beam, lengths=inputs.lengths, bf16=acceleration.bf16
        )
    generation = Generation(model, inputs, decoding, bf16=acceleration.bf16)
    if acceleration.cuda_graphs:
        generation.replay()
    else:
        generation.run()
    logits = generation.logits.float()
    if decoding.temperature != GREEDY:
        logits = sampling_logits(logits, decoding)
    chances = logits.log_softmax(-1).gather(2, generation.tokens[..., None])[..., 0]  # (L, B)
    values = model.value(generation.hidden.to(model.to_logits.dtype))
    return generation.tokens.t(), chances.t(), values.t()


class Generation:
    """Sequences while they are written.

    Attributes:
        tokens: Shape (L, B).
        hidden: Shape (L, B, H), what the heads of the network read.
        logits: Shape (L, B, K).
    """

    def __init__(
        self,
        model: MotionTransformer,
        inputs: GenerationInputs,
        decoding: Decoding,
        *,
        bf16: bool = False,
    ) -> None:
        """Compute what does not depend on tokens, and make room for the rest."""
        config = model.config
        self._per_chunk, self._n_tokens = config.tokens_per_chunk, config.n_tokens
        self._decoding, self._noise = decoding, inputs.noise
        self._distances = distance_table(model) if decoding.expected_distance else None
        n_rows, length = len(inputs.windows), inputs.windows.shape[1] * config.tokens_per_chunk
        dtype = torch.bfloat16 if bf16 else model.to_logits.dtype
        self._session = PolicySession(model, n_rows=n_rows, max_length=length, dtype=dtype)
        chunks = model.conditioning(inputs.windows, inputs.condition).transpose(0, 1)  # (C, B, H)
        by_slot = chunks[:, None] + model.to_slot_input.weight[:, None]  # (C, slots, B, H)
        self._inputs = by_slot.flatten(0, 1).to(dtype)  # (L, B, H)
        self._token_inputs = model.to_token_input.weight.to(dtype)
        self._to_logits = model.to_logits.to(dtype)
        self.tokens = inputs.noise.new_zeros((length, n_rows), dtype=torch.long)
        self.hidden = self._inputs.new_empty(length, n_rows, config.width)
        self.logits = self._inputs.new_empty(length, n_rows, config.n_tokens)

    def run(self) -> None:
        """Write all tokens; every step knows its number, so it slices and copies nothing."""
        rows = self._token_inputs[:-1].view(self._per_chunk, self._n_tokens, -1)
        for t, x in enumerate(self._inputs):
            slot = t % self._per_chunk
            before = rows[slot - 1][self.tokens[t - 1]] if t else self._token_inputs[-1]
            self.hidden[t] = self._session.advance(x + before)
            torch.mm(self.hidden[t], self._to_logits[slot], out=self.logits[t])
            distances = None if self._distances is None else self._distances[slot]
            self.tokens[t] = choose(self.logits[t], self._decoding, self._noise[:, :, t], distances)

    def replay(self) -> None:
        """Write all tokens with one recorded step (CUDA graph), which counts for itself."""
        step = torch.zeros(1, dtype=torch.long, device=self.tokens.device)
        # What warming up and recording write is written again: step 0 starts from nothing.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # by torch
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_STEPS):
                self.step_at(step)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step_at(step)
            step += 1
        step.zero_()
        for _ in range(len(self.tokens)):
            graph.replay()

    def step_at(self, step: Tensor) -> None:
        """Write the tokens of step `step`, shape (1,), known to the device alone."""
        slot = step % self._per_chunk
        last = self.tokens.index_select(0, (step - 1).clamp(min=0))[0]  # (B,)
        row = (slot - 1) % self._per_chunk * self._n_tokens + last
        row = torch.where(step > 0, row, len(self._token_inputs) - 1)
        x = self._inputs.index_select(0, step)[0] + self._token_inputs[row]
        hidden = self._session.advance_at(x, step)
        logits = hidden @ self._to_logits.index_select(0, slot)[0]
        noise = self._noise.index_select(2, step)[:, :, 0]
        table = self._distances
        distances = None if table is None else table.index_select(0, slot)[0]
        self.hidden.index_copy_(0, step, hidden[None])
        self.logits.index_copy_(0, step, logits[None])
        chosen = choose(logits, self._decoding, noise, distances)
        self.tokens.index_copy_(0, step, chosen[None])


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
        condition: Shape (N, condition_dim), or of each chunk (N, n_chunks, condition_dim), padded.
        decoding: How tokens are chosen.
        seeds: Shape (N, n), from `esarm_env.core.seeds.sequence_seeds`.
        batch_size: Rows that are stepped together, hypotheses of a beam among them; by default
            what suits the device.
        acceleration: What may be traded for speed.
    """
    device = next(model.parameters()).device
    if batch_size is None:
        batch_size = rows_of_a_part(device)
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
    batch_size = max(1, batch_size // max(1, decoding.beam))
    model.eval()
    lengths = task.lengths[utterances]
    shape = (len(utterances), int(lengths.max()))
    tokens = np.full(shape, -1, dtype=np.int64)
    log_probs, values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for rows in rows_of_parts(lengths, batch_size):
        windows, shown = task.audio_windows(utterances[rows]), condition[rows]
        shown = shown[:, : windows.shape[1]] if shown.ndim == 3 else shown
        inputs = GenerationInputs(
            windows=torch.from_numpy(windows).to(device),
            condition=torch.from_numpy(shown).to(device),
            noise=_noise(seeds[rows], int(lengths[rows].max())).to(device),
            lengths=torch.from_numpy(lengths[rows]).to(device),
        )
        batch = write(model, inputs, decoding, acceleration=acceleration)
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
