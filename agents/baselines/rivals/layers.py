"""Layers that several rivals are made of: the audio stack, and biased causal attention.

The audio stack stands in place of a pretrained wav2vec 2.0: convolutions and transformer blocks
over the whole utterance, at 15 steps a second, trained from nothing as our speech encoder is.

Shape letters: B batch, T frames at 30 fps, H width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

N_HEADS = 4
PERIOD = 30  # frames: a second, as FaceFormer and EmoTalk have it at 30 fps
_STRIDE = 2
_FAR = -1e9  # a score that softmax makes zero, and that stays finite where a whole row has it


class AudioStack(nn.Module):
    """Audio features (B, T, D) to one token (B, T, H) for each frame."""

    def __init__(self, feature_dim: int, width: int, *, n_layers: int) -> None:
        """Build an untrained stack of `n_layers` transformer blocks."""
        super().__init__()
        self.norm_input = nn.LayerNorm(feature_dim)
        self.hear_frames = nn.Conv1d(feature_dim, width, 5, padding=2)
        self.hear_steps = nn.Conv1d(width, width, 6, stride=_STRIDE, padding=2)
        self.place = nn.Conv1d(width, width, 15, groups=width, padding=7)
        self.blocks = nn.ModuleList(AudioBlock(width) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)
        self.to_frames = nn.ConvTranspose1d(width, width, _STRIDE, stride=_STRIDE)

    def forward(self, features: Tensor, inside: Tensor) -> Tensor:
        """Return tokens (B, T, H) of features (B, T, D); `inside` (B, T) is False in padding."""
        odd = -features.shape[1] % _STRIDE
        frames = functional.pad(inside, (0, odd))
        steps = frames[:, ::_STRIDE]
        x = self.norm_input(functional.pad(features, (0, 0, 0, odd))) * frames[..., None]
        x = functional.gelu(self.hear_frames(x.transpose(1, 2))) * frames[:, None]
        x = functional.gelu(self.hear_steps(x)) * steps[:, None]
        x = x + self.place(x) * steps[:, None]
        x = x.transpose(1, 2)
        bias = attention_bias(steps)
        for block in self.blocks:
            x = block(x, bias)
        x = self.norm(x) * steps[..., None]
        tokens: Tensor = self.to_frames(x.transpose(1, 2)).transpose(1, 2)
        return tokens[:, : features.shape[1]]


class AudioBlock(nn.Module):
    """Pre-norm attention over all steps and feed-forward, with residual connections."""

    def __init__(self, width: int, dropout: float = 0.1) -> None:
        """Build the two sub-layers."""
        super().__init__()
        self.norm_attention, self.norm_feedforward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Return (B, S, H) from x (B, S, H) and what is added to scores."""
        x = x + self.dropout(self.attention(self.norm_attention(x), bias))
        hidden = functional.gelu(self.expand(self.norm_feedforward(x)))
        further: Tensor = self.dropout(self.contract(hidden))
        return x + further


class SelfAttention(nn.Module):
    """Attention of `N_HEADS` heads, which can go on frame by frame from keys that it kept."""

    def __init__(self, width: int) -> None:
        """Build the projections."""
        super().__init__()
        self.to_qkv, self.to_output = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor, past: list[Tensor] | None = None) -> Tensor:
        """Return (B, T, H) from x (B, T, H).

        Args:
            x: What attends, and is attended to after what is in `past`.
            bias: Is added to the scores, (B or 1, N_HEADS or 1, T or 1, all keys).
            past: Keys and values of earlier frames, (B, N_HEADS, t, H / N_HEADS) each, empty at
                first; those of `x` are put behind them.
        """
        batch, length, width = x.shape
        qkv = self.to_qkv(x).view(batch, length, 3, N_HEADS, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv
        if past is not None:
            if past:
                k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
            past[:] = [k, v]
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.to_output(mixed.transpose(1, 2).reshape(batch, length, width))
        return out


class AlignedDecoderLayer(nn.Module):
    """Decoder layer of FaceFormer and EmoTalk: biased causal attention, then an aligned memory.

    The alignment mask lets frame t see one token of the memory, its own. The softmax over one score
    is 1, so that attention to it is the projection of that token, and is computed as that.
    """

    def __init__(self, width: int, *, hidden: int, dropout: float = 0.1) -> None:
        """Build the three sub-layers, post-norm with ReLU as published."""
        super().__init__()
        self.attention = SelfAttention(width)
        self.memory_value, self.memory_output = nn.Linear(width, width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, memory: Tensor, bias: Tensor, past: list[Tensor] | None = None
    ) -> Tensor:
        """Return (B, T, H) from x and memory (B, T, H) each; `bias` and `past` as of attention."""
        x = self.norms[0](x + self.dropout(self.attention(x, bias, past)))
        aligned = self.memory_output(self.memory_value(memory))
        x = self.norms[1](x + self.dropout(aligned))
        further = self.contract(self.dropout(functional.relu(self.expand(x))))
        out: Tensor = self.norms[2](x + self.dropout(further))
        return out


def attention_bias(inside: Tensor) -> Tensor:
    """Return what is added to scores, (B, 1, 1, S), so that none but `inside` (B, S) counts."""
    return torch.zeros(inside.shape).masked_fill(~inside, _FAR)[:, None, None]


def biased_causal_mask(n_frames: int) -> Tensor:
    """Return what is added to scores of frame i for frame j, (1, N_HEADS, T, T).

    -slope · floor((i - j) / PERIOD) in the past, with a slope of 1/4, 1/16, 1/64, 1/256 a head
    (ALiBi by periods; FaceFormer, Eq. 5), and nothing of the future.
    """
    back = torch.arange(n_frames)[:, None] - torch.arange(n_frames)
    slopes = torch.tensor([2.0 ** (-8 * (head + 1) / N_HEADS) for head in range(N_HEADS)])
    bias = -slopes[:, None, None] * torch.div(back, PERIOD, rounding_mode="floor")
    return bias.masked_fill(back < 0, _FAR)[None]


def periodic_code(n_frames: int, width: int) -> Tensor:
    """Return sines and cosines (T, H) of each frame's place in its period (FaceFormer, Eq. 4)."""
    place = (torch.arange(n_frames) % PERIOD)[:, None].float()
    rates = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10_000.0) / width))
    return torch.stack([(place * rates).sin(), (place * rates).cos()], dim=-1).flatten(1)[:, :width]
