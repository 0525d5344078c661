"""Autoencoder of one part of the face: convolutions around a residual quantiser.

With a linear path the latent numbers begin as principal components in millimetres: an error of the
quantiser counts there as much as it moves the face, and training starts from a good linear codec.

Shape letters: B batch, T frames, C chunks, D channels, H hidden width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.tokenizer.quantisers import (
    fewer_codebooks,
    look_up,
    make_quantiser,
    mix,
    nearest_codes,
    quantise,
)

if TYPE_CHECKING:
    from esarm_env.core.training.replicas import Part
    from esarm_env.tokenizer.shape import TokenizerShape

_DILATIONS = (1, 3)  # of blocks, in turn


class SameConv(nn.Conv1d):
    """Convolution that keeps the length; a causal one sees nothing that comes later."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, *, dilation: int = 1, causal: bool = False
    ) -> None:
        """Build it for an odd `kernel`."""
        super().__init__(n_in, n_out, kernel, dilation=dilation)
        width = dilation * (kernel - 1)
        self.look_ahead = 0 if causal else width // 2  # steps
        self.look_back = width - self.look_ahead

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x (B, H, steps), with zeros beyond both ends."""
        return super().forward(functional.pad(x, (self.look_back, self.look_ahead)))


class ResidualBlock(nn.Module):
    """Residual block: a dilated convolution and a linear map, added to what comes in."""

    def __init__(self, hidden: int, *, dilation: int, causal: bool) -> None:
        """Build it for `hidden` channels."""
        super().__init__()
        self.spread = SameConv(hidden, hidden, 3, dilation=dilation, causal=causal)
        self.mix = nn.Conv1d(hidden, hidden, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return x (B, H, T) with what the block adds, 0 where the `mask` (B, 1, T) is."""
        added: Tensor = self.mix(functional.gelu(self.spread(functional.gelu(x))))
        return x + added * mask


