"""Who acts: the transformer policy, behaviour cloning, sequence trainers, baselines.

Nothing of ours is imported here: agents see the environment through `agents.protocols`.
"""

from agents.cloning import BehaviourCloning, CloneConfig, CloneTrainer, Demonstrations
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.faults import TrainingFault
from agents.grpo import SequenceGRPO
from agents.monitoring.hacking import RewardHackingCallback, RewardHackingWarning
from agents.monitoring.held_out import HeldOut
from agents.network.session import PolicySession
from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.policy import MotionPolicy
from agents.ppo import SequencePPO
from agents.registry import register_algorithm
from agents.reinforce import SequenceReinforce
from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer
from agents.stock import TransformerActorCriticPolicy, policy_kwargs_of

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
    "register_algorithm",
]
