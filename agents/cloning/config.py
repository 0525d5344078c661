"""Settings of behaviour cloning."""

from __future__ import annotations

import math
from dataclasses import dataclass

from esarm_env.core.deprecation import renamed_fields


@renamed_fields(batch_size="batch_sequences")
@dataclass(frozen=True)
class CloneConfig:
    """Settings of behaviour cloning.

    Attributes:
        n_layers: Transformer blocks of the policy.
        n_heads: Attention heads.
        width: Width of the residual stream.
        dropout: Only while cloning.
        epochs: At most this many passes over the training utterances.
        patience: Stop after this many epochs without a better validation loss.
        batch_sequences: Demonstrated sequences per update.
        learning_rate: Highest value; warmed up over the first epoch, then falling to 2 % of it.
        weight_decay: Of AdamW.
        label_smoothing: Share of probability spread over all tokens.
        distance_smoothing: Share of the target that is spread over codes by how much they look like
            the recorded one.
        distance_scale_mm: Distance at which that falls to 1/e.
        start_from_looks: Whether untrained weights of tokens begin alike for codes that look alike,
            where the task knows how far apart codes look (`agents.network.geometry`).
        scheduled_sampling: Share of past tokens that are the model's own in the last update; it
            rises from 0 in a straight line over `epochs`.
        speaker_dropout: How often the speaker is hidden, so that "unknown" means "average".
        feature_noise: Spread of the noise added to audio features.
        token_noise: Share of past tokens replaced at random, against drifting off the recordings.
    """

    n_layers: int = 2
    n_heads: int = 4
    width: int = 128
    dropout: float = 0.15
    epochs: int = 9
    patience: int = 4
    batch_sequences: int = 8
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    distance_smoothing: float = 0.0
    distance_scale_mm: float = 0.3
    start_from_looks: bool = True
    scheduled_sampling: float = 0.0
    speaker_dropout: float = 0.2
    feature_noise: float = 0.1
    token_noise: float = 0.05

    def check(self) -> None:
        """Check the ranges of what training reads; a trainer calls it before anything else.

        Raises:
            ValueError: If a setting is out of its range.
        """
        if min(self.patience, self.epochs) < 1:
            raise ValueError(
                f"`patience` and `epochs` must be at least 1, got {self.patience} and {self.epochs}"
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be in [0, 1), got {self.label_smoothing}")
        if self.batch_sequences < 1:
            raise ValueError(f"`batch_sequences` must be at least 1, got {self.batch_sequences}")
        for name in ("learning_rate", "weight_decay", "feature_noise"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"`{name}` must be at least 0 and finite, got {value}")
        if not 0 < self.distance_scale_mm < float("inf"):
            raise ValueError(f"`distance_scale_mm` must be above 0, got {self.distance_scale_mm}")
        for name in ("distance_smoothing", "scheduled_sampling", "speaker_dropout", "token_noise"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], got {share}")
