"""Who acts: the transformer policy, behaviour cloning, sequence trainers, baselines.

Of ours only `esarm_env.core` is imported here: agents see the environment through
`agents.protocols`.
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
from agents.rollout.animation import animate, animate_utterances, roll_out_with
from agents.rollout.best_of_n import best_of_n
from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer
from agents.rollout.decoding import Decoding
from agents.rollout.streaming import StreamingAnimator
from agents.stock import TransformerActorCriticPolicy, policy_kwargs_of
from agents.weights import load_policy, save_policy
from esarm_env.core.run_layout import POLICY_FILE

__all__ = [
    "POLICY_FILE",
    "BehaviourCloning",
    "CloneConfig",
    "CloneTrainer",
    "Decoding",
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
    "StreamingAnimator",
    "TrainingFault",
    "TransformerActorCriticPolicy",
    "animate",
    "animate_utterances",
    "best_of_n",
    "load_policy",
    "policy_kwargs_of",
    "register_algorithm",
    "roll_out_with",
    "save_policy",
]
