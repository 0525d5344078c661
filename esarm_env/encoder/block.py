"""Transformer block of the speech encoder; a streaming encoder runs its layers with a KV cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from esarm_env.encoder.shape import EncoderShape


class EncoderBlock(nn.Module):
    """Pre-norm attention over all steps and feed-forward, with residual connections."""

    def __init__(self, shape: EncoderShape) -> None:
        """Build the two sub-layers."""
        super().__init__()
        width = shape.width
        self.n_heads = shape.n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_output = nn.Linear(width, width, bias=False)
        self.norm_feedforward = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Return (B, S, H) from x (B, S, H) and what is added to scores, (B, 1, 1 or S, S)."""
        batch, length, width = x.shape
        qkv = self.to_qkv(self.norm_attention(x))
        q, k, v = qkv.view(batch, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.dropout(self.to_output(mixed.transpose(1, 2).reshape(batch, length, width)))
        hidden = functional.gelu(self.expand(self.norm_feedforward(x)))
        further: Tensor = self.dropout(self.contract(hidden))
        return x + further
