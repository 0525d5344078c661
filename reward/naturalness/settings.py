"""Settings of the naturalness model: its weight, sizes and training."""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.core.training.ranges import ABOVE_0, BELOW_1, MAY_BE_0, SHARE, ranges


@ranges(
    weight=MAY_BE_0,
    train_utterances=MAY_BE_0,
    graded=SHARE,
    dropout=BELOW_1,
    learning_rate=ABOVE_0,
    hidden_speakers=SHARE,
)
@dataclass(frozen=True)
class NaturalnessConfig:
    """The reward's second head, beside the recipe `consensus`.

    Attributes:
        weight: Weight of naturalness in the reward `learned`, where expected error has 1: how far
            recordings stand above what policies write, in units of the spread of expected errors
            among the clone's samples. 0 trains none.
        graded: Share of the score that is linear in the log-odds; the rest is paid for what is as
            good as surely recorded. More of it ranks a policy's own samples more by naturalness and
            less by their expected error.
        train_utterances: Training utterances to learn from (evenly spaced ones of those that the
            consensus model learns from); 0 means all of these. Every second one is animated without
            chance as well.
        width: Width of the network.
        dropout: Dropout while training.
        epochs: Passes over the utterances, at most: the best on validation utterances is taken.
        batch_utterances: Utterances per update.
        learning_rate: Learning rate (AdamW), falling to zero along a cosine.
        weight_decay: Weight decay (AdamW).
        hidden_speakers: Share of the utterances whose speaker is hidden, so that new speakers can
            be judged.
    """

    weight: float = 2.0
    graded: float = 0.1
    train_utterances: int = 480
    width: int = 64
    dropout: float = 0.2
    epochs: int = 4
    batch_utterances: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    hidden_speakers: float = 0.15
