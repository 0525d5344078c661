"""Audio of the utterances that many running episodes play, stored once, windows by index.

A vector environment gathers the windows of all its episodes in one go. It cannot hold every
utterance of a large corpus, and need not: only those being played must be there.
"""

from __future__ import annotations

import numpy as np

from esarm_env.task import N_KEPT, AnimationTask, sliding_windows
from esarm_env.types import FloatArray, IntArray


class ChunkTable:
    """Audio chunks of utterances, loaded when they are first played.

    Memory is touched only as utterances come, and at most `N_KEPT` that nobody plays are kept.
    """

    def __init__(self, task: AnimationTask, *, n_players: int, longest: int) -> None:
        """Make room for `n_players` utterances at once, none longer than `longest` tokens."""
        self._task = task
        n_utterances = len(task.corpus)
        self._place_of: IntArray = np.full(n_utterances, -1)
        capacity = n_utterances if n_utterances <= N_KEPT else N_KEPT + n_players
        self._utterance_at: IntArray = np.full(capacity, -1)
        self._n_rows = longest // task.tokens_per_chunk + 2 * task.context
        self._chunks: FloatArray = np.zeros(
            (capacity, self._n_rows, task.chunk_dim), dtype=np.float32
        )
        flat = self._chunks.reshape(-1, task.chunk_dim)
        self._windows = sliding_windows(flat, context=task.context)

    def first_windows(self, utterances: IntArray, *, playing: IntArray) -> IntArray:
        """Return where the windows of `utterances` (n,) begin, shape (n,).

        Args:
            utterances: Loaded where they are not there yet.
            playing: Utterances that must stay, any shape.
        """
        places = self._place_of[utterances]
        if np.minimum.reduce(places, initial=0) < 0:
            missing = np.unique(utterances[places < 0])
            for place, utterance in zip(
                self._room(len(missing), np.concatenate([utterances, playing])),
                missing.tolist(),
                strict=True,
            ):
                chunks = self._task.chunks_of(utterance)  # (context + C + context, chunk_dim)
                self._chunks[place, : len(chunks)] = chunks
                self._place_of[utterance] = place
                self._utterance_at[place] = utterance
            places = self._place_of[utterances]
        return places * self._n_rows

    def windows(self, rows: IntArray) -> FloatArray:
        """Return windows by row, shape (n, window_dim), a fresh copy.

        Args:
            rows: Of each, what `first_windows` gave plus the number of the chunk.
        """
        return self._windows[rows]

    def _room(self, n: int, playing: IntArray) -> IntArray:
        """Return `n` places to write to: free ones, else those that nobody plays."""
        free = np.flatnonzero(self._utterance_at < 0)
        if len(free) < n:
            idle = np.flatnonzero(~np.isin(self._utterance_at, playing))
            self._place_of[self._utterance_at[idle]] = -1
            self._utterance_at[idle] = -1
            free = idle
        return free[:n]
