"""Write the tokens of some sequences together, step by step, on the device of the network.

Shape letters: B rows, C chunks, L tokens, H width, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.acceleration import PLAIN, Acceleration
from agents.common.decoding import GREEDY, Decoding, choose
from agents.session import PolicySession
from agents.transformer import MotionTransformer

_WARM_UP_STEPS = 3


@dataclass(frozen=True)
class Given:
    """What sequences are written from.

    Attributes:
        windows: Shape (B, C, window_dim).
        condition: Shape (B, condition_dim).
        noise: Shape (3, B, L), uniform numbers, see `choose`.
    """

    windows: Tensor
    condition: Tensor
    noise: Tensor


@torch.inference_mode()
def write(
    model: MotionTransformer,
    given: Given,
    decoding: Decoding,
    *,
    acceleration: Acceleration = PLAIN,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens, their log-probabilities and values, each (B, L).

    Log-probabilities are those of the distribution that was sampled from, without its epsilon; of
    greedy tokens, those of temperature 1.
    """
    acceleration.check_for(given.windows.device)
    desk = Desk(model, given, decoding, bf16=acceleration.bf16)
    if acceleration.cuda_graphs:
        desk.replay()
    else:
        desk.run()
    logits = desk.logits.float()
    if decoding.temperature != GREEDY:
        logits = logits / decoding.temperature
    chances = logits.log_softmax(-1).gather(2, desk.tokens[..., None])[..., 0]  # (L, B)
    values = model.value(desk.hidden.to(model.to_logits.dtype))
    return desk.tokens.t(), chances.t(), values.t()


class Desk:
    """Sequences while they are written.

    Attributes:
        tokens: Shape (L, B).
        hidden: Shape (L, B, H), what the heads of the network read.
        logits: Shape (L, B, K).
    """

    def __init__(
        self, model: MotionTransformer, given: Given, decoding: Decoding, *, bf16: bool = False
    ) -> None:
        """Compute what does not depend on tokens, and make room for the rest."""
        config = model.config
        self._per_chunk, self._n_tokens = config.tokens_per_chunk, config.n_tokens
        self._decoding, self._noise = decoding, given.noise
        n_rows, length = len(given.windows), given.windows.shape[1] * config.tokens_per_chunk
        dtype = torch.bfloat16 if bf16 else model.to_logits.dtype
        self._session = PolicySession(model, n_rows=n_rows, max_length=length, dtype=dtype)
        chunks = model.conditioning(given.windows, given.condition).transpose(0, 1)  # (C, B, H)
        inputs = chunks[:, None] + model.to_slot_input.weight[:, None]  # (C, slots, B, H)
        self._inputs = inputs.flatten(0, 1).to(dtype)  # (L, B, H)
        self._token_inputs = model.to_token_input.weight.to(dtype)
        self._to_logits = model.to_logits.to(dtype)
        self.tokens = given.noise.new_zeros((length, n_rows), dtype=torch.long)
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
            self.tokens[t] = choose(self.logits[t], self._decoding, self._noise[:, :, t])

    def replay(self) -> None:
        """Write all tokens with one recorded step (CUDA graph), which counts for itself."""
        step = torch.zeros(1, dtype=torch.long, device=self.tokens.device)
        # What warming up and recording write is written again: step 0 starts from nothing.
        side = torch.cuda.Stream()
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
        self.hidden.index_copy_(0, step, hidden[None])
        self.logits.index_copy_(0, step, logits[None])
        self.tokens.index_copy_(0, step, choose(logits, self._decoding, noise)[None])
