"""Animations of a task's utterances as trajectories, written with a policy network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import FloatArray, IntArray, Trajectories

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.protocols import SequenceTask, SpeechTask


def animate_utterances(
    model: MotionTransformer,
    task: SequenceTask,
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
    seeds = sequence_seeds(run_seed=seed, iteration=0, utterances=utterances, samples=sample)
    rollout = generate(model, task, utterances, condition=condition, decoding=decoding, seeds=seeds)
    return Trajectories(utterances, rollout.tokens, rollout.lengths, condition)


def roll_out_with(
    model: MotionTransformer, task: SpeechTask, *, batch_size: int = 64
) -> Callable[..., Trajectories]:
    """Return `model` as what collects demonstrations (a `RollOut` of `reward.demonstrations`).

    Args:
        model: The policy.
        task: Gives audio and lengths.
        batch_size: Sequences that are stepped together; rows depend on nothing but their seeds.
    """

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
