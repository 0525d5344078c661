"""Step a policy network one token at a time, with a KV cache per row."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.stepping import LayerCache, StepWeights
from agents.transformer import MotionTransformer

Fingerprint = list[tuple[int, int]]


class PolicySession:
    """Pre-allocated KV caches for `n_rows` sequences that may start at different times.

    The caches belong to the weights they were filled with: `step` refuses to go on after the
    weights have changed, because mixed caches give log-probabilities of no policy at all. Once all
    rows are reset, together or one by one, the new weights are taken.

    Attributes:
        positions: Shape (n_rows,), tokens that each row has behind it.
    """

    def __init__(
        self,
        model: MotionTransformer,
        *,
        n_rows: int,
        max_length: int,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Allocate caches for `n_rows` rows of at most `max_length` tokens, where `model` is.

        Args:
            model: The network.
            n_rows: At least 1.
            max_length: At least 1.
            dtype: Of caches and arithmetic; by default the network's.

        Raises:
            ValueError: If there would be no row or no room.
        """
        if n_rows < 1 or max_length < 1:
            raise ValueError(
                f"`n_rows` and `max_length` must be at least 1, got {n_rows} and {max_length}"
            )
        self._model = model
        # Through the owners, so that a parameter that is replaced as a whole is noticed as well;
        # walking the modules at every step takes ten times as long.
        self._places = [
            (module._parameters, name)
            for module in model.modules()
            for name, parameter in module._parameters.items()
            if parameter is not None
        ]
        like = next(model.parameters()).detach()
        like = like if dtype is None else like.to(dtype)
        shape = (n_rows, model.config.n_heads, max_length, model.head_dim)
        self._caches = [LayerCache.like(like, shape) for _ in model.blocks]
        self._max_length, self._dtype = max_length, like.dtype
        self.positions = torch.zeros(n_rows, dtype=torch.long, device=like.device)
        self._last, self._apart = 0, False
        self._take_weights()

    def reset(self, rows: Tensor | None = None) -> None:
        """Start the given `rows` (bool mask, shape (n_rows,)) anew; None means all."""
        if rows is None:
            self.positions.zero_()
            self._last, self._apart = 0, False
        else:
            self.positions[rows.to(self.positions.device)] = 0
            self._last = int(self.positions.max())
            self._apart = bool((self.positions != self._last).any())
        if self._last == 0 and self._fingerprint() != self._version:  # nothing of the old is left
            self._take_weights()

    @torch.no_grad()
    def step(self, chunk: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """Advance all rows by one token.

        Args:
            chunk: Shape (n_rows, H), the network's `conditioning` of each row's current chunk.
            previous: Shape (n_rows,), each row's latest token; -1 at its start.

        Returns:
            Logits (n_rows, K) and values (n_rows,).

        Raises:
            RuntimeError: If the weights changed since all rows were last reset, or a row is full.
        """
        if self._fingerprint() != self._version:
            raise RuntimeError("`step` must follow `reset` once weights change, got stale caches")
        slots = self.positions % self._model.config.tokens_per_chunk
        hidden = self.advance(chunk + self._model.embed(previous, slots))
        if not self._apart:
            logits = hidden @ self._model.to_logits[slots[0]]
        else:
            logits = torch.einsum("bh,bhk->bk", hidden, self._model.to_logits[slots])
        return logits, self._model.value(hidden)

    @torch.no_grad()
    def advance(self, x: Tensor) -> Tensor:
        """Advance all rows by one token whose inputs are x, shape (n_rows, H).

        For whoever keeps the weights as they are: unlike `step`, this does not look at them.

        Returns:
            What the heads of the network read, shape (n_rows, H).

        Raises:
            RuntimeError: If a row is full.
        """
        last = self._last
        if last >= self._max_length:
            raise RuntimeError(f"`step` must stay within {self._max_length} tokens, got {last + 1}")
        place = self._weights.place(self.positions, last=last, apart=self._apart)
        hidden = self._weights.hidden(x, self._caches, place)
        self.positions = self.positions + 1
        self._last += 1
        return hidden

    def advance_at(self, x: Tensor, position: Tensor) -> Tensor:
        """Advance all rows to one `position`, shape (1,), that only the device knows.

        For recording a step once and replaying it: shapes do not depend on the position, nothing
        is checked, and the session's own count of positions stands still.
        """
        place = self._weights.place(position.expand(len(x)), last=self._max_length - 1, apart=True)
        return self._weights.hidden(x, self._caches, place)

    def _take_weights(self) -> None:
        with torch.no_grad():
            self._weights = StepWeights(self._model, max_length=self._max_length, dtype=self._dtype)
        self._version = self._fingerprint()

    def _fingerprint(self) -> Fingerprint:
        """Return what changes with the weights.

        Torch counts in-place changes of every tensor (optimisers, `load_state_dict`); others put
        another tensor in its place (`to`, `vector_to_parameters`), which lies elsewhere.
        """
        fingerprint: Fingerprint = []
        for owner, name in self._places:
            parameter = owner[name]
            assert parameter is not None, "only those that exist are watched"
            fingerprint.append((parameter._version, parameter.data_ptr()))
        return fingerprint