class VQStream(nn.Module):
    """Residual-VQ autoencoder of one part of the face.

    It maps motion (B, T, D) to codes (B, C, n_codebooks) and back, T = C * frames_per_chunk. The
    decoder sees neighbouring chunks, which joins chunks smoothly. Frames past a sequence's end are
    zeroed after every layer, so that padding never changes the rest.
    """

    def __init__(
        self, n_channels: int, *, n_codebooks: int, shape: TokenizerShape, stored: bool = False
    ) -> None:
        """Build encoder, quantiser and decoder; `stored` as of `make_quantiser`."""
        super().__init__()
        self.frames_per_chunk = shape.frames_per_chunk
        hidden, step, causal = shape.hidden, shape.frames_per_chunk, shape.causal
        self.encode_frames = SameConv(n_channels, hidden, 5)
        self.encode_blocks = _blocks(shape, causal=False)
        self.encode_chunks = nn.Conv1d(hidden, hidden, step, stride=step)
        self.to_code = nn.Conv1d(hidden, shape.code_dim, 1)
        self.quantiser = make_quantiser(
            code_dim=shape.code_dim,
            n_codes=shape.n_tokens,
            n_codebooks=n_codebooks,
            levels=shape.levels,
            stored=stored,
        )
        self.from_code = SameConv(shape.code_dim, hidden, 3, causal=causal)
        self.decode_chunks = nn.ConvTranspose1d(hidden, hidden, step, stride=step)
        self.decode_frames = SameConv(hidden, hidden, 5, causal=causal)
        self.decode_blocks = _blocks(shape, causal=causal)
        self.to_motion = SameConv(hidden, n_channels, 3, causal=causal)
        if shape.linear_path:
            n_values = step * n_channels
            self.encode_linear = nn.Linear(n_values, shape.code_dim, bias=False)
            self.decode_linear = nn.Linear(shape.code_dim, n_values, bias=False)
            for weight in (*self.to_code.parameters(), *self.to_motion.parameters()):
                nn.init.zeros_(weight)
        self.linear_path = shape.linear_path
        self.search_width = shape.search_width

    @torch.no_grad()
    def fit_linear_path(self, encode: Tensor, decode: Tensor) -> None:
        """Set the linear path.

        Args:
            encode: Shape (n, frames_per_chunk * D), rows that turn a chunk into its first n
                numbers, most important first; what has no place or is missing is left out.
            decode: Shape (frames_per_chunk * D, n), the way back.
        """
        n = min(len(encode), len(self.encode_linear.weight))
        for weight in (self.encode_linear.weight, self.decode_linear.weight):
            weight.zero_()
        self.encode_linear.weight[:n] = encode[:n]
        self.decode_linear.weight[:, :n] = decode[:, :n]

    @property
    def look_ahead_chunks(self) -> int:
        """Chunks after one that its motion depends on."""
        return self._chunks_seen("look_ahead")

    @property
    def look_back_chunks(self) -> int:
        """Chunks before one that its motion depends on."""
        return self._chunks_seen("look_back")

    def _chunks_seen(self, side: str) -> int:
        """Return the reach of the decoder to one side, from the convolutions it is built of."""
        spreads = [block.spread for block in self.decode_blocks]
        by_frame = (self.decode_frames, *spreads, self.to_motion)
        frames: int = sum(getattr(layer, side) for layer in by_frame)
        chunks: int = getattr(self.from_code, side)
        return chunks + math.ceil(frames / self.frames_per_chunk)

    def encode(self, motion: Tensor) -> Tensor:
        """Encode motion (B, T, D) to latent chunk vectors before quantisation, (B, C, code_dim)."""
        x = self.encode_frames(motion.transpose(1, 2))  # (B, H, T)
        for block in self.encode_blocks:
            x = block(x, x.new_ones(()))
        x = functional.gelu(self.encode_chunks(functional.gelu(x)))  # (B, H, C)
        latent: Tensor = self.to_code(x).transpose(1, 2)  # (B, C, code_dim)
        if self.linear_path:
            latent = latent + self.encode_linear(motion.reshape(*latent.shape[:2], -1))
        return latent

    def decode(self, latent: Tensor, n_chunks: Tensor | None = None) -> Tensor:
        """Decode chunk vectors (B, C, code_dim) to motion (B, T, D).

        Args:
            latent: Quantised chunk vectors.
            n_chunks: Shape (B,), chunks that are not padding; None means all.
        """
        chunk_mask = _mask(n_chunks, latent.shape[1])  # (B, 1, C)
        frame_mask = chunk_mask.repeat_interleave(self.frames_per_chunk, dim=2)  # (B, 1, T)
        x = latent.transpose(1, 2) * chunk_mask
        x = functional.gelu(self.from_code(x)) * chunk_mask  # (B, H, C)
        x = functional.gelu(self.decode_chunks(x)) * frame_mask  # (B, H, T)
        x = x + functional.gelu(self.decode_frames(x)) * frame_mask
        for block in self.decode_blocks:
            x = block(x, frame_mask)
        motion: Tensor = self.to_motion(x).transpose(1, 2)  # (B, T, D)
        if self.linear_path:
            motion = motion + self.decode_linear(latent).reshape(motion.shape)
        return motion

    def forward(
        self, motion: Tensor, *, drop_codebooks: bool = False, part: Part | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the reconstruction (B, T, D) and the commitment loss.

        Args:
            motion: Shape (B, T, D).
            drop_codebooks: Whether a random number of the finest codebooks is left out.
            part: Which rows of a minibatch these are. Codes are learned from all of its rows, in
                every process alike: their first places, moving averages, and where dead ones
                restart. None if these are all.
        """
        latent = self.encode(motion)
        if part is not None:
            latent = part.joined(latent)
        with fewer_codebooks(self.quantiser, dropped=drop_codebooks):
            quantised, _, loss = quantise(self.quantiser, latent)
        if part is not None:
            quantised = quantised[part.rows]
        return self.decode(quantised), loss

    @torch.inference_mode()
    def codes(self, motion: Tensor) -> Tensor:
        """Return the code indices of motion (B, T, D), shape (B, C, n_codebooks)."""
        return nearest_codes(self.quantiser, self.encode(motion), width=self.search_width)

    def vectors(self, codes: Tensor) -> Tensor:
        """Look codes (B, C, n) up, those of the n coarsest codebooks; return (B, C, code_dim)."""
        return look_up(self.quantiser, codes)

    def mixed_vectors(self, choices: Tensor) -> Tensor:
        """Weigh the codes by choices (B, C, n_codebooks, K); return (B, C, code_dim)."""
        return mix(self.quantiser, choices)


def _blocks(shape: TokenizerShape, *, causal: bool) -> nn.ModuleList:
    dilations = [_DILATIONS[number % len(_DILATIONS)] for number in range(shape.blocks)]
    return nn.ModuleList(
        [ResidualBlock(shape.hidden, dilation=dilation, causal=causal) for dilation in dilations]
    )


def _mask(n_chunks: Tensor | None, width: int) -> Tensor:
    if n_chunks is None:
        return torch.ones(1, 1, width)
    return (torch.arange(width) < n_chunks[:, None]).float()[:, None]
