"""The policy network: a plain pre-norm causal transformer over motion tokens.

Per step it reads `[S(c) | content | emotion]` of the current chunk (S linear, as in the paper), the
previous token, and the slot within the chunk; it returns the next token's logits and a value.

Shape letters: B batch, C chunks, L tokens, H width, K tokens to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.attention import Rotation, causal_attention, rotations


@dataclass(frozen=True)
class PolicyConfig:
    """Sizes of a policy network.

    Attributes:
        n_tokens: Tokens to choose from.
        tokens_per_chunk: Tokens per chunk of frames; each slot has its own codebook.
        window_dim: Width of an audio window.
        condition_dim: Width of a condition.
        n_layers: Transformer blocks.
        n_heads: Attention heads per block.
        width: Width of the residual stream, a multiple of `2 * n_heads`.
        content_dim: Width of the content stream.
        emotion_dim: Width of the emotion stream.
        style_dim: Width of the style vector S(c).
        dropout: While cloning; reinforcement learning always runs without.
    """

    n_tokens: int
    tokens_per_chunk: int
    window_dim: int
    condition_dim: int
    n_layers: int = 3
    n_heads: int = 4
    width: int = 128
    content_dim: int = 96
    emotion_dim: int = 32
    style_dim: int = 32
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Check that heads divide the width into even parts (rotary positions pair them)."""
        if self.width % (2 * self.n_heads):
            raise ValueError(
                f"`width` must be a multiple of {2 * self.n_heads} (2 * n_heads), got {self.width}"
            )


class Block(nn.Module):
    """Pre-norm attention and feed-forward with residual connections."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        """Build the two sub-layers."""
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_output = nn.Linear(width, width, bias=False)
        self.norm_feedforward = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        """Attend causally over whole sequences x (B, L, H)."""
        batch, length, width = x.shape
        qkv = self.to_qkv(self.norm_attention(x))
        qkv = qkv.view(batch, length, 3, self.n_heads, width // self.n_heads)
        dropout = self.dropout.p if self.training else 0.0
        mixed = causal_attention(qkv, rotation, dropout=dropout)
        x = x + self.dropout(self.to_output(mixed))
        hidden = functional.gelu(self.expand(self.norm_feedforward(x)))
        return x + self.dropout(self.contract(hidden))


class MotionTransformer(nn.Module):
    """Logits and values of motion tokens given audio and condition."""

    def __init__(self, config: PolicyConfig) -> None:
        """Build the network; the value head starts at zero, so first baselines are neutral."""
        super().__init__()
        self.config = config
        width = config.width
        self.content = _encoder(config.window_dim, config.content_dim)
        self.emotion = _encoder(config.window_dim, config.emotion_dim)
        self.style = nn.Linear(config.condition_dim, config.style_dim, bias=False)  # S(c)
        self.mix = nn.Linear(config.style_dim + config.content_dim + config.emotion_dim, width)
        # One row per (slot, token), and a last one for "nothing written yet".
        self.to_token_input = nn.Embedding(config.tokens_per_chunk * config.n_tokens + 1, width)
        self.to_slot_input = nn.Embedding(config.tokens_per_chunk, width)
        self.blocks = nn.ModuleList(
            Block(width, config.n_heads, config.dropout) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.to_logits = nn.Parameter(
            torch.randn(config.tokens_per_chunk, width, config.n_tokens) * 0.02
        )
        self.to_value = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        nn.init.normal_(self.to_token_input.weight, std=0.02)
        nn.init.normal_(self.to_slot_input.weight, std=0.02)
        for parameter in self.to_value[2].parameters():
            nn.init.zeros_(parameter)

    def conditioning(self, windows: Tensor, condition: Tensor) -> Tensor:
        """Return each chunk's input (B, C, H) from windows (B, C, W) and condition (B, D)."""
        style = self.style(condition)[:, None].expand(-1, windows.shape[1], -1)
        streams = torch.cat([style, self.content(windows), self.emotion(windows)], dim=-1)
        return self.mix(streams)

    def forward(self, windows: Tensor, condition: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, L, K) and values (B, L) of whole sequences in one pass.

        Args:
            windows: Shape (B, C, window_dim), L = C * tokens_per_chunk.
            condition: Shape (B, condition_dim).
            tokens: Shape (B, L); entry t is predicted from those before it; -1 pads.
        """
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        slots = positions % self.config.tokens_per_chunk
        previous = functional.pad(tokens[:, :-1], (1, 0), value=-1)
        chunks = self.conditioning(windows, condition)
        x = chunks.repeat_interleave(self.config.tokens_per_chunk, dim=1)  # (B, L, H)
        x = x + self.embed(previous, slots)
        rotation = rotations(positions, self.head_dim)
        for block in self.blocks:
            x = block(x, rotation)
        return self._heads(x, slots)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.config.width // self.config.n_heads

    def embed(self, previous: Tensor, slots: Tensor) -> Tensor:
        """Return the input (..., H) of a position from the token before it and its own slot.

        Args:
            previous: Shape (...), -1 where nothing was written yet.
            slots: Shape (...) or what broadcasts to it.
        """
        n_slots = self.config.tokens_per_chunk
        row = (slots - 1) % n_slots * self.config.n_tokens + previous
        start = n_slots * self.config.n_tokens
        token: Tensor = self.to_token_input(torch.where(previous < 0, start, row))
        return token + self.to_slot_input(slots)

    def _heads(self, x: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.norm(x)
        batch, length, width = hidden.shape
        by_slot = hidden.view(batch, -1, self.config.tokens_per_chunk, width)
        logits = torch.einsum("bcsh,shk->bcsk", by_slot, self.to_logits)
        return logits.reshape(batch, length, -1), self.value(hidden)

    def value(self, hidden: Tensor) -> Tensor:
        """Return values (...) of hidden states (..., H) behind the last norm."""
        # Detached: at the start the value loss is large, and through a shared trunk it would tear
        # the cloned policy apart long before the reward could improve it.
        value: Tensor = self.to_value(hidden.detach())[..., 0]
        return value


def _encoder(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(n_inputs), nn.Linear(n_inputs, 2 * n_outputs), nn.GELU(),
        nn.Linear(2 * n_outputs, n_outputs),
    )  # fmt: skip
