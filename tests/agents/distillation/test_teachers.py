"""Which sequences are targets: the best, and what is stitched from the best chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.distillation.teachers import best_of_each, chunk_best, joined, rows_of, stitched
from agents.rollout.buffer import EpisodeBatch
from esarm_env.core.types import Trajectories

MakeBatch = Callable[..., EpisodeBatch]
Env = gymnasium.Env[Any, Any]


class Chunked:
    """Pays each right token of the toy task 1 / length, by chunk and stream."""

    def __init__(self, env: Any, columns: tuple[str, ...] = ("mouth", "upper")) -> None:
        self._env, self.chunk_streams = env, columns

    def score_chunks(self, trajectories: Trajectories) -> np.ndarray:
        tokens, lengths = trajectories.tokens, trajectories.lengths
        right = self._env._right(trajectories.utterance, tokens, lengths) / lengths[:, None]
        paid = right.reshape(len(tokens), -1, 2).astype(np.float32)
        return paid if len(self.chunk_streams) == 2 else paid.sum(axis=2, keepdims=True)


class AsVecEnv:
    """One environment as `find_in_env` asks a `VecEnv`."""

    def __init__(self, env: Any) -> None:
        self.env = env

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, name)]


def episodes(make_batch: MakeBatch, tokens: list[list[int]], **changed: Any) -> EpisodeBatch:
    """Return episodes of these tokens, all of one length."""
    return make_batch(*[len(row) for row in tokens], tokens=np.array(tokens), **changed)


def test_the_best_of_each_utterance_is_the_first_of_equals() -> None:
    """Two targets of one utterance would weigh it twice."""
    scores = np.array([1, 3, 3, -5, -4], np.float32)
    best = best_of_each(scores, np.array([7, 7, 7, 2, 2]))
    assert best.tolist() == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("columns", "chunks", "expected"),
    [
        # Mouth: second, then first sample; upper face: first, then second.
        (("mouth", "upper"), [[[0, 1], [2, 0]], [[1, 0], [0, 3]]], [5, 2, 3, 8]),
        # The whole face: both slots of a chunk from one sample.
        (("whole",), [[[0], [2]], [[1], [1]]], [5, 6, 3, 4]),
        # Nothing is said of the upper face: it is that of the sample of highest score.
        (("mouth",), [[[0], [2]], [[1], [0]]], [5, 6, 3, 8]),
        # The whole counts for either stream: mouth 0 + 4 against 1 + 2 in the first chunk.
        (("mouth", "whole"), [[[0, 4], [0, 0]], [[1, 2], [1, 0]]], [1, 2, 7, 4]),
    ],
)
def test_stitches_take_each_chunk_and_stream_from_its_best_sample(
    make_batch: MakeBatch, columns: tuple[str, ...], chunks: Any, expected: list[int]
) -> None:
    """A column taken for another stitches the upper face to the mouth's merits."""
    samples = episodes(make_batch, [[1, 2, 3, 4], [5, 6, 7, 8]], utterances=np.array([3, 3]))
    made = stitched(
        samples,
        np.array(chunks, np.float32),
        columns=columns,
        token_streams=("mouth", "upper"),
    )
    assert made.tolist() == expected


def test_a_stitch_is_scored_as_a_whole_and_stands_only_above_its_parts(
    env: Any, make_batch: MakeBatch
) -> None:
    """The sum of its parts is no score where neighbours change each other."""
    task = env.sequence_task
    env.reward_function = Chunked(env)
    right = task.right_tokens(task.classes[[4, 5]], 4)
    wrong = (right + 1) % 4
    # Each sample of utterance 4 has another half right; of utterance 5 one has all of the other.
    tokens = [
        [right[0, 0], wrong[0, 1], right[0, 2], wrong[0, 3]],
        [wrong[0, 0], right[0, 1], wrong[0, 2], wrong[0, 3]],
        [right[1, 0], right[1, 1], wrong[1, 2], wrong[1, 3]],
        [right[1, 0], wrong[1, 1], wrong[1, 2], wrong[1, 3]],
    ]
    utterances = np.array([4, 4, 5, 5])
    samples = episodes(
        make_batch,
        tokens,
        utterances=utterances,
        condition=task.condition_of(utterances),
        scores=np.array([0.5, 0.25, 0.5, 0.25], np.float32),
    )
    made = chunk_best(AsVecEnv(env), samples)
    assert made.utterances.tolist() == [4, 5]
    assert made.tokens[0].tolist() == [*right[0, :3].tolist(), wrong[0, 3]]
    assert made.tokens[1].tolist() == tokens[2]
    assert made.scores.tolist() == [0.75, 0.5]
    env.score_tokens = lambda utterances, *_: np.full(len(utterances), 0.5, np.float32)
    made = chunk_best(AsVecEnv(env), samples)
    assert made.tokens.tolist() == [tokens[0], tokens[2]]


def test_joined_episodes_keep_their_padding(make_batch: MakeBatch) -> None:
    """A zero in the padding of tokens is a token."""
    first, second = make_batch(2), make_batch(4, 3, monitored=np.array([5, 6], np.float32))
    both = joined(first, second)
    assert both.tokens.tolist() == [[0, 1, -1, -1], [0, 1, 2, 3], [4, 5, 6, -1]]
    assert both.log_probs[0].tolist() == [0, -1, 0, 0]
    assert both.monitored is not None
    assert both.monitored.tolist() == [0, 5, 6]
    streams = {"mouth": np.arange(2, dtype=np.float32)}
    picked = rows_of(replace(second, stream_scores=streams), np.array([1]))
    assert picked.stream_scores["mouth"].tolist() == [1]
    assert picked.tokens.tolist() == [[4, 5, 6, -1]]
