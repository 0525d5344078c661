"""Training through the reward's own gradient, in place of a policy gradient.

- `choices`: straight-through choices: sampled tokens forward, soft probabilities backward.
- `guard`: what is watched and never climbed, and when it says stop.
- `diff_reward`: the algorithm: choices through decoder and reward, divergence, guard.
"""

from agents.differentiable.diff_reward import SequenceDiffReward

__all__ = ["SequenceDiffReward"]
