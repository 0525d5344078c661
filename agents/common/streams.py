"""Advantages by stream: the tokens of each part of the face as episodes of their own.

Where a reward tells what the mouth and what the upper face earned, a token need not answer for the
other half: its advantage comes from its own stream's score and values alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from agents.common.buffer import EpisodeBatch
from agents.common.protocols import IntArray, find_in_env


def check_streams(env: Any) -> None:
    """Check that `env` tells streams apart.

    Raises:
        ValueError: If its reward or its task does not; the message says what else to do.
    """
    task = find_in_env(env, "sequence_task")
    try:
        find_in_env(env, "score_streams")
    except ValueError as error:
        raise ValueError(
            f"`stream_advantages` must have a reward that gives streams (`score_streams`), got "
            f"{env} whose reward has none; choose one that has, such as `accuracy`, or leave "
            "`stream_advantages` False"
        ) from error
    if not hasattr(task, "token_streams"):
        raise ValueError(
            f"`stream_advantages` must have a task with `token_streams`, got {task!r:.200}"
        )


def of_stream(batch: EpisodeBatch, name: str, columns: IntArray) -> EpisodeBatch:
    """Return `batch` as if it held nothing but stream `name`, whose tokens stand in `columns`."""
    per_token = ("tokens", "log_probs", "values", "advantages", "returns")
    return replace(
        batch,
        **{each: getattr(batch, each)[:, columns] for each in per_token},
        lengths=batch.inside[:, columns].sum(axis=1),
        scores=batch.stream_scores[name],
        stream=name,
    )


def filled_by_stream(
    batch: EpisodeBatch,
    token_streams: tuple[str, ...],
    fill: Callable[[EpisodeBatch], EpisodeBatch],
) -> EpisodeBatch:
    """Return `batch` with advantages and returns of each stream as `fill` gives them.

    Args:
        batch: Whole episodes with a score per stream.
        token_streams: Stream of each slot of a chunk.
        fill: Returns its episodes, those of one stream, with advantages and returns.

    Raises:
        ValueError: If scores and slots do not name the same streams.
    """
    if set(batch.stream_scores) != set(token_streams):
        raise ValueError(
            f"`score_streams` must score the streams {sorted(set(token_streams))} of the task, "
            f"got {sorted(batch.stream_scores)}"
        )
    slots = np.arange(batch.tokens.shape[1]) % len(token_streams)
    names = np.array(token_streams)[slots]  # (L,)
    advantages, returns = np.zeros_like(batch.advantages), np.zeros_like(batch.returns)
    for name in batch.stream_scores:
        columns = np.flatnonzero(names == name)
        filled = fill(of_stream(batch, name, columns))
        advantages[:, columns], returns[:, columns] = filled.advantages, filled.returns
    return replace(batch, advantages=advantages, returns=returns)
