"""The paper's reward network: audio and motion chunks interleaved in a causal transformer (Fig. 4).

It reads decoded motion, not tokens, so that recordings and continuous policies can be scored too.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from esarm_env.core.deprecation import old_names_of, renamed_keys
from esarm_env.core.errors import InputError
from esarm_env.core.types import WHOLE_FACE
from esarm_env.core.weights import from_sizes, load_module, save_weights
from reward.nets.base import RewardNet
from reward.ranking.settings import ATTENTION, CHUNK_CREDITS, POOLINGS, RewardConfig
from reward.scoring import positions

if TYPE_CHECKING:
    from reward.chunks import ChunkBatch


class RewardTransformer(RewardNet):
    """Scores animations; no score grows with length, see `RewardConfig.pooling`.

    Unlike other `RewardNet`s its `forward` is standardised already: all that it tells of chunks
    adds up to that.

    Shape letters: B batch, C chunks, A audio and M motion values per chunk, H width.
    """

    chunk_streams = (WHOLE_FACE,)

    def __init__(self, config: RewardConfig, *, audio_dim: int, motion_dim: int) -> None:
        """Build the model for chunks of `audio_dim` audio and `motion_dim` motion values."""
        super().__init__(audio_dim=audio_dim, motion_dim=motion_dim)
        if config.pooling not in POOLINGS:
            raise InputError(
                f"`reward.pooling` must be one of {', '.join(POOLINGS)}, got {config.pooling!r}"
            )
        if config.chunk_credit not in CHUNK_CREDITS:
            raise InputError(
                f"`reward.chunk_credit` must be one of {', '.join(CHUNK_CREDITS)}, "
                f"got {config.chunk_credit!r}"
            )
        self.config = config
        width = config.width
        self.from_audio = nn.Sequential(nn.LayerNorm(audio_dim), nn.Linear(audio_dim, width))
        self.from_motion = nn.Linear(motion_dim, width)
        self.kind = nn.Parameter(torch.randn(2, width) * 0.02)
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
        self.to_score = nn.Linear(width, 1)

    def forward(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        """Return standardised scores, shape (B,).

        Args:
            audio: Shape (B, C, A).
            motion: Shape (B, C, M).
            n_chunks: Shape (B,), chunks that are not padding.
        """
        per_chunk = self._per_chunk(audio, motion)
        if self.config.pooling == "last":
            raw = per_chunk.gather(1, n_chunks[:, None] - 1)[:, 0]
        else:
            inside = torch.arange(motion.shape[1]) < n_chunks[:, None]
            raw = (per_chunk * inside).sum(1) / n_chunks
        standardised: Tensor = (raw - self.offset) / self.scale
        return standardised

    def _interleaved(self, audio: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the transformer reads, (B, 2C, H): a0 m0 a1 m1 ..., and its causal mask."""
        heard = self.from_audio(audio) + self.kind[0]
        shown = self.from_motion(motion) + self.kind[1]
        x = torch.stack([heard, shown], dim=2).flatten(1, 2)
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return x + positions(x.shape[1], x.shape[2]), mask

    def _per_chunk(self, audio: Tensor, motion: Tensor) -> Tensor:
        """Return the raw score after each motion chunk, shape (B, C)."""
        x, mask = self._interleaved(audio, motion)
        # Causal attention never looks at the padding behind, so it needs no mask of its own.
        hidden = self.transformer(x, mask=mask, is_causal=True)
        scores: Tensor = self.to_score(hidden[:, 1::2])[..., 0]
        return scores

    def prefix_scores(self, audio: Tensor, motion: Tensor) -> Tensor:
        """Return the standardised score of every beginning, shape (B, C), of one forward pass.

        The transformer is causal: that of the first t chunks is what they score alone.
        """
        raw = self._per_chunk(audio, motion)
        if self.config.pooling == "mean":
            raw = raw.cumsum(1) / torch.arange(1, raw.shape[1] + 1)
        scores: Tensor = (raw - self.offset) / self.scale
        return scores

    def attention_shares(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        """Return how much of its attention to motion the score pays to each chunk, (B, C).

        That of the last layer, mean over heads, and over the chunks whose scores are pooled: all of
        them, or the `last`. The shares of an animation add up to 1, those past its end are 0.
        """
        x, mask = self._interleaved(audio, motion)
        *before, last = self.transformer.layers
        for layer in before:
            x = layer(x, src_mask=mask, is_causal=True)
        seen = last.norm1(x)
        _, paid = last.self_attn(seen, seen, seen, attn_mask=mask, need_weights=True)
        paid = paid[:, 1::2, 1::2]  # (B, C, C), of each chunk to the motion of each
        paid = paid / paid.sum(dim=2, keepdim=True).clamp(min=1e-12)
        if self.config.pooling == "last":
            rows = n_chunks[:, None, None] - 1
            shares: Tensor = paid.gather(1, rows.expand(-1, 1, paid.shape[2]))[:, 0]
            return shares
        inside = torch.arange(motion.shape[1]) < n_chunks[:, None]
        mean: Tensor = (paid * inside[..., None]).sum(1) / n_chunks[:, None]
        return mean

    def score_chunks(self, audio: Tensor, motion: Tensor, n_chunks: Tensor) -> Tensor:
        """Return what each chunk earned, (B, C), 0 past the end; all chunks add up to `forward`."""
        if self.config.chunk_credit == ATTENTION:
            shares = self.attention_shares(audio, motion, n_chunks)
            score: Tensor = self(audio, motion, n_chunks)
            return score[:, None] * shares
        inside = torch.arange(motion.shape[1]) < n_chunks[:, None]
        nothing = audio.new_zeros(len(audio), 1)  # what no chunk scores
        return self.prefix_scores(audio, motion).diff(dim=1, prepend=nothing) * inside

    def scores(self, batch: ChunkBatch) -> Tensor:
        """Return standardised scores, shape (B,)."""
        scores: Tensor = self(batch.audio, batch.motion, batch.n_chunks)
        return scores

    def save(self, path: Path | str) -> None:
        """Write weights and sizes to one `.safetensors` file; a subclass as a `RewardNet`."""
        if type(self) is not RewardTransformer:
            super().save(path)
            return
        sizes = {"audio_dim": self.audio_dim, "motion_dim": self.motion_dim}
        config = asdict(self.config)
        save_weights(Path(path), self.state_dict(), kind="reward model", config=config, **sizes)


def load_reward(path: Path) -> RewardTransformer:
    """Read a model that `RewardTransformer.save` wrote, ready to score.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """

    def build(config: dict[str, Any], **sizes: int) -> RewardTransformer:
        config = renamed_keys(config, old_names_of(RewardConfig), silent=True)
        return RewardTransformer(from_sizes(RewardConfig, config), **sizes)

    return load_module(path, build, kind="reward model").requires_grad_(False)
