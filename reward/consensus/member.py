"""Member network of the consensus reward: hears speech, imagines faces, measures distances.

Shape letters: B utterances, K animations of each, C chunks, F frames per chunk, A audio values per
chunk, D condition, H width, M imagined faces, R directions, S streams.

Speech and condition go through a causal transformer, once per utterance. For every chunk it
imagines a few faces; a motion's expected error is its mean distance from them, in the directions in
which the lips and the upper face move most, plus a small correction. Each stream of tokens has an
expected error of its own. A last output tells recordings from a policy's samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.core.types import N_CHANNELS, STREAMS
from reward.consensus.hearing import HeardSpeech
from reward.scoring import positions

if TYPE_CHECKING:
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


N_STREAMS = len(STREAMS)


class Judgement(NamedTuple):
    """What one member says.

    Attributes:
        errors: Expected error per chunk, shape (B, K, C, S), mm.
        recorded: Log-odds of being ground truth, not a sample, shape (B, K).
        recorded_chunks: Of each chunk, shape (B, K, C); their mean is `recorded`. None if all
            chunks are alike.
    """

    errors: Tensor
    recorded: Tensor
    recorded_chunks: Tensor | None = None


class ConsensusMember(nn.Module):
    """One model of the ensemble."""

    motion_mean: Tensor
    motion_spread: Tensor

    def __init__(
        self, config: ConsensusConfig, *, audio_dim: int, condition_dim: int, frames: int
    ) -> None:
        """Build it for chunks of `audio_dim` audio values and `frames` frames."""
        super().__init__()
        width, hidden, heard = config.width, config.hidden, 3 * audio_dim
        self.frames = frames
        self.from_audio = nn.Sequential(nn.LayerNorm(heard), nn.Linear(heard, width))
        self.from_condition = nn.Linear(condition_dim, width, bias=False)
        layer = nn.TransformerEncoderLayer(
            width,
            config.n_heads,
            dim_feedforward=4 * width,
            dropout=config.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.transformer = nn.TransformerEncoder(
            layer, config.n_layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.streams = nn.ModuleList(StreamError(config, frames) for _ in range(N_STREAMS))
        self.natural_speech = nn.Linear(width, hidden)
        self.natural_motion = nn.Linear(
            (frames + 1) * N_CHANNELS + N_STREAMS * config.imagined, hidden
        )
        self.to_natural = nn.Sequential(
            nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(config.dropout),
            nn.Linear(hidden, 1),
        )  # fmt: skip
        self._heard = HeardSpeech()
        self.register_buffer("motion_mean", torch.zeros(N_CHANNELS))
        self.register_buffer("motion_spread", torch.ones(N_CHANNELS))

    def calibrate(self, planes: Sequence[Tensor], chunks: Tensor) -> None:
        """Start from typical `chunks` (N, F, 52) and each region's planes (52, 3V)."""
        self.motion_mean.copy_(chunks.mean(dim=(0, 1)))
        self.motion_spread.copy_(chunks.std(dim=(0, 1)) + 0.02)
        for stream, region in zip(self.streams, planes, strict=True):
            assert isinstance(stream, StreamError), "only these are put in"
            stream.calibrate(region, chunks)

    def forward(
        self, audio: Tensor, condition: Tensor, motion: Tensor, inside: Tensor
    ) -> Judgement:
        """Judge K animations of each of B utterances.

        Args:
            audio: Shape (B, C, A), 0 past the end.
            condition: Shape (B, D).
            motion: Shape (B, K, C, F * 52).
            inside: Shape (B, C), bool, chunks that are not padding.
        """
        n_chunks = inside.sum(dim=1)
        heard = self._heard(self, self._hear, audio, condition, n_chunks)  # (B, C, H)
        frames = torch.unflatten(motion, -1, (self.frames, N_CHANNELS))
        parts = [stream(heard, frames) for stream in self.streams]
        errors = torch.stack([error for error, _ in parts], dim=-1)
        # What is imagined is for the errors to shape, not for telling recordings from samples.
        far = torch.cat([distance.detach() for _, distance in parts], dim=-1)
        recorded = self._recorded(heard.detach(), frames, far)
        mean = mean_of_chunks(recorded[..., None], inside)[..., 0]
        return Judgement(errors, mean, recorded)

    def _hear(self, audio: Tensor, condition: Tensor) -> Tensor:
        padded = functional.pad(audio, (0, 0, 1, 1))
        windows = torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], dim=-1)
        x = self.from_audio(windows) + self.from_condition(condition)[:, None]
        x = x + positions(x.shape[1], x.shape[2])
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        # Causal attention never looks at the padding behind, so it needs no mask of its own.
        heard: Tensor = self.transformer(x, mask=mask, is_causal=True)
        return heard

    def _recorded(self, heard: Tensor, frames: Tensor, far: Tensor) -> Tensor:
        shown = (frames - self.motion_mean) / self.motion_spread  # (B, K, C, F, 52)
        before = functional.pad(
            shown[:, :, :-1, -1], (0, 0, 1, 0)
        )  # last frame of the chunk before
        seen = torch.cat([shown.flatten(-2), shown[:, :, :, 0] - before, far], dim=-1)
        hidden = self.natural_speech(heard)[:, None] + self.natural_motion(seen)
        # Whole animations are told apart with certainty, chunks are not: a steeper slope.
        log_odds: Tensor = 4 * self.to_natural(hidden)[..., 0]  # (B, K, C)
        return log_odds


def mean_of_chunks(values: Tensor, inside: Tensor) -> Tensor:
    """Average (B, K, C, X) over the chunks that are `inside` (B, C), shape (B, K, X)."""
    weights = inside[:, None, :, None].float()
    return (values * weights).sum(dim=2) / weights.sum(dim=2)
