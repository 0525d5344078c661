"""What is good: ranked demonstrations, the reward model, and rewards by name.

Names are imported when they are first used: listing the rewards needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from esarm_env.core.deprecation import moved

if TYPE_CHECKING:
    from reward.demonstrations import (
        RankedDemonstrations,
        collect,
        damaged,
        ground_truth,
        load_demonstrations,
        motions_of,
    )
    from reward.demonstrations.order import SoftLabels
    from reward.nets.base import RewardNet
    from reward.nets.files import load_net
    from reward.pairs.from_preferences import Choices, open_preferences, pairs_of_preferences
    from reward.pairs.from_ranks import RankedPairs
    from reward.pairs.labelled import LabelledPairs, PairSource, pairs_of_scores
    from reward.pairs.preference_file import (
        Preference,
        RatedAnimation,
        add_preference,
        motion_digest,
        read_preferences,
        write_preferences,
    )
    from reward.plugins.closure import ClosureReward
    from reward.plugins.emotion import EmotionReward
    from reward.plugins.ensemble import EnsembleReward
    from reward.plugins.learned import LearnedReward, open_learned
    from reward.plugins.motion_alone import JerkReward, LivelinessReward, ZeroReward
    from reward.plugins.oracle import ClosureTruthReward, ErrorReward
    from reward.plugins.synchrony import SynchronyReward
    from reward.rank_measures import pair_accuracy, ranking_loss
    from reward.ranking.network import RewardTransformer
    from reward.ranking.pair_training import PairTrainer
    from reward.ranking.settings import RewardConfig
    from reward.ranking.training import RewardTrainer

_HOMES = {
    "Choices": "pairs.from_preferences",
    "ClosureReward": "plugins.closure",
    "ClosureTruthReward": "plugins.oracle",
    "EmotionReward": "plugins.emotion",
    "EnsembleReward": "plugins.ensemble",
    "ErrorReward": "plugins.oracle",
    "JerkReward": "plugins.motion_alone",
    "LabelledPairs": "pairs.labelled",
    "LearnedReward": "plugins.learned",
    "LivelinessReward": "plugins.motion_alone",
    "PairSource": "pairs.labelled",
    "PairTrainer": "ranking.pair_training",
    "Preference": "pairs.preference_file",
    "RankedDemonstrations": "demonstrations",
    "RankedPairs": "pairs.from_ranks",
    "RatedAnimation": "pairs.preference_file",
    "RewardConfig": "ranking.settings",
    "RewardNet": "nets.base",
    "RewardTrainer": "ranking.training",
    "RewardTransformer": "ranking.network",
    "SoftLabels": "demonstrations.order",
    "SynchronyReward": "plugins.synchrony",
    "ZeroReward": "plugins.motion_alone",
    "add_preference": "pairs.preference_file",
    "collect": "demonstrations",
    "damaged": "demonstrations",
    "ground_truth": "demonstrations",
    "load_demonstrations": "demonstrations",
    "load_net": "nets.files",
    "motion_digest": "pairs.preference_file",
    "motions_of": "demonstrations",
    "open_learned": "plugins.learned",
    "open_preferences": "pairs.from_preferences",
    "pair_accuracy": "rank_measures",
    "pairs_of_preferences": "pairs.from_preferences",
    "pairs_of_scores": "pairs.labelled",
    "ranking_loss": "rank_measures",
    "read_preferences": "pairs.preference_file",
    "write_preferences": "pairs.preference_file",
}

__all__ = [
    "Choices",
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
    "Preference",
    "RankedDemonstrations",
    "RankedPairs",
    "RatedAnimation",
    "RewardConfig",
    "RewardNet",
    "RewardTrainer",
    "RewardTransformer",
    "SoftLabels",
    "SynchronyReward",
    "ZeroReward",
    "add_preference",
    "collect",
    "damaged",
    "ground_truth",
    "load_demonstrations",
    "load_net",
    "motion_digest",
    "motions_of",
    "open_learned",
    "open_preferences",
    "pair_accuracy",
    "pairs_of_preferences",
    "pairs_of_scores",
    "ranking_loss",
    "read_preferences",
    "write_preferences",
]


_old_name = moved(__name__, {"Demonstrations": "reward:RankedDemonstrations"})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        return _old_name(name)
    return getattr(import_module(f"reward.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
