"""Settings of behaviour cloning."""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.core.deprecation import renamed_fields
from esarm_env.core.training.ranges import ABOVE_0, BELOW_1, SHARE, check_ranges, ranges


@renamed_fields(batch_size="batch_sequences")
@ranges(
    dropout=BELOW_1,
    learning_rate=ABOVE_0,
    label_smoothing=BELOW_1,
    distance_smoothing=SHARE,
    distance_scale_mm=ABOVE_0,
    scheduled_sampling=SHARE,
    speaker_dropout=SHARE,
    token_noise=SHARE,
)
@dataclass(frozen=True)
class CloneConfig:
    """Settings of behaviour cloning.

    Attributes:
        n_layers: Transformer blocks of the policy.
        n_heads: Attention heads.
        width: Width of the residual stream.
        dropout: Dropout while cloning; RL uses none.
        epochs: At most this many passes over the training utterances.
        patience: Stop after this many epochs without a better validation loss.
        batch_sequences: Demonstrated sequences per update.
        learning_rate: Highest learning rate; it rises over the first epoch, then falls to 2 %.
        weight_decay: Weight decay (AdamW).
        label_smoothing: Share of probability spread over all tokens.
        distance_smoothing: Share of the target that is spread over codes by how much they look like
            the recorded one.
        distance_scale_mm: Distance in mm at which that likeness falls to 1/e.
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
    epochs: int = 8
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
        """Check the ranges of all settings; a trainer calls it before anything else.

        Raises:
            ValueError: If a setting is out of its range.
        """
        check_ranges(self)
