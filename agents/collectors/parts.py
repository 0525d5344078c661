"""Parts of a roll-out: which episodes are stepped together, and one batch made of all parts.

Shape letters: N episodes, L tokens of the longest, C chunks of the longest, S columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.buffer import BY_CHUNK, PER_EPISODE, PER_TOKEN, EpisodeBatch

if TYPE_CHECKING:
    import torch

    from agents.protocols import IntArray


# The caches of this many rows of 128 tokens stay in a processor's caches; 64 rows take longer each.
ROWS_ON_CPU, ROWS_ELSEWHERE = 32, 1024


def rows_of_a_part(device: torch.device) -> int:
    """Return how many sequences are stepped together on `device`."""
    return ROWS_ON_CPU if device.type == "cpu" else ROWS_ELSEWHERE


def rows_of_parts(lengths: IntArray, size: int) -> list[IntArray]:
    """Return the rows of each part: neighbours in length, in each as they came.

    Parts rest on nothing else, so that their numbers are the same whoever computes them.

    Args:
        lengths: Shape (N,), tokens of each episode.
        size: Rows of a part, such as `rows_of_a_part`.
    """
    order = np.argsort(lengths, kind="stable")
    return [np.sort(order[begin : begin + size]) for begin in range(0, len(order), size)]


def joined_parts(parts: Sequence[EpisodeBatch], rows: Sequence[IntArray]) -> EpisodeBatch:
    """Return one batch of all episodes, padded to the longest.

    Args:
        parts: Of `rows_of_parts`, written and scored.
        rows: Where the episodes of each part stand in the batch.
    """
    if len(parts) == 1:
        return parts[0]

    def whole(arrays: Sequence[np.ndarray], padding: float = 0) -> Any:
        widest = np.max([array.shape[1:] for array in arrays], axis=0)
        n = sum(map(len, arrays))
        out = np.full((n, *widest), padding, dtype=arrays[0].dtype)
        for array, here in zip(arrays, rows, strict=True):
            place: tuple[Any, ...] = (here, *(slice(size) for size in array.shape[1:]))
            out[place] = array
        return out

    def named(name: str) -> dict[str, Any]:
        keys = getattr(parts[0], name)
        return {key: whole([getattr(part, name)[key] for part in parts]) for key in keys}

    first = parts[0]
    by_chunk = {
        name: whole([getattr(part, name) for part in parts])
        for name in BY_CHUNK
        if getattr(first, name) is not None
    }
    return EpisodeBatch(
        **{
            name: whole([getattr(part, name) for part in parts])
            for name in (*PER_EPISODE, *PER_TOKEN)
        },
        tokens=whole([part.tokens for part in parts], -1),
        **by_chunk,
        stream_scores=named("stream_scores"),
        term_scores=named("term_scores"),
        chunk_streams=first.chunk_streams,
    )
