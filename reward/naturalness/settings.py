"""Settings of the naturalness model: its weight, sizes and training."""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.core.training.ranges import ABOVE_0, BELOW_1, MAY_BE_0, SHARE, ranges


@ranges(
    weight=MAY_BE_0,
    train_utterances=MAY_BE_0,
    dropout=BELOW_1,
    learning_rate=ABOVE_0,
    hidden_speakers=SHARE,
)
@dataclass(frozen=True)
class NaturalnessConfig:
    """The reward's second head, beside the recipe `consensus`.

    Attributes:
        weight: Of naturalness in the reward `learned`, where expected error has weight 1; both are
            in units of their spread among the policy's animations. 0 trains none.
        train_utterances: Training utterances to learn from (evenly spaced ones of those that the
            consensus model learns from); 0 means all of these.
        width: Of the network.
        dropout: In training.
        epochs: Passes over the utterances, at most: the best on validation utterances is taken.
        batch_utterances: Utterances per update.
        learning_rate: Of AdamW, falling to zero along a cosine.
        weight_decay: Of AdamW.
        hidden_speakers: Share of the utterances whose speaker is hidden, so that new speakers can
            be judged.
    """

    weight: float = 0.3
    train_utterances: int = 320
    width: int = 64
    dropout: float = 0.2
    epochs: int = 5
    batch_utterances: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    hidden_speakers: float = 0.15
