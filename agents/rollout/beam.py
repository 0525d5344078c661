"""Beam search: the likeliest whole sequences, with a KV cache whose rows follow the hypotheses.

Shape letters: B sequences, N hypotheses of each, L tokens, K tokens to choose from, H width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from agents.network.session import PolicySession

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer


class BeamSearch:
    """Hypotheses while they are written; a row of the cache each.

    Attributes:
        tokens: Shape (B, N, L), the best hypothesis first.
        scores: Shape (B, N), log-probability of each so far.
    """

    def __init__(
        self,
        model: MotionTransformer,
        windows: Tensor,
        condition: Tensor,
        *,
        beam: int,
        lengths: Tensor | None = None,
        bf16: bool = False,
    ) -> None:
        """Prepare to search.

        Args:
            model: The network, in evaluation mode.
            windows: Shape (B, C, window_dim).
            condition: Shape (B, condition_dim).
            beam: Hypotheses of each sequence, at least 1.
            lengths: Shape (B,), tokens of each; what lies behind them does not count. By default
                all of them.
            bf16: Whether to step in bfloat16.
        """
        self._model, self._beam = model, beam
        n_rows, n_chunks = windows.shape[:2]
        length = n_chunks * model.config.tokens_per_chunk
        dtype = torch.bfloat16 if bf16 else None
        self._session = PolicySession(model, n_rows=n_rows * beam, max_length=length, dtype=dtype)
        self._dtype = dtype or model.to_logits.dtype
        self._chunks = model.conditioning(windows, condition)  # (B, C, H)
        self._lengths = lengths
        self.tokens = torch.zeros(n_rows, beam, length, dtype=torch.long, device=windows.device)
        # They all begin alike, and N copies of one sequence are no choice.
        self.scores = self._chunks.new_full((n_rows, beam), -torch.inf)
        self.scores[:, 0] = 0

    def run(self) -> Tensor:
        """Search to the end; return the likeliest sequence of each row, (B, L)."""
        for t in range(self.tokens.shape[2]):
            self._extend(t)
        return self.tokens[:, 0]

    def _extend(self, t: int) -> None:
        """Extend all hypotheses by token `t`, and keep the best N of each row."""
        n_rows, beam = self.scores.shape
        chances = self._log_probs(t).view(n_rows, beam, -1)  # (B, N, K)
        if self._lengths is not None:
            over = (t >= self._lengths)[:, None, None]
            still = torch.full_like(chances, -torch.inf)
            still[:, :, 0] = 0  # a finished hypothesis goes on in one way alone, at no price
            chances = torch.where(over, still, chances)
        self.scores, best = (self.scores[..., None] + chances).flatten(1).topk(beam)
        parents, tokens = best // chances.shape[2], best % chances.shape[2]  # (B, N)
        self.tokens = self.tokens.gather(1, parents[..., None].expand_as(self.tokens))
        self.tokens[:, :, t] = tokens
        firsts = torch.arange(n_rows, device=parents.device)[:, None] * beam
        self._session.reorder((firsts + parents).flatten())

    def _log_probs(self, t: int) -> Tensor:
        """Return log-probabilities of token `t` after each hypothesis, (B * N, K)."""
        config = self._model.config
        slot = torch.tensor(t % config.tokens_per_chunk, device=self.tokens.device)
        chunk = self._chunks[:, t // config.tokens_per_chunk]
        before = self.tokens[:, :, t - 1] if t else torch.full_like(self.tokens[:, :, 0], -1)
        x = chunk.repeat_interleave(self._beam, dim=0) + self._model.embed(before.flatten(), slot)
        hidden = self._session.advance(x.to(self._dtype))
        logits = hidden @ self._model.to_logits[slot].to(self._dtype)
        return logits.to(self.scores.dtype).log_softmax(-1)


def search(
    model: MotionTransformer,
    windows: Tensor,
    condition: Tensor,
    *,
    beam: int,
    lengths: Tensor | None = None,
    bf16: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the likeliest sequences found, their log-probabilities and values, each (B, L).

    Arguments are those of `BeamSearch`.
    """
    found = BeamSearch(model, windows, condition, beam=beam, lengths=lengths, bf16=bf16).run()
    logits, values = model(windows, condition, found)
    chances = logits.log_softmax(-1).gather(2, found[..., None])[..., 0]
    return found, chances, values
