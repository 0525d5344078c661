"""Save and load policy networks as `.safetensors`, and write animations with them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from agents.network.transformer import MotionTransformer, PolicyConfig
from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate, sequence_seeds
from esarm_env.core.run_layout import POLICY_FILE as POLICY_FILE
from esarm_env.core.types import FloatArray, IntArray, Trajectories
from esarm_env.core.weights import load_module, save_weights

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask
    from reward.demonstrations import RollOut


def save_policy(model: MotionTransformer, weights: dict[str, Tensor], path: Path) -> None:
    """Write `weights` of `model` and its sizes to one file."""
    save_weights(path, weights, kind="policy", **asdict(model.config))


def load_policy(path: Path) -> MotionTransformer:
    """Read a policy that `save_policy` wrote, ready to act.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """

    def build(**sizes: Any) -> MotionTransformer:
        return MotionTransformer(PolicyConfig(**sizes))

    return load_module(path, build, kind="policy")


def roll_out_with(
    model: MotionTransformer, task: AnimationTask, *, batch_size: int = 64
) -> RollOut:
    """Return `model` as what collects demonstrations; rows depend on nothing but their seeds."""

    def roll_out(
        utterances: IntArray,
        *,
        condition: FloatArray,
        temperature: float,
        epsilon: float,
        seeds: IntArray,
    ) -> Trajectories:
        rollout = generate(
            model,
            task,
            utterances,
            condition=condition,
            decoding=Decoding(temperature=temperature, epsilon=epsilon),
            seeds=seeds,
            batch_size=batch_size,
        )
        return Trajectories(utterances, rollout.tokens, rollout.lengths, condition)

    return roll_out


def animate_utterances(
    model: MotionTransformer,
    task: AnimationTask,
    utterances: IntArray,
    *,
    decoding: Decoding,
    seed: int,
    sample: int = 0,
) -> Trajectories:
    """Return one animation of each utterance under its recorded condition.

    Args:
        model: The policy.
        task: Gives audio and conditions.
        utterances: Shape (N,).
        decoding: Greedy, sampled or noisy.
        seed: Of the run.
        sample: Number of the sample; another number gives other random choices.
    """
    condition = task.condition_of(utterances)
    samples = np.full(len(utterances), sample)
    seeds = sequence_seeds(run=seed, iteration=0, utterances=utterances, samples=samples)
    rollout = generate(model, task, utterances, condition=condition, decoding=decoding, seeds=seeds)
    return Trajectories(utterances, rollout.tokens, rollout.lengths, condition)
