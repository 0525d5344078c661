"""Who acts: the transformer policy, behaviour cloning, sequence trainers, baselines.

Nothing of ours is imported here: agents see the environment through `agents.common.protocols`.
"""

from agents.cloning import BehaviourCloning, CloneConfig
from agents.policy import MotionPolicy
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from agents.session import PolicySession
from agents.transformer import MotionTransformer, PolicyConfig

__all__ = [
    "BehaviourCloning",
    "CloneConfig",
    "MotionPolicy",
    "MotionTransformer",
    "PolicyConfig",
    "PolicySession",
    "SequencePPO",
    "SequenceReinforce",
]
