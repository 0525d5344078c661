"""Sums over frames by chunk: how rewards that average over frames tell what each chunk earned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import STREAMS

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask


def no_chunks(task: AnimationTask, trajectories: Trajectories) -> FloatArray:
    """Return zeros for the chunks of both streams of tokens, shape (N, C, 2), to be written to."""
    shape = (len(trajectories), chunk_count(task, trajectories), len(STREAMS))
    return np.zeros(shape, dtype=np.float32)


def chunk_count(task: AnimationTask, trajectories: Trajectories) -> int:
    """Return the most chunks of a trajectory, 0 without any."""
    return int(trajectories.lengths.max(initial=0)) // task.tokens_per_chunk


def sums_by_chunk(
    values: DoubleArray,
    counts: IntArray,
    *,
    frames_per_chunk: int,
    n_chunks: int,
    first: int = 0,
) -> DoubleArray:
    """Return the sum of what stands in each chunk's frames, shape (N, n_chunks).

    Args:
        values: One per frame, those of each row behind those of the row before.
        counts: Shape (N,), how many of them each row has.
        frames_per_chunk: Frames per chunk.
        n_chunks: Chunks of the longest row.
        first: Frame that a row's first value stands at. A difference of neighbouring frames belongs
            to the later one: before, nobody can tell it.
    """
    rows = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(counts)
    frames = np.arange(len(values)) - np.repeat(ends - counts, counts) + first
    places = rows * n_chunks + frames // frames_per_chunk
    sums = np.bincount(places, weights=values, minlength=len(counts) * n_chunks)
    return np.asarray(sums, dtype=np.float64).reshape(len(counts), n_chunks)
