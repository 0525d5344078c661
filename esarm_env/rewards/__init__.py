"""Rewards as plug-ins: what is installed, and the weighted sum an environment pays.

- `registry`: rewards by name, from the entry-point group `esarm.rewards` or `register_reward`; a
  name, an object or weights become a `CombinedReward`.
- `combined`: the weighted sum; its terms stay visible.
- `chunks`: scores by chunk of tokens, for whoever pays or learns before the end.
- `gradients`: scores with a gradient to the tokens, for `agents.SequenceDiffReward`.
- `validation`: what a reward returns; `RewardError` names who failed on what.
"""

from esarm_env.core.run_layout import REWARD_FILE
from esarm_env.rewards.combined import CombinedReward, RewardTerm, Scores
from esarm_env.rewards.registry import (
    REWARD_GROUP,
    REWARDS,
    InstalledReward,
    RewardChoice,
    RewardFactory,
    find_rewards,
    register_reward,
    resolve_reward,
    reward_names,
)
from esarm_env.rewards.validation import RewardError

__all__ = [
    "REWARDS",
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
