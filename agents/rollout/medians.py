"""Medians of several animations of an utterance, frame by frame and curve by curve.

Of all curves the median is the one with the least mean absolute distance to what the policy would
draw: minimum Bayes risk (Kumar and Byrne 2004; sampled, Eikema and Aziz 2022) over whole
animations. Decoding by expected distance is the same token by token, after tokens that are decided;
the median is taken over all ways to begin, so that a policy that could go on in several styles does
not settle for the first. It is written through the tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.protocols import CurvedSpeech, MedianTask
from agents.rollout.generation import generate
from esarm_env.core.errors import InputError
from esarm_env.core.seeds import sequence_seeds
from esarm_env.core.types import IntArray, Trajectories

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.protocols import RecordedSpeech, SequenceTask
    from agents.rollout.decoding import Decoding

_TOGETHER = 32  # utterances whose samples are held at once


def medians(
    model: MotionTransformer,
    task: SequenceTask | RecordedSpeech,
    utterances: IntArray,
    *,
    decoding: Decoding,
    seed: int,
    sample: int = 0,
) -> Trajectories:
    """Return the median of `decoding.median_of` samples of each utterance.

    Args:
        model: The policy.
        task: Gives audio and conditions, and is a `MedianTask`.
        utterances: Shape (N,).
        decoding: How samples are drawn, and of how many the median is taken.
        seed: Of the run.
        sample: Another number gives the median of other samples.

    Raises:
        InputError: If `task` cannot say which tokens write a median.
    """
    if not isinstance(task, MedianTask):
        raise InputError(
            f"`task` must offer `median_tokens` for a median of samples, got {type(task).__name__}"
        )
    written = np.full((len(utterances), int(task.lengths[utterances].max())), -1, dtype=np.int64)
    for begin in range(0, len(utterances), _TOGETHER):
        part = utterances[begin : begin + _TOGETHER]
        samples = _samples(model, task, part, decoding=decoding, seed=seed, sample=sample)
        found = task.median_tokens(part, samples)
        written[begin : begin + len(part), : found.shape[1]] = found
    lengths = task.lengths[utterances]
    return Trajectories(utterances, written, lengths, task.condition_of(utterances))


def _samples(
    model: MotionTransformer,
    task: SequenceTask | RecordedSpeech,
    utterances: IntArray,
    *,
    decoding: Decoding,
    seed: int,
    sample: int,
) -> IntArray:
    """Return the tokens of samples, (N, n, L), padded with -1."""
    n = decoding.median_of
    rows = np.repeat(utterances, n)
    numbers = np.tile(np.arange(sample * n, (sample + 1) * n), len(utterances))
    condition = task.condition_of(rows)
    curve = task.conditions_over_time(rows) if isinstance(task, CurvedSpeech) else None
    rollout = generate(
        model,
        task,
        rows,
        condition=condition if curve is None else curve,
        decoding=decoding.one_sample(),
        seeds=sequence_seeds(run_seed=seed, iteration=0, utterances=rows, samples=numbers),
    )
    return rollout.tokens.reshape(len(utterances), n, -1)
