"""Settings of the consensus reward: sizes and training."""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.core.deprecation import renamed_fields
from esarm_env.core.training.ranges import ABOVE_0, AT_LEAST_2, BELOW_1, MAY_BE_0, SHARE, ranges

FAMILIES = (
    "neighbour-codes",
    "mouth:random-codes",
    "upper:random-codes",
    "temperature",
    "policy-emotion",
    "policy-intensity",
    "time-shift",
    "frozen-span",
    "repetition",
    "over-smoothing",
    "over-amplification",
    "wrong-emotion",
    "wrong-intensity",
    "shuffled-audio",
    "other-upper",
)
COMBINATIONS = ("mean", "minimum")


@renamed_fields(batch_size="batch_utterances")
@ranges(
    train_utterances=MAY_BE_0,
    samples=AT_LEAST_2,
    damages=MAY_BE_0,
    dropout=BELOW_1,
    others_per_update=MAY_BE_0,
    learning_rate=ABOVE_0,
    hidden_speakers=SHARE,
)
@dataclass(frozen=True)
class ConsensusConfig:
    """The recipe `consensus`.

    Attributes:
        members: Number of models in the ensemble; they share the data, not the random numbers.
        combination: How the members' scores are combined: `mean`, or the `minimum` of each stream.
        disagreement: Weight of the members' spread that is taken off the mean score.
        train_utterances: Training utterances to learn from (evenly spaced ones); 0 means all.
        samples: Animations of each of them drawn from the policy; at least 2.
        families: Kinds of damage to learn from (`reward.demonstrations.corruptions`).
        strengths: Strengths of the damage, each above 0 and at most 1.
        damages: Families, drawn for each utterance, that damage a sample of it at every strength.
        n_layers: Transformer blocks.
        n_heads: Attention heads.
        width: Width of the residual stream, even.
        imagined: Faces that are imagined per chunk.
        rank: Directions in which two faces are compared.
        hidden: Width of the small networks behind.
        dropout: Dropout while training.
        margin: How far ground truth stands above a sample, in units of a sample's spread.
        epochs: Passes over the training utterances.
        batch_utterances: Utterances per update.
        samples_per_update: Number of each utterance's `samples` in an update.
        others_per_update: Number of each utterance's noisy and damaged animations in an update.
        learning_rate: Learning rate (AdamW), falling to zero along a cosine.
        weight_decay: Weight decay (AdamW).
        hidden_speakers: Share of the utterances whose speaker is hidden, so that new speakers can
            be judged.
    """

    members: int = 1
    combination: str = "mean"
    disagreement: float = 0.0
    train_utterances: int = 640
    samples: int = 8
    families: tuple[str, ...] = FAMILIES
    strengths: tuple[float, ...] = (0.25, 0.5, 1.0)
    damages: int = 4
    n_layers: int = 2
    n_heads: int = 4
    width: int = 96
    imagined: int = 8
    rank: int = 12
    hidden: int = 96
    dropout: float = 0.1
    margin: float = 6.0
    epochs: int = 12
    batch_utterances: int = 16
    samples_per_update: int = 8
    others_per_update: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    hidden_speakers: float = 0.15
