"""CodeTalker's discrete motion prior: a VQ-VAE of face curves, several tokens a frame.

A file of its own, because it is trained by itself, hears nothing, and stays as it is afterwards.

Shape letters: B batch, T frames, N tokens of a frame, C dimensions of a token, H width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.baselines.rivals.layers import AudioBlock, attention_bias, periodic_code

N_TOKENS, TOKEN_DIM, N_CODES = 8, 32, 256
COMMITMENT = 0.25
_BLOCKS = 2


class Snapped(NamedTuple):
    """Latents at codes of the codebook.

    Attributes:
        latents: Shape (B, T, N * C), entries of the codebook; their gradient goes straight through
            to what was snapped.
        codes: Shape (B, T, N), their numbers.
        loss: Scalar, how far what was snapped lies from them.
    """

    latents: Tensor
    codes: Tensor
    loss: Tensor


class Temporal(nn.Module):
    """Inputs to outputs over time: a convolution of five frames, then transformer blocks."""

    def __init__(self, n_inputs: int, n_outputs: int, width: int) -> None:
        """Build the layers; no dropout: what is frozen later must be one and the same then."""
        super().__init__()
        self.begin = nn.Linear(n_inputs, width)
        self.along = nn.Conv1d(width, width, 5, padding=2)
        self.norm_along, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(AudioBlock(width, dropout=0.0) for _ in range(_BLOCKS))
        self.end = nn.Linear(width, n_outputs)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """Return (B, T, n_outputs) from x (B, T, n_inputs); `inside` (B, T) is False in padding."""
        frames = inside[..., None]
        x = self.begin(x) * frames
        x = functional.leaky_relu(self.along(x.transpose(1, 2)).transpose(1, 2), 0.2)
        x = self.norm_along(x) + periodic_code(x.shape[1], x.shape[2])
        bias = attention_bias(inside)
        for block in self.blocks:
            x = block(x, bias)
        out: Tensor = self.end(self.norm(x))
        return out


class MotionCodes(nn.Module):
    """Curves to codes and back, at the rate of the curves."""

    def __init__(self, n_curves: int, width: int) -> None:
        """Build encoder, codebook and decoder."""
        super().__init__()
        self.encoder = Temporal(n_curves, N_TOKENS * TOKEN_DIM, width)
        self.decoder = Temporal(N_TOKENS * TOKEN_DIM, n_curves, width)
        # As wide as untrained latents: around 0 alone, most entries are never the nearest.
        self.codebook = nn.Parameter(0.5 * torch.randn(N_CODES, TOKEN_DIM))

    def encode(self, motion: Tensor, inside: Tensor) -> Tensor:
        """Return latents (B, T, N * C), not snapped, of curves (B, T, 52) without mean pose."""
        latents: Tensor = self.encoder(motion, inside)
        return latents

    def decode(self, latents: Tensor, inside: Tensor) -> Tensor:
        """Return curves (B, T, 52) without mean pose of snapped latents (B, T, N * C)."""
        motion: Tensor = self.decoder(latents, inside)
        return motion

    def snap(self, latents: Tensor, inside: Tensor) -> Snapped:
        """Return the nearest codes of latents (B, T, N * C), and the loss where `inside` (B, T)."""
        tokens = latents.reshape(*latents.shape[:-1], N_TOKENS, TOKEN_DIM)
        codes = self.nearest(latents)
        entries = self.entries(codes)
        apart = (entries - tokens.detach()).square() + COMMITMENT * (
            entries.detach() - tokens
        ).square()
        through = tokens + (entries - tokens).detach()
        return Snapped(through.flatten(2), codes, apart[inside].mean())

    def nearest(self, latents: Tensor) -> Tensor:
        """Return the numbers (B, T, N) of the codes nearest to latents (B, T, N * C)."""
        tokens = latents.detach().reshape(*latents.shape[:-1], N_TOKENS, TOKEN_DIM)
        book = self.codebook.detach()
        codes: Tensor = (book.square().sum(-1) - 2 * tokens @ book.T).argmin(-1)
        return codes

    def entries(self, codes: Tensor) -> Tensor:
        """Return the entries (B, T, N, C) of the codebook that are numbered `codes` (B, T, N)."""
        return self.codebook[codes]
