"""Animation of recordings and utterances with a policy network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from agents.rollout.decoding import Decoding
from agents.rollout.generation import generate
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import FloatArray, IntArray, Trajectories

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.protocols import RecordedSpeech, SequenceTask, SpeechTask


def animate(
    model: MotionTransformer,
    speech: RecordedSpeech,
    *,
    temperature: float = 0.0,
    seed: int = 0,
) -> FloatArray:
    """Return the animation of a recording of any length: curves (T, 52) at 30 fps.

    Args:
        model: The policy, for instance `load_policy()`.
        speech: Of `esarm_env.open_speech`, with the run that the policy comes from.
        temperature: 0 takes the most likely motion, 1 samples.
        seed: Of sampling, at least 0.

    Raises:
        InputError: If the recording was read for a policy of another run.
    """
    pieces = np.arange(len(speech.lengths))
    widths = {
        "window_dim": speech.audio_windows(pieces[:1]).shape[-1],
        "condition_dim": speech.condition_of(pieces[:1]).shape[-1],
    }
    for name, width in widths.items():
        if getattr(model.config, name) != width:
            raise InputError(
                f"`speech` must have the `{name}` of the policy ({getattr(model.config, name)}), "
                f"got {width}; open it with the run that the policy comes from"
            )
    decoding = Decoding(temperature=temperature)
    written = animate_utterances(model, speech, pieces, decoding=decoding, seed=seed)
    rows = zip(written.tokens, written.lengths, strict=True)
    return speech.join([tokens[:length] for tokens, length in rows])


def animate_utterances(
    model: MotionTransformer,
    task: SequenceTask | RecordedSpeech,
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
