"""What is good: ranked demonstrations, the reward model, and rewards by name.

Names are imported when they are first used: listing the rewards needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reward.closure import ClosureReward
    from reward.constant import ZeroReward
    from reward.demonstrations import Demonstrations
    from reward.emotion import EmotionReward
    from reward.ensemble import EnsembleReward
    from reward.learned import LearnedReward, open_learned
    from reward.liveliness import LivelinessReward
    from reward.model import RewardConfig, RewardTransformer
    from reward.oracle import ClosureTruthReward, ErrorReward
    from reward.ranking import pair_accuracy, ranking_loss
    from reward.smoothness import JerkReward
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
    "LearnedReward": "learned",
    "LivelinessReward": "liveliness",
    "RewardConfig": "model",
    "RewardTrainer": "training",
    "RewardTransformer": "model",
    "SynchronyReward": "synchrony",
    "ZeroReward": "constant",
    "open_learned": "learned",
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
    "LearnedReward",
    "LivelinessReward",
    "RewardConfig",
    "RewardTrainer",
    "RewardTransformer",
    "SynchronyReward",
    "ZeroReward",
    "open_learned",
    "pair_accuracy",
    "ranking_loss",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reward' has no attribute {name!r}")
    return getattr(import_module(f"reward.{_HOMES[name]}"), name)
