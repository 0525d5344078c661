"""One position of a `MotionTransformer` at a time: the same function, arranged for few calls.

For a handful of rows a step is bound by the number of torch calls, not by arithmetic. The weights
are therefore laid out once per weight version: transposed, queries scaled, and with the rotary
positions' swap of halves folded into the projection, so that a rotation is one product and one sum.

Shape letters: B rows, H width, A attention heads, D width of a head, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.attention import rotations
from agents.transformer import Block, MotionTransformer


@dataclass(frozen=True)
class LayerCache:
    """Keys and values of one layer, each (B, A, max_length, D)."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True)
class LayerWeights:
    """Weights of one block as a step reads them.

    Attributes:
        norm: Scale and offset before attention, each (H,).
        to_qkv: Shape (H, 5 H): queries, keys, their swapped halves, values.
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
        swapped = [_swapped_halves(part, block.n_heads) for part in (q, k)]
        return cls(
            norm=_affine(block.norm_attention, dtype),
            to_qkv=torch.cat([q, k, *swapped, v]).t().to(dtype).contiguous(),
            to_output=block.to_output.weight.detach().t().to(dtype).contiguous(),
            norm_feedforward=_affine(block.norm_feedforward, dtype),
            expand=_transposed(block.expand, dtype),
            contract=_transposed(block.contract, dtype),
        )


@dataclass(frozen=True)
class Place:
    """Where the rows of one step stand.

    Attributes:
        last: The greatest position.
        rotation: Cosine and sine of queries and keys, each (2 H,) or (B, 2 H).
        rows: Row numbers and positions, each (B,), where positions differ; else None.
        mask: Shape (B, 1, last + 1), added to scores, where positions differ; else None.
    """

    last: int
    rotation: tuple[Tensor, Tensor]
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
        cos, sin = (part.to(self.norm[0]) for part in rotations(positions, self.head_dim))
        # The swapped halves carry the sign of the rotation already: cos and sin go to both halves.
        self.rotation = tuple(part.repeat(1, 4 * self.n_heads) for part in (cos, sin))

    def place(self, positions: Tensor, *, last: int, apart: bool) -> Place:
        """Return where rows at `positions` (B,) stand, `apart` if these differ."""
        cos, sin = self.rotation
        if not apart:
            return Place(last, (cos[last], sin[last]))
        seen = torch.arange(last + 1, device=positions.device)
        mask = torch.where(seen <= positions[:, None], 0.0, -torch.inf).to(cos.dtype)
        rows = torch.arange(len(positions), device=positions.device), positions
        return Place(last, (cos[positions], sin[positions]), rows, mask[:, None])

    def hidden(self, x: Tensor, caches: list[LayerCache], place: Place) -> Tensor:
        """Return what the heads read (B, H) of a position's input x (B, H); writes to `caches`."""
        for weights, cache in zip(self.layers, caches, strict=True):
            x = self._block(x, weights, cache, place)
        return functional.layer_norm(x, x.shape[-1:], *self.norm)

    def _block(self, x: Tensor, weights: LayerWeights, cache: LayerCache, place: Place) -> Tensor:
        width = x.shape[-1:]
        mixed = self._attend(functional.layer_norm(x, width, *weights.norm), weights, cache, place)
        x = torch.addmm(x, mixed, weights.to_output)
        hidden = functional.layer_norm(x, width, *weights.norm_feedforward)
        expand, expand_bias = weights.expand
        hidden = functional.gelu(torch.addmm(expand_bias, hidden, expand))
        contract, bias = weights.contract
        return torch.addmm(x, hidden, contract).add_(bias)

    def _attend(self, x: Tensor, weights: LayerWeights, cache: LayerCache, place: Place) -> Tensor:
        """Return the mixed values (B, H) of x (B, H), and write its key and value."""
        n_rows, width = x.shape
        heads = (n_rows, self.n_heads, self.head_dim)
        projected = torch.mm(x, weights.to_qkv)  # (B, 5 H)
        cos, sin = place.rotation
        turned = projected[:, : 2 * width] * cos
        turned.addcmul_(projected[:, 2 * width : 4 * width], sin)
        key, value = turned[:, width:].view(heads), projected[:, 4 * width :].view(heads)
        if place.rows is None:
            cache.keys[:, :, place.last] = key
            cache.values[:, :, place.last] = value
        else:
            row, position = place.rows
            cache.keys[row, :, position] = key
            cache.values[row, :, position] = value
        query = turned[:, :width].reshape(-1, 1, self.head_dim)  # (B A, 1, D)
        keys, values = (
            part.flatten(0, 1)[:, : place.last + 1] for part in (cache.keys, cache.values)
        )
        scores = torch.bmm(query, keys.transpose(1, 2))  # (B A, 1, last + 1)
        if place.mask is not None:
            scores = scores.view(n_rows, self.n_heads, -1).add_(place.mask).view(scores.shape)
        return torch.bmm(scores.softmax(-1), values).view(n_rows, width)


def _swapped_halves(weight: Tensor, n_heads: int) -> Tensor:
    """Return rows that project to what sine multiplies: minus second half, first half, per head."""
    first, second = weight.view(n_heads, 2, -1, weight.shape[1]).unbind(1)  # each (A, D / 2, H)
    return torch.stack([-second, first], dim=1).reshape(weight.shape)


def _affine(norm: torch.nn.LayerNorm, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return norm.weight.detach().to(dtype), norm.bias.detach().to(dtype)


def _transposed(layer: torch.nn.Linear, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return layer.weight.detach().t().to(dtype).contiguous(), layer.bias.detach().to(dtype)
