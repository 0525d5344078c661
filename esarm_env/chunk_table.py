"""Audio of the utterances that many running episodes play, stored once, windows by index.

A vector environment gathers the windows of all its episodes in one go. It cannot hold every
utterance of a large corpus, and need not: only those being played must be there.
"""

from __future__ import annotations

from typing import Any

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
        # While all players change at once, what ends and what begins are both there.
        capacity = min(n_utterances, N_KEPT + 2 * n_players)
        self._utterance_at: IntArray = np.full(capacity, -1)
        self._n_rows = longest // task.tokens_per_chunk + 2 * task.context
        self._chunks: FloatArray = np.zeros(
            (capacity, self._n_rows, task.chunk_dim), dtype=np.float32
        )
        self._windows = self._view()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the view: a copy of it would be an array of its own."""
        return {key: value for key, value in self.__dict__.items() if key != "_windows"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._windows = self._view()

    def _view(self) -> FloatArray:
        """Return the windows of all places, one after another, (rows, window_dim)."""
        flat = self._chunks.reshape(-1, self._task.chunk_dim)
        return sliding_windows(flat, context=self._task.context)

    def first_windows(self, utterances: IntArray, *, playing: IntArray) -> IntArray:
        """Return where the windows of `utterances` (n,) begin, shape (n,).

        Args:
            utterances: Loaded where they are not there yet.
            playing: Utterances that must stay, any shape.
        """
        places: IntArray = self._place_of[utterances]
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
            full = self._utterance_at >= 0
            idle = np.flatnonzero(full & ~np.isin(self._utterance_at, playing))
            self._place_of[self._utterance_at[idle]] = -1
            self._utterance_at[idle] = -1
            free = np.flatnonzero(self._utterance_at < 0)
        return free[:n]
