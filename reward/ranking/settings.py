"""Settings of the paper's reward model and its training."""

from __future__ import annotations

from dataclasses import dataclass

from esarm_env.core.deprecation import renamed_fields
from esarm_env.core.training.ranges import ABOVE_0, ABOVE_0_TO_1, BELOW_1, ranges

POOLINGS = ("mean", "last")
PREFIXES, ATTENTION = "prefixes", "attention"
CHUNK_CREDITS = (PREFIXES, ATTENTION)


@renamed_fields(batch_size="batch_utterances")
@ranges(dropout=BELOW_1, learning_rate=ABOVE_0, shortest_crop=ABOVE_0_TO_1)
@dataclass(frozen=True)
class RewardConfig:
    """Sizes of the reward model and settings of its training.

    Attributes:
        n_layers: Transformer blocks.
        n_heads: Attention heads.
        width: Width of the residual stream, even.
        dropout: Dropout while training.
        epochs: Passes over the training utterances.
        batch_utterances: Utterances per update; each brings one animation of every noise level.
        learning_rate: Learning rate (AdamW), falling to zero along a cosine.
        weight_decay: Weight decay (AdamW).
        shortest_crop: Least share of an utterance that a training crop keeps.
        pooling: How the scores of an animation's chunks become one: their `mean`, or the score of
            the `last` chunk, which has seen all.
        chunk_credit: How the score is shared among chunks: by the difference of the scores up to
            and before each (`prefixes`; RED, Li et al. 2025), or by the last layer's `attention` to
            it (ABC, Chan et al. 2024, arXiv:2402.00782).
    """

    n_layers: int = 2
    n_heads: int = 4
    width: int = 96
    dropout: float = 0.1
    epochs: int = 10
    batch_utterances: int = 16
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    shortest_crop: float = 0.5
    pooling: str = "mean"
    chunk_credit: str = PREFIXES
