"""Consensus reward network: an ensemble of members, combined into a score by stream.

Shape letters: B utterances, K animations of each, C chunks, F frames per chunk, A audio values per
chunk, D condition, H width, M imagined faces, R directions, S streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from esarm_env.core.deprecation import old_names_of, renamed_keys
from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, STREAMS
from esarm_env.core.weights import from_sizes, load_module, save_weights
from reward.consensus.member import N_STREAMS, ConsensusMember, Judgement, mean_of_chunks
from reward.consensus.settings import COMBINATIONS, ConsensusConfig
from reward.shared import SharedModel

if TYPE_CHECKING:
    from reward.chunks import ChunkBatch

KIND = "consensus reward model"
# Log-odds (98 %) at which an animation gets half of the margin of ground truth. Without it, doubts
# about a policy's own samples drown what their expected errors say (rank correlation with EVE 0.68
# instead of 0.75), and are there to be exploited.
CERTAIN = 4.0
_LEAST_SPREAD = 1e-12  # of members that agree, whose spread has no slope


class ConsensusModel(SharedModel, nn.Module):
    """An ensemble of members, and how their judgements become one score.

    A member's raw score of a stream is minus the expected error over its spread among the policy's
    samples, plus its share of `margin` for what is surely ground truth. Streams add up to it.
    """

    offset: Tensor
    scale: Tensor
    spread: Tensor
    measured: Tensor
    needs_condition = True
    stream_names = STREAMS
    chunk_streams = STREAMS

    def __init__(
        self, config: ConsensusConfig, *, audio_dim: int, condition_dim: int, frames: int
    ) -> None:
        """Build untrained members.

        Raises:
            ValueError: If there is no member, or no such combination.
        """
        super().__init__()
        if config.members < 1:
            raise ValueError(f"`config.members` must be at least 1, got {config.members}")
        if config.combination not in COMBINATIONS:
            raise InputError(
                f"`consensus.combination` must be one of {', '.join(COMBINATIONS)}, "
                f"got {config.combination!r}"
            )
        self.config, self.frames = config, frames
        self.audio_dim, self.condition_dim = audio_dim, condition_dim
        sizes = {"audio_dim": audio_dim, "condition_dim": condition_dim, "frames": frames}
        self.members = nn.ModuleList(
            ConsensusMember(config, **sizes) for _ in range(config.members)
        )
        self.register_buffer("spread", torch.ones(N_STREAMS))  # mm, within an utterance's samples
        self.register_buffer("measured", torch.ones(N_STREAMS, dtype=torch.bool))
        # Per member and stream, of the raw score over the policy's samples; set after training.
        self.register_buffer("offset", torch.zeros(config.members, N_STREAMS))
        self.register_buffer("scale", torch.ones(config.members))

    @property
    def motion_dim(self) -> int:
        """Motion values per chunk."""
        return self.frames * N_CHANNELS

    def calibrate(self, planes: Sequence[Tensor], chunks: Tensor) -> None:
        """Start every member from typical `chunks` (N, F, 52) and the regions' planes (52, 3V)."""
        for member in self.members:
            assert isinstance(member, ConsensusMember), "only these are put in"
            member.calibrate(planes, chunks)

    def judge(
        self, audio: Tensor, condition: Tensor, motion: Tensor, n_chunks: Tensor
    ) -> list[Judgement]:
        """Return what each member says; arguments as of `raw`."""
        inside = torch.arange(audio.shape[1]) < n_chunks[:, None]
        return [member(audio, condition, motion, inside) for member in self.members]

    def raw(self, judgement: Judgement, n_chunks: Tensor) -> Tensor:
        """Return a member's raw scores by stream, shape (B, K, S).

        Args:
            judgement: From `judge`.
            n_chunks: Shape (B,), chunks that are not padding.
        """
        inside = torch.arange(judgement.errors.shape[2]) < n_chunks[:, None]
        errors = mean_of_chunks(judgement.errors, inside) / self.spread
        certain = (judgement.recorded - CERTAIN).sigmoid()
        bonus = self.config.margin / N_STREAMS * certain
        return (bonus[..., None] - errors) * self.measured

    def raw_chunks(self, judgement: Judgement, n_chunks: Tensor) -> Tensor:
        """Return a member's raw scores by chunk and stream, shape (B, K, C, S), 0 past the end.

        They add up to `raw`: errors are a mean over chunks, and so are the log-odds of being ground
        truth, a function f of whose mean is shared as (f(mean) + f'(mean) (chunk - mean)) / C.
        """
        errors = judgement.errors / self.spread
        certain = (judgement.recorded - CERTAIN).sigmoid()[..., None]  # (B, K, 1)
        told = judgement.recorded[..., None]
        chunks = told if judgement.recorded_chunks is None else judgement.recorded_chunks
        bonus = self.config.margin / N_STREAMS * certain * (1 + (1 - certain) * (chunks - told))
        shares = _chunk_shares(errors.shape[2], n_chunks)[:, None, :, None]
        return (bonus[..., None] - errors) * self.measured * shares

    def forward(self, audio: Tensor, condition: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        """Return standardised scores by member and stream, shape (members, B, K, S).

        Args:
            audio: Shape (B, C, A), 0 past the end.
            condition: Shape (B, D).
            motion: Shape (B, K, C, F * 52).
            n_chunks: Shape (B,).
        """
        raw = [self.raw(j, n_chunks) for j in self.judge(audio, condition, motion, n_chunks)]
        centred = torch.stack(raw) - self.offset[:, None, None]
        return centred / self.scale[:, None, None, None]

    def score_members(self, batch: ChunkBatch) -> Tensor:
        """Return standardised scores by member and stream, shape (members, B, S)."""
        assert batch.condition is not None, "`needs_condition` asked for it"
        motion = batch.motion[:, None]
        scores: Tensor = self(batch.audio, batch.condition, motion, batch.n_chunks)
        return scores[:, :, 0]

    def score_member_chunks(self, batch: ChunkBatch) -> Tensor:
        """Return `score_members` by chunk, shape (members, B, C, S), 0 past the end."""
        assert batch.condition is not None, "`needs_condition` asked for it"
        n_chunks = batch.n_chunks
        judged = self.judge(batch.audio, batch.condition, batch.motion[:, None], n_chunks)
        raw = torch.stack([self.raw_chunks(judgement, n_chunks)[:, 0] for judgement in judged])
        shares = _chunk_shares(raw.shape[2], n_chunks)[..., None]  # (B, C, 1)
        centred = raw - self.offset[:, None, None] * shares
        return centred / self.scale[:, None, None, None]

    def member_weights(self, scores: Tensor) -> Tensor:
        """Return what each member's score counts, (members, B, S), given those scores.

        `combine` is the sum of `weights * scores`, since mean, spread and minimum all double where
        the scores do (Euler's theorem): it is taken apart as the members' scores are.
        """
        if self.config.combination == "minimum":
            least = scores.argmin(dim=0, keepdim=True)
            return torch.zeros_like(scores).scatter_(0, least, 1)
        weights = torch.full_like(scores, 1 / len(scores))
        if len(scores) < 2 or self.config.disagreement == 0:
            return weights
        apart = scores - scores.mean(dim=0)
        slope = apart / ((len(scores) - 1) * scores.std(dim=0)).clamp(min=_LEAST_SPREAD)
        return weights - self.config.disagreement * slope

    def recorded_members(self, batch: ChunkBatch) -> Tensor:
        """Return each member's log-odds of being a recording, no sample, shape (members, B)."""
        assert batch.condition is not None, "`needs_condition` asked for it"
        judged = self.judge(batch.audio, batch.condition, batch.motion[:, None], batch.n_chunks)
        return torch.stack([each.recorded[:, 0] for each in judged])

    def combine(self, scores: Tensor) -> Tensor:
        """Return the ensemble's scores (B, S) of its members' (members, B, S).

        The mean, less `disagreement` times the spread where there is one; or the minimum.
        """
        if self.config.combination == "minimum":
            return scores.amin(dim=0)
        mean = scores.mean(dim=0)
        if len(scores) < 2 or self.config.disagreement == 0:
            return mean
        return mean - self.config.disagreement * scores.std(dim=0)

    @torch.no_grad()
    def standardise(self, scores: Tensor) -> None:
        """Make each member's score of the policy's samples have mean 0 and spread 1.

        Args:
            scores: As `forward` returns them now for the samples, shape (members, N, S).
        """
        self.offset += scores.mean(dim=1) * self.scale[:, None]
        if scores.shape[1] > 1:
            self.scale *= scores.sum(dim=-1).std(dim=1) + 1e-6

    def save(self, path: Path) -> None:
        """Write weights and sizes to one `.safetensors` file."""
        sizes = {
            "audio_dim": self.audio_dim,
            "condition_dim": self.condition_dim,
            "frames": self.frames,
        }
        save_weights(path, self.state_dict(), kind=KIND, config=asdict(self.config), **sizes)


def _chunk_shares(width: int, n_chunks: Tensor) -> Tensor:
    """Return each chunk's share of a mean over `n_chunks` (B,), shape (B, width), 0 past them."""
    return (torch.arange(width) < n_chunks[:, None]) / n_chunks[:, None]


def load_consensus(path: Path) -> ConsensusModel:
    """Read a model that `ConsensusModel.save` wrote, ready to score.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """

    def build(config: dict[str, Any], **sizes: int) -> ConsensusModel:
        config = renamed_keys(config, old_names_of(ConsensusConfig), silent=True)
        return ConsensusModel(from_sizes(ConsensusConfig, config), **sizes)

    return load_module(path, build, kind=KIND).requires_grad_(False)
