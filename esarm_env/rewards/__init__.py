"""Rewards as plug-ins: what is installed, and the weighted sum an environment pays.

- `registry`: rewards by name, from the entry-point group `esarm.rewards` or `register_reward`.
- `resolving`: a name, an object or weights become a `CombinedReward`.
- `combined`: the weighted sum; its terms stay visible.
- `checking`: what a reward returns; `RewardError` names who failed on what.
"""

from esarm_env.core.run_layout import REWARD_FILE
from esarm_env.rewards.combined import CombinedReward, RewardTerm, Scores
from esarm_env.rewards.registry import (
    REWARD_GROUP,
    InstalledReward,
    RewardFactory,
    find_rewards,
    register_reward,
    reward_names,
)
from esarm_env.rewards.resolution import RewardChoice, resolve_reward
from esarm_env.rewards.validation import RewardError

__all__ = [
    "REWARD_FILE",
    "REWARD_GROUP",
    "CombinedReward",
    "InstalledReward",
    "RewardChoice",
    "RewardError",
    "RewardFactory",
    "RewardTerm",
    "Scores",
    "find_rewards",
    "register_reward",
    "resolve_reward",
    "reward_names",
]
