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

ROTARY_BASE = 10_000.0


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


@dataclass
class LayerCache:
    """Keys and values of one layer, each (B, heads, max_length, head_dim)."""

    keys: Tensor
    values: Tensor


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

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """Attend causally over whole sequences x (B, L, H)."""
        q, k, v = self._project(x, rotation)
        drop = self.dropout.p if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=drop)
        return self._finish(x, mixed)

    def step(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: LayerCache, rows: CachePlace
    ) -> Tensor:
        """Attend from one new position x (B, 1, H) over the cache, and write it there."""
        q, k, v = self._project(x, rotation)
        if rows.mask is None:  # every row stands at one position: plain slices
            cache.keys[:, :, rows.last] = k[:, :, 0]
            cache.values[:, :, rows.last] = v[:, :, 0]
        else:
            number = torch.arange(len(x))
            cache.keys[number, :, rows.positions] = k[:, :, 0]
            cache.values[number, :, rows.positions] = v[:, :, 0]
        seen = slice(0, rows.last + 1)
        mixed = functional.scaled_dot_product_attention(
            q, cache.keys[:, :, seen], cache.values[:, :, seen], attn_mask=rows.mask
        )
        return self._finish(x, mixed)

    def _project(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, width = x.shape
        qkv = self.to_qkv(self.norm_attention(x))
        qkv = qkv.view(batch, length, 3, self.n_heads, width // self.n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, L, head_dim)
        return rotate(q, rotation), rotate(k, rotation), v

    def _finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        merged = mixed.transpose(1, 2).reshape(x.shape)
        x = x + self.dropout(self.to_output(merged))
        hidden = functional.gelu(self.expand(self.norm_feedforward(x)))
        return x + self.dropout(self.contract(hidden))


@dataclass
class CachePlace:
    """Where one step writes in the cache, and what it may see.

    Attributes:
        positions: Shape (B,), each row's own position.
        last: The greatest of them.
        mask: Shape (B, 1, 1, last + 1), True where a row may look; None when all rows agree.
    """

    positions: Tensor
    last: int
    mask: Tensor | None


def rotations(positions: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of rotary positions (Su et al. 2021), (*positions, head_dim / 2)."""
    frequency = ROTARY_BASE ** (-torch.arange(0, head_dim, 2) / head_dim)
    angle = positions[..., None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the halves of x (B, heads, L, head_dim); positions extrapolate past training."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


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
        slots = torch.arange(tokens.shape[1]) % self.config.tokens_per_chunk
        previous = functional.pad(tokens[:, :-1], (1, 0), value=-1)
        chunks = self.conditioning(windows, condition)
        x = chunks.repeat_interleave(self.config.tokens_per_chunk, dim=1)  # (B, L, H)
        x = x + self._embed(previous, slots)
        rotation = rotations(torch.arange(tokens.shape[1]), self.head_dim)
        for block in self.blocks:
            x = block(x, rotation)
        return self._heads(x, slots)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.config.width // self.config.n_heads

    def step(
        self, chunk: Tensor, previous: Tensor, caches: list[LayerCache], place: CachePlace
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B, K) and values (B,) of one new position; see `PolicySession`.

        Args:
            chunk: Shape (B, H), `conditioning` of the current chunk.
            previous: Shape (B,), the token before; -1 at the start.
            caches: One per layer, written to.
            place: Positions of the rows.
        """
        slots = place.positions % self.config.tokens_per_chunk
        x = (chunk + self._embed(previous, slots))[:, None]  # (B, 1, H)
        cos, sin = rotations(place.positions, self.head_dim)
        rotation = (cos[:, None, None], sin[:, None, None])
        for block, cache in zip(self.blocks, caches, strict=True):
            assert isinstance(block, Block), "only these are put in"
            x = block.step(x, rotation, cache, place)
        hidden = self.norm(x[:, 0])
        if place.mask is None:
            logits = hidden @ self.to_logits[slots[0]]
        else:
            logits = torch.einsum("bh,bhk->bk", hidden, self.to_logits[slots])
        return logits, self._value(hidden)

    def _embed(self, previous: Tensor, slots: Tensor) -> Tensor:
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
        return logits.reshape(batch, length, -1), self._value(hidden)

    def _value(self, hidden: Tensor) -> Tensor:
        # Detached: at the start the value loss is large, and through a shared trunk it would tear
        # the cloned policy apart long before the reward could improve it.
        value: Tensor = self.to_value(hidden.detach())[..., 0]
        return value


def _encoder(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(n_inputs), nn.Linear(n_inputs, 2 * n_outputs), nn.GELU(),
        nn.Linear(2 * n_outputs, n_outputs),
    )  # fmt: skip
