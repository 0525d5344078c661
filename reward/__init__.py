"""What is good: ranked demonstrations, the reward model, and rewards by name.

Names are imported when they are first used: listing the rewards needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from esarm_env.core.deprecation import moved

if TYPE_CHECKING:
    from reward.demonstrations import RankedDemonstrations, load_demonstrations
    from reward.demonstrations.order import SoftLabels
    from reward.pairs.from_preferences import open_preferences
    from reward.pairs.from_ranks import RankedPairs
    from reward.pairs.labelled import LabelledPairs, PairSource
    from reward.plugins.closure import ClosureReward
    from reward.plugins.emotion import EmotionReward
    from reward.plugins.ensemble import EnsembleReward
    from reward.plugins.learned import LearnedReward, open_learned
    from reward.plugins.motion_alone import JerkReward, LivelinessReward, ZeroReward
    from reward.plugins.oracle import ClosureTruthReward, ErrorReward
    from reward.plugins.synchrony import SynchronyReward
    from reward.rank_measures import pair_accuracy, ranking_loss
    from reward.ranking.network import RewardConfig, RewardTransformer
    from reward.ranking.pair_training import PairTrainer
    from reward.ranking.training import RewardTrainer

_HOMES = {
    "ClosureReward": "plugins.closure",
    "ClosureTruthReward": "plugins.oracle",
    "RankedDemonstrations": "demonstrations",
    "EmotionReward": "plugins.emotion",
    "EnsembleReward": "plugins.ensemble",
    "ErrorReward": "plugins.oracle",
    "JerkReward": "plugins.motion_alone",
    "LabelledPairs": "pairs.labelled",
    "LearnedReward": "plugins.learned",
    "LivelinessReward": "plugins.motion_alone",
    "PairSource": "pairs.labelled",
    "PairTrainer": "ranking.pair_training",
    "RankedPairs": "pairs.from_ranks",
    "RewardConfig": "ranking.network",
    "RewardTrainer": "ranking.training",
    "RewardTransformer": "ranking.network",
    "SoftLabels": "demonstrations.order",
    "SynchronyReward": "plugins.synchrony",
    "ZeroReward": "plugins.motion_alone",
    "load_demonstrations": "demonstrations",
    "open_learned": "plugins.learned",
    "open_preferences": "pairs.from_preferences",
    "pair_accuracy": "rank_measures",
    "ranking_loss": "rank_measures",
}

__all__ = [
    "ClosureReward",
    "ClosureTruthReward",
    "EmotionReward",
    "EnsembleReward",
    "ErrorReward",
    "JerkReward",
    "LabelledPairs",
    "LearnedReward",
    "LivelinessReward",
    "PairSource",
    "PairTrainer",
    "RankedDemonstrations",
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


_old_name = moved(__name__, {"Demonstrations": "reward:RankedDemonstrations"})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        return _old_name(name)
    return getattr(import_module(f"reward.{_HOMES[name]}"), name)
