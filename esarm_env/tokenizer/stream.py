"""One VQ autoencoder over one part of the face: convolutions around a residual quantiser.

Shape letters: B batch, T frames, C chunks, D channels, H hidden, K codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import ResidualVQ


class VQStream(nn.Module):
    """Motion (B, T, D) to codes (B, C, n_codebooks) and back; T = C * frames_per_chunk.

    The decoder sees neighbouring chunks, which is what joins chunks smoothly. Frames past a
    sequence's end are zeroed after every layer, so that padding never changes the rest.
    """

    def __init__(
        self,
        n_channels: int,
        *,
        frames_per_chunk: int,
        n_codes: int,
        n_codebooks: int,
        hidden: int,
        code_dim: int,
    ) -> None:
        """Build encoder, quantiser (van den Oord 2017; EMA, dead codes restart) and decoder."""
        super().__init__()
        self.frames_per_chunk = frames_per_chunk
        step = frames_per_chunk
        self.encode_frames = nn.Conv1d(n_channels, hidden, 5, padding=2)
        self.encode_chunks = nn.Conv1d(hidden, hidden, step, stride=step)
        self.to_code = nn.Conv1d(hidden, code_dim, 1)
        self.quantiser = ResidualVQ(
            dim=code_dim,
            codebook_size=n_codes,
            num_quantizers=n_codebooks,
            kmeans_init=True,
            kmeans_iters=10,
            decay=0.95,
            threshold_ema_dead_code=1,
            commitment_weight=1.0,
        )
        self.from_code = nn.Conv1d(code_dim, hidden, 3, padding=1)
        self.decode_chunks = nn.ConvTranspose1d(hidden, hidden, step, stride=step)
        self.decode_frames = nn.Conv1d(hidden, hidden, 5, padding=2)
        self.to_motion = nn.Conv1d(hidden, n_channels, 3, padding=1)

    def encode(self, motion: Tensor) -> Tensor:
        """Return continuous chunk vectors, shape (B, C, code_dim)."""
        x = functional.gelu(self.encode_frames(motion.transpose(1, 2)))  # (B, H, T)
        x = functional.gelu(self.encode_chunks(x))  # (B, H, C)
        latent: Tensor = self.to_code(x)  # (B, code_dim, C)
        return latent.transpose(1, 2)

    def decode(self, latent: Tensor, n_chunks: Tensor | None = None) -> Tensor:
        """Return motion (B, T, D) from chunk vectors (B, C, code_dim).

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
        motion: Tensor = self.to_motion(x)  # (B, D, T)
        return motion.transpose(1, 2)

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction (B, T, D) and the commitment loss."""
        quantised, _, loss = self.quantiser(self.encode(motion))
        return self.decode(quantised), loss.sum()

    @torch.inference_mode()
    def codes(self, motion: Tensor) -> Tensor:
        """Return code indices, shape (B, C, n_codebooks)."""
        indices: Tensor = self.quantiser(self.encode(motion))[1]
        return indices

    def vectors(self, codes: Tensor) -> Tensor:
        """Return the chunk vectors (B, C, code_dim) of codes (B, C, n_codebooks)."""
        vectors: Tensor = self.quantiser.get_output_from_indices(codes)
        return vectors


def _mask(n_chunks: Tensor | None, width: int) -> Tensor:
    if n_chunks is None:
        return torch.ones(1, 1, width)
    return (torch.arange(width) < n_chunks[:, None]).float()[:, None]
