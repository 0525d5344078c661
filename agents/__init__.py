"""Who acts: the transformer policy, behaviour cloning, sequence trainers, baselines.

Of ours only `esarm_env.core` is imported here: agents see the environment through
`agents.protocols`. A name or a part (`agents.stock`) is imported when it is first used: who
animates waits for no trainer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.cloning import BehaviourCloning, CloneConfig, CloneTrainer, Demonstrations
    from agents.collectors.collector import Collector, LocalCollector
    from agents.collectors.ray_collector import RayCollector
    from agents.common.callback_frequencies import CallbackFrequencyWarning
    from agents.common.episode_algorithm import EpisodeAlgorithm
    from agents.common.sequence_algorithm import SequenceAlgorithm
    from agents.differentiable import SequenceDiffReward
    from agents.distillation import SequenceDistillation
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

_HOMES = {
    "BehaviourCloning": "agents.cloning",
    "CallbackFrequencyWarning": "agents.common.callback_frequencies",
    "CloneConfig": "agents.cloning",
    "CloneTrainer": "agents.cloning",
    "Collector": "agents.collectors.collector",
    "Decoding": "agents.rollout.decoding",
    "Demonstrations": "agents.cloning",
    "EpisodeAlgorithm": "agents.common.episode_algorithm",
    "EpisodeBatch": "agents.rollout.buffer",
    "EpisodeBuffer": "agents.rollout.buffer",
    "HeldOut": "agents.monitoring.held_out",
    "LocalCollector": "agents.collectors.collector",
    "MotionPolicy": "agents.policy",
    "MotionTransformer": "agents.network.transformer",
    "POLICY_FILE": "esarm_env.core.run_layout",
    "PolicyConfig": "agents.network.transformer",
    "PolicySession": "agents.network.session",
    "RayCollector": "agents.collectors.ray_collector",
    "RewardHackingCallback": "agents.monitoring.hacking",
    "RewardHackingWarning": "agents.monitoring.hacking",
    "SequenceAlgorithm": "agents.common.sequence_algorithm",
    "SequenceDistillation": "agents.distillation",
    "SequenceDiffReward": "agents.differentiable",
    "SequenceGRPO": "agents.grpo",
    "SequencePPO": "agents.ppo",
    "SequenceReinforce": "agents.reinforce",
    "StreamingAnimator": "agents.rollout.streaming",
    "TrainingFault": "agents.faults",
    "TransformerActorCriticPolicy": "agents.stock",
    "animate": "agents.rollout.animation",
    "animate_utterances": "agents.rollout.animation",
    "best_of_n": "agents.rollout.best_of_n",
    "load_policy": "agents.weights",
    "policy_kwargs_of": "agents.stock",
    "register_algorithm": "agents.registry",
    "roll_out_with": "agents.rollout.animation",
    "save_policy": "agents.weights",
}

_PARTS = (
    *(
        "baselines",
        "cloning",
        "collectors",
        "common",
        "differentiable",
        "distillation",
        "faults",
        "grpo",
    ),
    *("interpolation", "monitoring", "network", "policy", "ppo", "protocols", "registry"),
    *("reinforce", "rollout", "stock", "weights"),
)

__all__ = [
    "POLICY_FILE",
    "BehaviourCloning",
    "CallbackFrequencyWarning",
    "CloneConfig",
    "CloneTrainer",
    "Collector",
    "Decoding",
    "Demonstrations",
    "EpisodeAlgorithm",
    "EpisodeBatch",
    "EpisodeBuffer",
    "HeldOut",
    "LocalCollector",
    "MotionPolicy",
    "MotionTransformer",
    "PolicyConfig",
    "PolicySession",
    "RayCollector",
    "RewardHackingCallback",
    "RewardHackingWarning",
    "SequenceAlgorithm",
    "SequenceDiffReward",
    "SequenceDistillation",
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


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"agents.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'agents' has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found  # asked for once
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
