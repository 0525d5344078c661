"""Scores by stream of tokens: which part of the face earned what, where a reward can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from esarm_env.rewards.checking import Ids, RewardError, finite_scores
from esarm_env.types import FloatArray, IntArray, RewardFunction, StreamedReward, Trajectories

if TYPE_CHECKING:
    from esarm_env.rewards.combined import CombinedReward

StreamScores = dict[str, FloatArray]
ScoreStreams = Callable[[IntArray, IntArray, IntArray, FloatArray], StreamScores]

_TOLERANCE = 1e-4  # relative: float32 terms that were added up in another order


def has_streams(function: RewardFunction) -> TypeGuard[StreamedReward]:
    """Return whether a reward offers `score_streams`."""
    return hasattr(function, "score_streams")


def score_streams_of(reward: CombinedReward) -> ScoreStreams:
    """Return what scores sequences, given as in `Trajectories`, by stream.

    Raises:
        AttributeError: If `reward` gives no streams.
    """
    score = reward.score_streams

    def score_streams(
        utterances: IntArray, tokens: IntArray, lengths: IntArray, condition: FloatArray
    ) -> StreamScores:
        return score(Trajectories(utterances, tokens, lengths, condition))

    return score_streams


def checked_streams(
    name: str, function: StreamedReward, trajectories: Trajectories, scores: FloatArray, ids: Ids
) -> StreamScores:
    """Return what `function` makes of each stream, (N,) each, float32.

    Args:
        name: What messages call the reward.
        function: May return anything numpy reads as N numbers.
        trajectories: At least one.
        scores: Shape (N,), what it scores them with.
        ids: Returns the utterance's id per trajectory.

    Raises:
        RewardError: If a stream does not have N finite numbers, or they do not add up to `scores`.
    """
    streams: StreamScores = {}
    for stream, values in function.score_streams(trajectories).items():
        array = np.asarray(values)
        if array.shape != scores.shape:
            raise RewardError(
                f"reward {name!r} must return shape {scores.shape} for stream {stream!r}, "
                f"got {array.shape}"
            )
        streams[stream] = finite_scores(f"{name}[{stream}]", array, ids)
    total = np.zeros(len(scores))
    for share in streams.values():
        total += share
    off = np.abs(total - scores)
    if (off > _TOLERANCE * (1 + np.abs(scores))).any():
        row = int(off.argmax())
        raise RewardError(
            f"the streams of reward {name!r} must add up to its score {scores[row]}, "
            f"got {total[row]} for {ids()[row]!r}"
        )
    return streams
