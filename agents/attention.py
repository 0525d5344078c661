"""Causal self-attention over rotary positions, and its fast form for training on a CPU.

Shape letters: B batch, L tokens, A attention heads, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

ROTARY_BASE = 10_000.0
# Queries that are scored together. A block sees no key behind its last query, so smaller blocks
# leave out more of the square of which causality needs half; below 64 calls cost more than that.
BLOCK = 64

Rotation = tuple[Tensor, Tensor]


def rotations(positions: Tensor, head_dim: int) -> Rotation:
    """Return cosine and sine of rotary positions (Su et al. 2021), (*positions, head_dim / 2)."""
    frequency = ROTARY_BASE ** (-torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    angle = positions[..., None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate the halves of x (..., L, D); positions extrapolate past training."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def causal_attention(qkv: Tensor, rotation: Rotation, *, dropout: float = 0.0) -> Tensor:
    """Return what every token gathers from itself and those before it.

    Args:
        qkv: Shape (B, L, 3, A, D), queries, keys and values before rotation.
        rotation: Of positions 0 to L - 1, each (L, D / 2).
        dropout: Share of attention weights that are dropped.

    Returns:
        Shape (B, L, A * D).
    """
    plain = qkv.device.type == "cpu" and qkv.dtype in (torch.float32, torch.float64)
    if plain and dropout == 0 and not torch.compiler.is_compiling():
        mixed: Tensor = _BlockwiseAttention.apply(qkv, *rotation)
        return mixed
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, A, L, D)
    q, k = rotate(q, rotation).to(v.dtype), rotate(k, rotation).to(v.dtype)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(2)


class _BlockwiseAttention(torch.autograd.Function):
    """The same in plain matrix products, block of queries by block, with its own gradient.

    At the sizes of this project torch's fused kernel takes 1.5 times as long on a CPU: it is made
    for long sequences and wide heads, and autograd adds a copy for every view of `qkv`.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return mixed values, shape (B, L, A * D)."""
        batch, length, _, n_heads, head_dim = qkv.shape
        rows = (batch * n_heads, length, head_dim)
        turned = _turn(qkv[:, :, :2].permute(2, 0, 3, 1, 4), cos.to(qkv.dtype), sin.to(qkv.dtype))
        turned[0] *= head_dim**-0.5
        q, k = turned.view(2, *rows)
        v = qkv[:, :, 2].transpose(1, 2).reshape(rows)
        mixed = qkv.new_empty(batch, length, n_heads, head_dim)
        by_head = mixed.transpose(1, 2)  # (B, A, L, D)
        ahead = torch.full((BLOCK, BLOCK), -torch.inf, dtype=qkv.dtype).triu(1)
        weights = []
        for begin, end in _blocks(length):
            scores = torch.bmm(q[:, begin:end], k[:, :end].transpose(1, 2))
            scores[:, :, begin:] += ahead[: end - begin, : end - begin]
            weights.append(scores.softmax(-1))
            block = torch.bmm(weights[-1], v[:, :end])
            by_head[:, :, begin:end] = block.view(batch, n_heads, -1, head_dim)
        ctx.save_for_backward(q, k, v, cos, sin, *weights)
        ctx.shape = qkv.shape
        return mixed.flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of `qkv`."""
        q, k, v, cos, sin, *weights = ctx.saved_tensors
        batch, length, _, n_heads, head_dim = ctx.shape
        by_head = outputs[0].view(batch, length, n_heads, head_dim).transpose(1, 2)
        upstream = by_head.reshape(q.shape)
        to_qkv = q.new_zeros(3, *q.shape)
        to_q, to_k, to_v = to_qkv
        for (begin, end), weight in zip(_blocks(length), weights, strict=True):
            block = upstream[:, begin:end]
            to_v[:, :end] += torch.bmm(weight.transpose(1, 2), block)
            to_weight = torch.bmm(block, v[:, :end].transpose(1, 2))
            to_score = torch._softmax_backward_data(to_weight, weight, -1, weight.dtype)
            to_q[:, begin:end] = torch.bmm(to_score, k[:, :end])
            to_k[:, :end] += torch.bmm(to_score.transpose(1, 2), q[:, begin:end])
        to_q *= head_dim**-0.5
        gradient = q.new_empty(ctx.shape)
        parts = gradient.permute(2, 0, 3, 1, 4)  # (3, B, A, L, D)
        to_parts = to_qkv.view(3, batch, n_heads, length, head_dim)
        _turn(to_parts[:2], cos.to(q.dtype), -sin.to(q.dtype), out=parts[:2])  # a rotation back
        parts[2] = to_parts[2]
        return gradient, None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Do as `rotate`, in as few passes over memory as torch allows; no gradient."""
    out = torch.empty(x.shape, dtype=x.dtype) if out is None else out
    (first, second), (to_first, to_second) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    torch.mul(first, cos, out=to_first)
    to_first.addcmul_(second, sin, value=-1)
    torch.mul(first, sin, out=to_second)
    to_second.addcmul_(second, cos)
    return out


def _blocks(length: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + BLOCK, length)) for begin in range(0, length, BLOCK)]
