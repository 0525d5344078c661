"""Spread of samples as a part of the reward: what makes a reward for groups of samples proper.

Any sampler lowers its mean error by varying less. The energy score does not reward that: mean error
minus half the mean distance between samples (Gneiting and Raftery 2007, section 4.2). With an error
in mm as the reward r, its negative is the objective E r(x) + 1/2 E d(x, x'); each sample has its
share, r(x_i) + 1/2 mean_j d(x_i, x_j).

A sample must be *credited* with twice that share of the spread: it stands in the shares of the
others as well, and the gradient of 1/2 E d(x, x') by the policy is E d(x, x') grad log p(x).
Credited with its own share alone, a policy would climb E r + 1/4 E d, which is not proper. And the
mean of the others' shares, its baseline, holds the sample's own distances; from n samples that
takes (n - 2) / (n - 1) of the gradient, which is put back here.

Shape letters: N episodes, C chunks, S streams.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from agents.protocols import SpreadTask, find_in_env
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories

if TYPE_CHECKING:
    from agents.rollout.buffer import EpisodeBatch

FEWEST = 3  # samples: of two, the others of one are no pair, and have no distance


def check_spread_coef(spread_coef: float, samples_per_utterance: int) -> None:
    """Check the settings of the spread.

    Raises:
        ValueError: If one is out of range.
    """
    if not 0 <= spread_coef < math.inf:
        raise ValueError(f"`spread_coef` must be finite and at least 0, got {spread_coef}")
    if spread_coef and samples_per_utterance < FEWEST:
        raise ValueError(
            f"`samples_per_utterance` must be at least {FEWEST} with `spread_coef`, got "
            f"{samples_per_utterance}: the spread is that of the other samples, too"
        )


def check_spread(env: Any, names: str) -> None:
    """Check that `env` tells how far samples are apart, and pays in the unit it is made with.

    Args:
        env: An SB3 `VecEnv`.
        names: Of wrappers that may change the score.

    Raises:
        InputError: If not.
    """
    task = find_in_env(env, "sequence_task")
    if not hasattr(task, "sample_distances") or not hasattr(task, "token_streams"):
        raise InputError(
            "`spread_coef` must be 0 where the task has no `sample_distances` and "
            f"`token_streams`, got {task!r:.200}"
        )
    if names:
        raise InputError(
            "`spread_coef` must be 0 where wrappers may change the score, whose unit is no longer "
            f"that of distances (mm), got {names}; weigh the reward where it is made"
        )


def measured(batch: EpisodeBatch, task: Any) -> EpisodeBatch:
    """Return `batch` with the `distances` of its episodes."""
    written = Trajectories(batch.utterances, batch.tokens, batch.lengths, batch.condition)
    return replace(batch, distances=cast(SpreadTask, task).sample_distances(written))


def with_spread(
    batch: EpisodeBatch, token_streams: tuple[str, ...], *, spread_coef: float
) -> EpisodeBatch:
    """Return `batch` with scores to which the spread is added, as it is to be credited.

    Args:
        batch: Whole episodes with `distances`.
        token_streams: Stream of each slot of a chunk.
        spread_coef: Weight; 1 makes the energy score of minus an error in mm, if that is the sum
            of the streams' errors as the distances are.
    """
    assert batch.distances is not None, "measured when they were written"
    streams = tuple(dict.fromkeys(token_streams))
    _, member_of, sizes = np.unique(batch.utterances, return_inverse=True, return_counts=True)
    n_samples = sizes[member_of]
    scale = spread_coef * (n_samples - 1) / (n_samples - 2)
    added = scale[:, None, None] * batch.distances  # (N, C, S)
    by_stream = dict(zip(streams, added.sum(axis=1).T, strict=True))
    changed: dict[str, Any] = {
        "scores": (batch.scores + added.sum(axis=(1, 2))).astype(np.float32),
        "stream_scores": {
            name: (scores + by_stream.get(name, 0)).astype(np.float32)
            for name, scores in batch.stream_scores.items()
        },
    }
    if batch.chunk_scores is not None:
        columns = [batch.chunk_scores, added.astype(np.float32)]
        changed["chunk_scores"] = np.concatenate(columns, axis=2)
        changed["chunk_streams"] = (*batch.chunk_streams, *streams)
    return replace(batch, **changed)
