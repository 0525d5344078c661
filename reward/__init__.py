"""What is good: ranked demonstrations, the reward model, and rewards by name.

Names are imported when they are first used: listing the rewards needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reward.closure import ClosureReward
    from reward.constant import ZeroReward
    from reward.demonstrations import Demonstrations, load_demonstrations
    from reward.emotion import EmotionReward
    from reward.ensemble import EnsembleReward
    from reward.labelled_pairs import LabelledPairs
    from reward.learned import LearnedReward, open_learned
    from reward.liveliness import LivelinessReward
    from reward.model import RewardConfig, RewardTransformer
    from reward.oracle import ClosureTruthReward, ErrorReward
    from reward.pair_source import PairSource
    from reward.pair_training import PairTrainer
    from reward.pairs import RankedPairs
    from reward.preference_pairs import open_preferences
    from reward.ranking import pair_accuracy, ranking_loss
    from reward.smoothness import JerkReward
    from reward.soft_labels import SoftLabels
    from reward.synchrony import SynchronyReward
    from reward.training import RewardTrainer

_HOMES = {
    "ClosureReward": "closure",
    "ClosureTruthReward": "oracle",
    "Demonstrations": "demonstrations",
    "EmotionReward": "emotion",
    "EnsembleReward": "ensemble",
    "ErrorReward": "oracle",
    "JerkReward": "smoothness",
    "LabelledPairs": "labelled_pairs",
    "LearnedReward": "learned",
    "LivelinessReward": "liveliness",
    "RewardConfig": "model",
    "RewardTrainer": "training",
    "RewardTransformer": "model",
    "SynchronyReward": "synchrony",
    "PairSource": "pair_source",
    "PairTrainer": "pair_training",
    "RankedPairs": "pairs",
    "SoftLabels": "soft_labels",
    "ZeroReward": "constant",
    "load_demonstrations": "demonstrations",
    "open_learned": "learned",
    "open_preferences": "preference_pairs",
    "pair_accuracy": "ranking",
    "ranking_loss": "ranking",
}

__all__ = [
    "ClosureReward",
    "ClosureTruthReward",
    "Demonstrations",
    "EmotionReward",
    "EnsembleReward",
    "ErrorReward",
    "JerkReward",
    "LabelledPairs",
    "LearnedReward",
    "LivelinessReward",
    "PairSource",
    "PairTrainer",
    "RankedPairs",
    "RewardConfig",
    "RewardTrainer",
    "RewardTransformer",
    "SoftLabels",
    "SynchronyReward",
    "ZeroReward",
    "load_demonstrations",
    "open_learned",
    "open_preferences",
    "pair_accuracy",
    "ranking_loss",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reward' has no attribute {name!r}")
    return getattr(import_module(f"reward.{_HOMES[name]}"), name)
