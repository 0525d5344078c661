"""What is good: ranked demonstrations, the reward model, and rewards by name."""

from reward.demonstrations import Demonstrations
from reward.learned import LearnedReward, open_learned
from reward.model import RewardConfig, RewardTransformer
from reward.oracle import ErrorReward
from reward.ranking import pair_accuracy, ranking_loss
from reward.training import RewardTrainer

__all__ = [
    "Demonstrations",
    "ErrorReward",
    "LearnedReward",
    "RewardConfig",
    "RewardTrainer",
    "RewardTransformer",
    "open_learned",
    "pair_accuracy",
    "ranking_loss",
]
