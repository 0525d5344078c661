"""Who acts: the transformer policy, behaviour cloning, sequence trainers, baselines.

Nothing of ours is imported here: agents see the environment through `agents.common.protocols`.
"""

from agents.cloning import BehaviourCloning, CloneConfig, CloneTrainer, Demonstrations
from agents.common.buffer import EpisodeBatch, EpisodeBuffer
from agents.common.faults import TrainingFault
from agents.common.hacking import RewardHackingCallback, RewardHackingWarning
from agents.common.held_out import HeldOut
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.policy import MotionPolicy
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from agents.session import PolicySession
from agents.stock import TransformerActorCriticPolicy, policy_kwargs_of
from agents.transformer import MotionTransformer, PolicyConfig

__all__ = [
    "BehaviourCloning",
    "CloneConfig",
    "CloneTrainer",
    "Demonstrations",
    "EpisodeBatch",
    "EpisodeBuffer",
    "HeldOut",
    "MotionPolicy",
    "MotionTransformer",
    "PolicyConfig",
    "PolicySession",
    "RewardHackingCallback",
    "RewardHackingWarning",
    "SequenceAlgorithm",
    "SequenceGRPO",
    "SequencePPO",
    "SequenceReinforce",
    "TrainingFault",
    "TransformerActorCriticPolicy",
    "policy_kwargs_of",
]
