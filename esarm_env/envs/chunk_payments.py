"""Payment by chunk: what an episode has earned so far, told from no token that is still to come.

`reward_timing="chunk"` pays at the last token of every chunk the change of what has been earned so
far, and at the last token of all the score less what was paid: the return is the score. What has
been earned after k chunks is the sum of the reward's first k scores by chunk, of the animation that
holds the last chunk until its end. A chunk whose frames the decoder still joins to later ones is
paid as if the face stayed as it is, and is corrected with the next one.

Shape letters: N episodes, L tokens, C chunks, S columns of scores by chunk.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.rewards.chunks import checked_chunks, chunk_streams_of, read_chunks
from esarm_env.rewards.validation import RewardError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esarm_env.core.types import ChunkedReward, DoubleArray, FloatArray, IntArray
    from esarm_env.rewards.combined import CombinedReward, Scores
    from esarm_env.rewards.validation import Ids
    from esarm_env.task.animation_task import AnimationTask

TERMINAL, CHUNK = "terminal", "chunk"
REWARD_TIMINGS = (TERMINAL, CHUNK)


def check_timing(timing: Any, reward: CombinedReward) -> str:
    """Return `timing` if `reward` can be paid so.

    Raises:
        InputError: If there is no such timing, or the reward cannot tell what a chunk earned.
    """
    if timing not in REWARD_TIMINGS:
        known = ", ".join(REWARD_TIMINGS)
        raise InputError(f"`reward_timing` must be one of {known}, got {timing!r}")
    if timing == CHUNK and not reward.chunk_streams:
        raise InputError(
            f"`reward_timing` must be {TERMINAL!r} where no term of the reward tells what a chunk "
            f"earned (`chunk_streams`), got {CHUNK!r} and the reward {reward.name!r}; choose one "
            "that can, such as `learned` or `accuracy`, or add it to the sum"
        )
    return str(timing)


def held_to_end(
    utterance: IntArray,
    tokens: IntArray,
    written: IntArray,
    *,
    task: AnimationTask,
    condition: FloatArray,
) -> Trajectories:
    """Return episodes under way as animations that repeat their last chunk until their end.

    Args:
        utterance: Shape (N,).
        tokens: Shape (N, at least the longest's), -1 where none is written yet.
        written: Shape (N,), tokens written so far: whole chunks, at least one.
        task: Says how long the utterances are.
        condition: Shape (N, condition_dim).
    """
    lengths, per_chunk = task.lengths[utterance], task.tokens_per_chunk
    places = np.arange(int(lengths.max()))
    behind = places >= written[:, None]  # (N, L)
    source = np.where(behind, written[:, None] - per_chunk + places % per_chunk, places)
    filled = np.take_along_axis(tokens, source, axis=1)
    filled = np.where(places < lengths[:, None], filled, -1)
    return Trajectories.trusted(utterance, filled, lengths, condition)


def earned_so_far(
    reward: CombinedReward, task: AnimationTask, held: Trajectories, written: IntArray
) -> DoubleArray:
    """Return the weighted sum of what the written chunks of each episode earned, shape (N,).

    Terms that cannot tell chunks apart have earned nothing yet.

    Args:
        reward: Some term of it can.
        task: Of the episodes.
        held: From `held_to_end`.
        written: As given there.

    Raises:
        RewardError: If a term does not give finite numbers for every chunk.
    """
    n_chunks = held.tokens.shape[1] // task.tokens_per_chunk
    inside = np.arange(n_chunks) < written[:, None] // task.tokens_per_chunk
    earned: DoubleArray = np.zeros(len(held))
    ids = partial(task.ids_of, held.utterance)
    for name, weight, function in _told(reward):
        chunks = read_chunks(name, function, held, ids)
        if chunks.shape[1] != n_chunks:
            raise RewardError(
                f"the chunks of reward {name!r} must be {n_chunks}, those of the longest episode, "
                f"got {chunks.shape[1]}"
            )
        earned += weight * (chunks.sum(axis=2, dtype=np.float64) * inside).sum(axis=1)
    return earned


def check_sums(
    reward: CombinedReward, trajectories: Trajectories, scores: Scores, ids: Ids
) -> None:
    """Check of finished episodes that what chunks earned adds up to the score.

    Raises:
        RewardError: If it does not; the message has both numbers.
    """
    for name, _, function in _told(reward):
        checked_chunks(name, function, trajectories, scores.terms[name], ids)


def _told(reward: CombinedReward) -> Iterator[tuple[str, float, ChunkedReward]]:
    """Yield name, weight and function of the terms that tell chunks apart and are paid."""
    for name, function in reward.functions.items():
        weight = reward.weights[name]
        if weight and chunk_streams_of(function):
            yield name, weight, cast("ChunkedReward", function)
