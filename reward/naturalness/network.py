"""Naturalness network: hears speech, sees about a second of motion, tells recording from policy.

Shape letters: B animations, C chunks, F frames per chunk, T = C * F frames, A audio values per
chunk, D condition, H width, S streams.

A stream sees its own part of the face alone, so that each answers for what it wrote. Nothing goes
in but decoded motion and speech: no token, no probability, nothing that a policy knows better.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from esarm_env.core.types import MOUTH, N_CHANNELS, STREAMS, UPPER
from esarm_env.core.weights import from_sizes, load_module, save_weights
from esarm_env.face.names import MOUTH_CHANNELS, UPPER_CHANNELS
from reward.naturalness.settings import NaturalnessConfig

if TYPE_CHECKING:
    from reward.chunks import ChunkBatch

KIND = "naturalness model"
CHANNELS = {MOUTH: MOUTH_CHANNELS, UPPER: UPPER_CHANNELS}
# Log-odds of a chunk beyond which more certainty is not paid: a face cannot be more than recorded.
MOST_LOG_ODDS = 4.0
# Of the way from what policies write to recordings: where most of the score is earned, and how
# steeply. It ends there: what looks more than recorded (a still face) is not paid for that.
_TURN, _BEND = 0.75, 0.1
_LEAST_WAY = 0.1  # log-odds between written and recorded, where training has found nothing
_FRAMES_SEEN = 5  # by the first convolution
_DILATIONS = (1, 2)  # of those over chunks: with four frames a chunk 32 frames are seen, 1.07 s
_CHUNKS_SEEN = 3


class StreamNaturalness(nn.Module):
    """Log-odds of one stream's chunks: that they were recorded, not written by a policy."""

    channels: Tensor

    def __init__(
        self, config: NaturalnessConfig, channels: list[int], *, audio_dim: int, condition_dim: int,
        frames: int,
    ) -> None:  # fmt: skip
        """Build it for `channels` of the face."""
        super().__init__()
        width, seen = config.width, 3 * len(channels)
        self.frames = frames
        self.register_buffer("channels", torch.tensor(channels), persistent=False)
        self.from_audio = nn.Linear(audio_dim // frames, width)
        self.from_condition = nn.Linear(condition_dim, width, bias=False)
        self.over_frames = nn.Conv1d(seen, width, _FRAMES_SEEN, padding=_FRAMES_SEEN // 2)
        self.to_chunks = nn.Conv1d(width, width, frames, stride=frames)
        self.over_chunks = nn.ModuleList(
            nn.Conv1d(width, width, _CHUNKS_SEEN, padding=dilation, dilation=dilation)
            for dilation in _DILATIONS
        )
        self.dropout = nn.Dropout(config.dropout)
        self.to_log_odds = nn.Linear(width, 1)

    def forward(self, audio: Tensor, condition: Tensor, shown: Tensor, inside: Tensor) -> Tensor:
        """Return log-odds of each chunk, shape (B, C).

        Args:
            audio: Shape (B, T, A / F), standardised.
            condition: Shape (B, D).
            shown: Standardised motion, shape (B, T, 52).
            inside: Shape (B, C), bool.
        """
        pose = shown[:, :, self.channels]
        speed = functional.pad(pose[:, 1:] - pose[:, :-1], (0, 0, 1, 0))
        change = functional.pad(speed[:, 1:] - speed[:, :-1], (0, 0, 1, 0))
        seen = torch.cat([pose, 4 * speed, 8 * change], dim=-1)
        counted = inside.repeat_interleave(self.frames, dim=1)[..., None]
        x = self.over_frames((seen * counted).mT).mT + self.from_audio(audio)
        x = functional.gelu(x + self.from_condition(condition)[:, None]) * counted
        x = functional.gelu(self.to_chunks(self.dropout(x).mT))  # (B, H, C)
        for layer in self.over_chunks:
            x = x + functional.gelu(layer(self.dropout(x * inside[:, None])))
        log_odds: Tensor = self.to_log_odds(self.dropout(x.mT))[..., 0]
        return log_odds


class NaturalnessModel(nn.Module):
    """Scores how much an animation looks recorded, by stream; a `RewardModel`.

    A stream's log-odds are the mean over chunks, bounded at +-`MOST_LOG_ODDS`; on their scale u,
    what policies write has mean 0 and recordings have mean 1 (on utterances it did not learn from).
    The score is 0 and 1 there, too: a share `config.graded` of it is u itself up to 1, and the rest
    rises where u comes near 1 (a sigmoid), and no further. Doubts about which of a policy's samples
    is the most natural would drown what their expected errors say; and a face that is unlike all
    that was learned from, such as a still one, must not be paid for looking more than recorded.
    Streams add up to the score.
    """

    written_mean: Tensor
    recorded_mean: Tensor
    measured: Tensor
    motion_mean: Tensor
    motion_spread: Tensor
    audio_mean: Tensor
    audio_spread: Tensor
    needs_condition = True
    stream_names = STREAMS
    chunk_streams = STREAMS

    def __init__(
        self, config: NaturalnessConfig, *, audio_dim: int, condition_dim: int, frames: int
    ) -> None:
        """Build it untrained, for chunks of `audio_dim` audio values and `frames` frames."""
        super().__init__()
        self.config, self.frames = config, frames
        self.audio_dim, self.condition_dim = audio_dim, condition_dim
        sizes = {"audio_dim": audio_dim, "condition_dim": condition_dim, "frames": frames}
        self.streams = nn.ModuleDict(
            {name: StreamNaturalness(config, list(CHANNELS[name]), **sizes) for name in STREAMS}
        )
        self.register_buffer("motion_mean", torch.zeros(N_CHANNELS))
        self.register_buffer("motion_spread", torch.ones(N_CHANNELS))
        self.register_buffer("audio_mean", torch.zeros(audio_dim // frames))
        self.register_buffer("audio_spread", torch.ones(audio_dim // frames))
        self.register_buffer("measured", torch.ones(len(STREAMS), dtype=torch.bool))
        self.register_buffer("written_mean", torch.zeros(len(STREAMS)))
        self.register_buffer("recorded_mean", torch.ones(len(STREAMS)))

    @property
    def motion_dim(self) -> int:
        """Motion values per chunk."""
        return self.frames * N_CHANNELS

    def log_odds(
        self, audio: Tensor, condition: Tensor, motion: Tensor, n_chunks: Tensor
    ) -> Tensor:
        """Return what each chunk says, bounded, 0 past the end, shape (B, C, S).

        Args:
            audio: Shape (B, C, A), 0 past the end.
            condition: Shape (B, D).
            motion: Shape (B, C, F * 52).
            n_chunks: Shape (B,), chunks that are not padding.
        """
        inside = torch.arange(audio.shape[1]) < n_chunks[:, None]
        heard = torch.unflatten(audio, -1, (self.frames, -1)).flatten(1, 2)
        heard = (heard - self.audio_mean) / self.audio_spread
        shown = torch.unflatten(motion, -1, (self.frames, N_CHANNELS)).flatten(1, 2)
        shown = (shown - self.motion_mean) / self.motion_spread
        parts = [stream(heard, condition, shown, inside) for stream in self.streams.values()]
        free = torch.stack(parts, dim=-1)
        bounded = MOST_LOG_ODDS * torch.tanh(free / MOST_LOG_ODDS)
        return bounded * inside[..., None] * self.measured

    def forward(self, audio: Tensor, condition: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        """Return scores by chunk and stream, (B, C, S), 0 past the end; arguments as of `log_odds`.

        A function f of the mean over chunks is shared as (f(mean) + f'(mean) (chunk - mean)) / C.
        """
        log_odds = self.log_odds(audio, condition, motion, n_chunks)
        inside = (torch.arange(audio.shape[1]) < n_chunks[:, None])[..., None]
        shares = inside / n_chunks[:, None, None]
        way = (self.recorded_mean - self.written_mean).clamp(min=_LEAST_WAY)
        along = (log_odds - self.written_mean) / way * self.measured * inside  # u of each chunk
        mean = (along * shares).sum(dim=1, keepdim=True)
        paid, slope = _paid(mean, graded=self.config.graded)
        by_stream = self.measured / self.measured.sum().clamp(min=1)
        return (paid + slope * (along - mean)) * shares * by_stream

    def score_members(self, batch: ChunkBatch) -> Tensor:
        """Return standardised scores by stream as of an ensemble of one, shape (1, B, S)."""
        return self.score_member_chunks(batch).sum(dim=2)

    def score_member_chunks(self, batch: ChunkBatch) -> Tensor:
        """Return `score_members` by chunk, shape (1, B, C, S), 0 past the end."""
        assert batch.condition is not None, "`needs_condition` asked for it"
        scores: Tensor = self(batch.audio, batch.condition, batch.motion, batch.n_chunks)
        return scores[None]

    def member_weights(self, scores: Tensor) -> Tensor:
        """Return 1 for each score of an ensemble of one, (1, B, S)."""
        return torch.ones_like(scores)

    def combine(self, scores: Tensor) -> Tensor:
        """Return the scores (B, S) of an ensemble of one, (1, B, S)."""
        return scores[0]

    @torch.no_grad()
    def standardise(self, *, written: Tensor, recorded: Tensor) -> None:
        """Let these mean log-odds, (N, S) of what policies wrote and (M, S), score 0 and 1."""
        self.written_mean.copy_(written.mean(dim=0))
        self.recorded_mean.copy_(recorded.mean(dim=0))

    def save(self, path: Path) -> None:
        """Write weights and sizes to one `.safetensors` file."""
        sizes = {
            "audio_dim": self.audio_dim,
            "condition_dim": self.condition_dim,
            "frames": self.frames,
        }
        save_weights(path, self.state_dict(), kind=KIND, config=asdict(self.config), **sizes)


def _paid(along: Tensor, *, graded: float) -> tuple[Tensor, Tensor]:
    """Return the score of u, which is 0 at 0 and 1 at 1, and its slope there."""
    ends = torch.sigmoid((torch.tensor([0.0, 1.0]) - _TURN) / _BEND)
    risen, height = torch.sigmoid((along - _TURN) / _BEND), ends[1] - ends[0]
    slope = risen * (1 - risen) / _BEND / height
    paid = graded * along.clamp(max=1) + (1 - graded) * (risen - ends[0]) / height
    return paid, graded * (along <= 1) + (1 - graded) * slope


def load_naturalness(path: Path) -> NaturalnessModel:
    """Read a model that `NaturalnessModel.save` wrote, ready to score.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """

    def build(config: dict[str, Any], **sizes: int) -> NaturalnessModel:
        return NaturalnessModel(from_sizes(NaturalnessConfig, config), **sizes)

    return load_module(path, build, kind=KIND).requires_grad_(False)
