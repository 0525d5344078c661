"""Single-step forward pass with a KV cache, its weights fused to need few kernel launches.

For a handful of rows a step is bound by the number of torch calls, not by arithmetic. The weights
are therefore laid out once per weight version: transposed, queries scaled, and the halves of
queries and keys interleaved, so that a rotary position is one product of complex numbers. Both are
reordered alike, which leaves their dot products as they are.

Shape letters: B rows, H width, A attention heads, D width of a head, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.network.transformer import Block, MotionTransformer, rotations


@dataclass(frozen=True)
class LayerCache:
    """Keys and values of one layer, in one piece of memory.

    Attributes:
        both: Shape (2, B, A, max_length, D), keys before values.
        keys: Shape (B A, max_length, D), a view, and so are `values`.
        values: Shape (B A, max_length, D).
    """

    both: Tensor
    keys: Tensor
    values: Tensor

    @classmethod
    def like(cls, tensor: Tensor, shape: tuple[int, int, int, int]) -> LayerCache:
        """Return an empty cache for `shape` (B, A, max_length, D) of the kind of `tensor`."""
        both = tensor.new_zeros(2, *shape)
        return cls(both, *both.flatten(1, 2))


@dataclass(frozen=True)
class LayerWeights:
    """Weights of one block as a step reads them.

    Attributes:
        norm: Scale and offset before attention, each (H,).
        to_qkv: Shape (H, 3 H): queries and keys, their halves interleaved, and values.
        to_output: Shape (H, H).
        norm_feedforward: Scale and offset before the feed-forward, each (H,).
        expand: Weight (H, 4 H) and bias (4 H,).
        contract: Weight (4 H, H) and bias (H,).
    """

    norm: tuple[Tensor, Tensor]
    to_qkv: Tensor
    to_output: Tensor
    norm_feedforward: tuple[Tensor, Tensor]
    expand: tuple[Tensor, Tensor]
    contract: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, block: Block, dtype: torch.dtype) -> LayerWeights:
        """Lay out the weights of `block`."""
        width = block.to_qkv.in_features
        head_dim = width // block.n_heads
        q, k, v = block.to_qkv.weight.detach().chunk(3)  # each (H, H), rows are outputs
        q = q * head_dim**-0.5
        q, k = (_interleaved(part, block.n_heads) for part in (q, k))
        return cls(
            norm=_affine(block.norm_attention, dtype),
            to_qkv=torch.cat([q, k, v]).t().to(dtype).contiguous(),
            to_output=block.to_output.weight.detach().t().to(dtype).contiguous(),
            norm_feedforward=_affine(block.norm_feedforward, dtype),
            expand=_transposed(block.expand, dtype),
            contract=_transposed(block.contract, dtype),
        )


@dataclass(frozen=True)
class StepPosition:
    """Where the rows of one step stand.

    Attributes:
        last: The greatest position.
        rotation: Complex, of queries and keys, shape (H,) or (B, H): two numbers make one.
        rows: Row numbers and positions, each (B,), where positions differ; else None.
        mask: Shape (B, 1, last + 1), added to scores, where positions differ; else None.
    """

    last: int
    rotation: Tensor
    rows: tuple[Tensor, Tensor] | None = None
    mask: Tensor | None = None


class StepWeights:
    """A network's weights, laid out for stepping."""

    def __init__(self, model: MotionTransformer, *, max_length: int, dtype: torch.dtype) -> None:
        """Lay out the weights of `model` as they are now, for up to `max_length` positions."""
        self.n_heads, self.head_dim = model.config.n_heads, model.head_dim
        blocks = [block for block in model.blocks if isinstance(block, Block)]
        self.layers = [LayerWeights.of(block, dtype) for block in blocks]
        self.norm = _affine(model.norm, dtype)
        positions = torch.arange(max_length, device=self.norm[0].device)
        # Half precision has no complex numbers: it is rotated in single precision.
        self._exact = torch.promote_types(dtype, torch.float32)
        parts = (part.to(self._exact) for part in rotations(positions, self.head_dim))
        self.rotation = torch.complex(*parts).repeat(1, 2 * self.n_heads)  # (max_length, H)

    def place(self, positions: Tensor, *, last: int, apart: bool) -> StepPosition:
        """Return where rows at `positions` (B,) stand, `apart` if these differ."""
        if not apart:
            return StepPosition(last, self.rotation[last])
        seen = torch.arange(last + 1, device=positions.device)
        mask = torch.where(seen <= positions[:, None], 0.0, -torch.inf).to(self.norm[0].dtype)
        rows = torch.arange(len(positions), device=positions.device), positions
        return StepPosition(last, self.rotation[positions], rows, mask[:, None])

    def hidden(self, x: Tensor, caches: list[LayerCache], place: StepPosition) -> Tensor:
        """Return what the heads read (B, H) of a position's input x (B, H); writes to `caches`."""
        for weights, cache in zip(self.layers, caches, strict=True):
            x = self._block(x, weights, cache, place)
        return functional.layer_norm(x, x.shape[-1:], *self.norm)

    def _block(
        self, x: Tensor, weights: LayerWeights, cache: LayerCache, place: StepPosition
    ) -> Tensor:
        width = x.shape[-1:]
        mixed = self._attend(functional.layer_norm(x, width, *weights.norm), weights, cache, place)
        x = torch.addmm(x, mixed, weights.to_output)
        hidden = functional.layer_norm(x, width, *weights.norm_feedforward)
        expand, expand_bias = weights.expand
        hidden = functional.gelu(torch.addmm(expand_bias, hidden, expand))
        contract, bias = weights.contract
        return torch.addmm(x, hidden, contract).add_(bias)

    def _attend(
        self, x: Tensor, weights: LayerWeights, cache: LayerCache, place: StepPosition
    ) -> Tensor:
        """Return the mixed values (B, H) of x (B, H), and write its key and value."""
        n_rows, width = x.shape
        projected = torch.mm(x, weights.to_qkv)  # (B, 3 H)
        self._rotate(projected[:, : 2 * width], place.rotation)
        written = projected[:, width:].view(n_rows, 2, self.n_heads, self.head_dim)
        if place.rows is None:
            cache.both[:, :, :, place.last] = written.transpose(0, 1)
        else:
            row, position = place.rows
            cache.both[:, row, :, position] = written
        query = projected[:, :width].reshape(-1, 1, self.head_dim)  # (B A, 1, D)
        keys, values = cache.keys[:, : place.last + 1], cache.values[:, : place.last + 1]
        scores = torch.bmm(query, keys.transpose(1, 2))  # (B A, 1, last + 1)
        if place.mask is not None:
            scores = scores.view(n_rows, self.n_heads, -1).add_(place.mask).view(scores.shape)
        return torch.bmm(scores.softmax(-1), values).view(n_rows, width)

    def _rotate(self, part: Tensor, rotation: Tensor) -> None:
        """Rotate queries and keys (B, 2 H) in place."""
        exact = part.to(self._exact)
        torch.view_as_complex(torch.unflatten(exact, 1, (-1, 2))).mul_(rotation)
        if exact is not part:
            part.copy_(exact)


def _interleaved(weight: Tensor, n_heads: int) -> Tensor:
    """Return the rows of weight (H, H) with first and second halves of each head in turn."""
    halves = weight.view(n_heads, 2, -1, weight.shape[1])  # (A, 2, D / 2, H)
    return halves.transpose(1, 2).reshape(weight.shape)


def _affine(norm: torch.nn.LayerNorm, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return norm.weight.detach().to(dtype), norm.bias.detach().to(dtype)


def _transposed(layer: torch.nn.Linear, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return layer.weight.detach().t().to(dtype).contiguous(), layer.bias.detach().to(dtype)


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

    def reorder(self, rows: Tensor) -> None:
        """Let row `i` go on from what row `rows[i]` has behind it, shape (n_rows,)."""
        for cache in self._caches:
            cache.both[:, :, :, : self._last] = cache.both[:, rows, :, : self._last]
        self.positions = self.positions[rows]

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
