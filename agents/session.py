"""Step a policy network one token at a time, with a KV cache per row."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.transformer import CachePlace, LayerCache, MotionTransformer


class PolicySession:
    """Pre-allocated KV caches for `n_rows` sequences that may start at different times.

    The caches belong to the weights they were filled with: `step` refuses to go on after the
    weights have changed, because mixed caches give log-probabilities of no policy at all.
    """

    def __init__(self, model: MotionTransformer, *, n_rows: int, max_length: int) -> None:
        """Allocate caches for `n_rows` rows of at most `max_length` tokens."""
        if n_rows < 1 or max_length < 1:
            raise ValueError(
                f"`n_rows` and `max_length` must be at least 1, got {n_rows} and {max_length}"
            )
        self._model = model
        shape = (n_rows, model.config.n_heads, max_length, model.head_dim)
        self._caches = [LayerCache(torch.zeros(shape), torch.zeros(shape)) for _ in model.blocks]
        self._max_length = max_length
        self.positions = torch.zeros(n_rows, dtype=torch.long)
        self._weights = self._weight_version()

    def reset(self, rows: Tensor | None = None) -> None:
        """Start the given `rows` (bool mask, shape (n_rows,)) anew; None means all."""
        if rows is None:
            self.positions.zero_()
            self._weights = self._weight_version()
        else:
            self.positions[rows] = 0

    @torch.no_grad()
    def step(self, chunk: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """Advance all rows by one token.

        Args:
            chunk: Shape (n_rows, H), the network's `conditioning` of each row's current chunk.
            previous: Shape (n_rows,), each row's latest token; -1 at its start.

        Returns:
            Logits (n_rows, K) and values (n_rows,).

        Raises:
            RuntimeError: If the weights changed since the last full `reset`, or a row is full.
        """
        if self._weight_version() != self._weights:
            raise RuntimeError("`step` must follow `reset` once weights change, got stale caches")
        last = int(self.positions.max())
        if last >= self._max_length:
            raise RuntimeError(f"`step` must stay within {self._max_length} tokens, got {last + 1}")
        mask = None
        if bool((self.positions != last).any()):
            mask = (torch.arange(last + 1) <= self.positions[:, None])[:, None, None]
        place = CachePlace(self.positions, last, mask)
        output = self._model.step(chunk, previous, self._caches, place)
        self.positions = self.positions + 1
        return output

    def _weight_version(self) -> int:
        # torch counts in-place changes of every tensor; optimisers and load_state_dict are both.
        return sum(parameter._version for parameter in self._model.parameters())
