"""The expected error of one stream: the distance of a motion from a few imagined faces.

Shape letters: B utterances, K animations of each, C chunks, F frames per chunk, A audio values per
chunk, D condition, H width, M imagined faces, R directions, S streams.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.types import N_CHANNELS
from reward.consensus.settings import ConsensusConfig

_LEAST_SQUARE_MM = 1e-4  # keeps the slope of a distance finite


class StreamError(nn.Module):
    """The expected error of one stream."""

    motion_mean: Tensor
    motion_spread: Tensor

    def __init__(self, config: ConsensusConfig, frames: int) -> None:
        """Build it with random directions; `calibrate` gives them a meaning."""
        super().__init__()
        self.frames, self.imagined = frames, config.imagined
        self.directions = nn.Parameter(torch.randn(N_CHANNELS, config.rank))
        self.to_faces = nn.Linear(config.width, config.imagined * frames * config.rank)
        self.to_weights = nn.Linear(config.width, config.imagined)
        self.scale = nn.Parameter(torch.tensor(1.7))  # of a region's largest by its mean distance
        self.from_speech = nn.Linear(config.width, config.hidden)
        self.from_motion = nn.Linear(frames * config.rank + config.imagined, config.hidden)
        self.to_correction = nn.Linear(config.hidden, 1)
        nn.init.zeros_(self.to_correction.weight)
        nn.init.zeros_(self.to_correction.bias)
        self.register_buffer("motion_mean", torch.zeros(frames, config.rank))
        self.register_buffer("motion_spread", torch.ones(frames, config.rank))

    @torch.no_grad()
    def calibrate(self, planes: Tensor, chunks: Tensor) -> None:
        """Compare faces where the region's vertices (52, 3V) move, and imagine typical `chunks`.

        Args:
            planes: Displacements at weight 1, mm.
            chunks: Typical motion, shape (N, F, 52).
        """
        u, s, _ = torch.linalg.svd(planes / (planes.shape[1] / 3) ** 0.5, full_matrices=False)
        rank = min(self.directions.shape[1], len(s))
        self.directions.zero_()
        self.directions[:, :rank] = u[:, :rank] * s[:rank]  # squares add up to the mean square, mm²
        moved = chunks @ self.directions  # (N, F, R)
        mean, spread = moved.mean(dim=0), moved.std(dim=0)
        self.motion_mean.copy_(mean)
        self.motion_spread.copy_(spread + 1e-3)
        start = mean + 0.5 * spread * torch.randn(self.imagined, *mean.shape)
        self.to_faces.bias.copy_(start.flatten())
        nn.init.normal_(
            self.to_faces.weight, std=0.3 * float(moved.std()) / self.to_faces.in_features**0.5
        )

    def forward(self, heard: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Return errors (B, K, C) and distances from the imagined faces (B, K, C, M), mm.

        Args:
            heard: Shape (B, C, H).
            motion: Shape (B, K, C, F, 52).
        """
        shown = motion @ self.directions  # (B, K, C, F, R)
        faces = self.to_faces(heard).view(*heard.shape[:2], self.imagined, self.frames, -1)
        product = torch.einsum("bkcfr,bcmfr->bkcmf", shown, faces)
        square = shown.square().sum(-1)[:, :, :, None] + faces.square().sum(-1)[:, None]
        distance = (square - 2 * product).clamp(min=_LEAST_SQUARE_MM).sqrt().mean(-1)
        weights = self.to_weights(heard).softmax(-1)[:, None]  # (B, 1, C, M)
        error = (distance * weights).sum(-1) * self.scale
        seen = ((shown - self.motion_mean) / self.motion_spread).flatten(-2)
        hidden = self.from_speech(heard)[:, None] + self.from_motion(
            torch.cat([seen, distance], dim=-1)
        )
        return error + self.to_correction(functional.gelu(hidden))[..., 0], distance
