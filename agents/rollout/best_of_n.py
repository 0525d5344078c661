"""Best of n: of several animations of an utterance the one that a reward prefers.

The reward ranks what the policy draws, and the policy is left as it is. What becomes of the true
errors as n grows is measured by `esarm overoptimise`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from esarm_env.core.errors import InputError
from esarm_env.core.types import FloatArray, IntArray, Trajectories

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.protocols import RecordedSpeech, SequenceTask

Score = Callable[[Trajectories], FloatArray]
AT_ONE = Decoding(temperature=1.0)


def best_of_n(
    model: MotionTransformer,
    task: SequenceTask | RecordedSpeech,
    utterances: IntArray,
    *,
    score: Score,
    n: int,
    decoding: Decoding = AT_ONE,
    seed: int = 0,
) -> tuple[Trajectories, FloatArray]:
    """Return the animation of highest score of each utterance, and all scores.

    Args:
        model: Draws.
        task: Gives audio and conditions.
        utterances: Shape (N,).
        score: A reward's, such as `env.unwrapped.reward_function.score`: called with one animation
            of each utterance, n times, it returns scores (N,); higher is better.
        n: Animations of each utterance, at least 1.
        decoding: Samples, or is noisy.
        seed: Of the run; draw `i` is sample `i` of `animate_utterances`.

    Returns:
        The chosen, and scores (N, n) in the order of drawing. Of equal scores the first counts.

    Raises:
        InputError: If `n` is below 1, `decoding` leaves nothing to chance, or a score is NaN or
            infinite.
    """
    if n < 1:
        raise InputError(f"`n` must be at least 1, got {n}")
    if n > 1 and decoding.temperature == 0 and decoding.epsilon == 0:
        raise InputError(
            f"`decoding` must leave something to chance, got {decoding.name}: all {n} animations "
            "of an utterance would be the same; sample at a `temperature` above 0"
        )
    best: Trajectories | None = None
    scores = np.empty((len(utterances), n), dtype=np.float32)
    for number in range(n):
        drawn, scores[:, number] = scored_draw(
            model, task, utterances, score=score, decoding=decoding, seed=seed, sample=number
        )
        if best is None:
            best = drawn
            continue
        wins = scores[:, number] > scores[:, :number].max(axis=1)
        best = replace(best, tokens=np.where(wins[:, None], drawn.tokens, best.tokens))
    assert best is not None, "`n` is at least 1"
    return best, scores


def scored_draw(
    model: MotionTransformer,
    task: SequenceTask | RecordedSpeech,
    utterances: IntArray,
    *,
    score: Score,
    decoding: Decoding = AT_ONE,
    seed: int,
    sample: int,
) -> tuple[Trajectories, FloatArray]:
    """Return one animation of each utterance, and its score, (N,); arguments as of `best_of_n`.

    Raises:
        InputError: If a score is NaN or infinite.
    """
    drawn = animate_utterances(model, task, utterances, decoding=decoding, seed=seed, sample=sample)
    scores = np.asarray(score(drawn), dtype=np.float32)
    if scores.shape != (len(utterances),) or not np.isfinite(scores).all():
        got = scores.shape if scores.ndim != 1 or len(scores) != len(utterances) else scores
        raise InputError(
            f"`score` must return {len(utterances)} finite scores, one for each animation, got "
            f"{got}; no animation can be called the best by these"
        )
    return drawn, scores
