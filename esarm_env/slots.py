"""Running episodes side by side: the state of the vector environment as arrays, a row each."""

from __future__ import annotations

from typing import Any

import numpy as np

from esarm_env.chunk_table import ChunkTable
from esarm_env.task import AnimationTask
from esarm_env.types import FloatArray, IntArray, Trajectories

Observation = dict[str, np.ndarray[Any, Any]]


class EpisodeSlots:
    """N running episodes of a task; knows nothing of rewards, seeds or autoreset.

    Attributes:
        utterance: Shape (N,), index in the corpus.
        step: Shape (N,), tokens written.
        length: Shape (N,), tokens of the whole utterance.
    """

    def __init__(self, task: AnimationTask, n_slots: int, *, longest: int) -> None:
        """Make room for `n_slots` episodes of up to `longest` tokens; none has begun."""
        self._task = task
        self._per_chunk = task.tokens_per_chunk
        self.utterance: IntArray = np.full(n_slots, -1)
        self.step: IntArray = np.zeros(n_slots, dtype=np.int64)
        self.length: IntArray = np.zeros(n_slots, dtype=np.int64)
        # One place behind the longest: where a token goes that is written after the end.
        self._tokens: IntArray = np.full((n_slots, longest + 1), -1)
        self._flat_tokens = self._tokens.reshape(-1)
        self._first_place = np.arange(n_slots) * (longest + 1)
        self._place = self._first_place.copy()  # of the next token in `_flat_tokens`
        self._last: IntArray = np.full((n_slots, self._per_chunk), -1)
        self._condition: FloatArray = np.zeros((n_slots, task.condition_dim), dtype=np.float32)
        self._table = ChunkTable(task, n_players=n_slots, longest=longest)
        self._first_window: IntArray = np.zeros(n_slots, dtype=np.int64)

    def begin(self, rows: IntArray, utterances: IntArray, conditions: FloatArray) -> None:
        """Start `utterances` (n,) under `conditions` (n, condition_dim) in `rows` (n,)."""
        first_windows = self._table.first_windows(utterances, playing=self.utterance)
        self._first_window[rows] = first_windows
        self.utterance[rows] = utterances
        self._condition[rows] = conditions
        self.length[rows] = self._task.lengths[utterances]
        self.step[rows] = 0
        self._place[rows] = self._first_place[rows]
        self._tokens[rows] = -1
        self._last[rows] = -1

    def write(self, tokens: IntArray) -> None:
        """Append a token to every episode; once behind the end does no harm before `begin`."""
        self._flat_tokens[self._place] = tokens
        self._place += 1
        self.step += 1
        last = np.empty_like(self._last)
        last[:, :-1] = self._last[:, 1:]
        last[:, -1] = tokens
        self._last = last

    def observe(self) -> Observation:
        """Return what all agents see, in fresh arrays."""
        # After the last token the last chunk stays in view.
        chunk = np.minimum(self.step, self.length - 1) // self._per_chunk
        return {
            "audio": self._table.windows(self._first_window + chunk),
            "condition": self._condition.copy(),
            "last_tokens": self._last.copy(),
            "step": self.step[:, None].copy(),
            "utterance": self.utterance[:, None].copy(),
        }

    def observe_one(self, row: int) -> Observation:
        """Return what the agent of one row sees, in fresh arrays."""
        step, length = int(self.step[row]), int(self.length[row])
        chunk = min(step, length - 1) // self._per_chunk
        window = self._table.windows(self._first_window[row : row + 1] + chunk)
        return {
            "audio": window[0],
            "condition": self._condition[row].copy(),
            "last_tokens": self._last[row].copy(),
            "step": self.step[row : row + 1].copy(),
            "utterance": self.utterance[row : row + 1].copy(),
        }

    def tokens_of(self, rows: IntArray) -> IntArray:
        """Return what was written in `rows`, shape (n, longest), padded with -1, fresh."""
        return self._tokens[rows, :-1]

    def trajectories(self, rows: IntArray) -> Trajectories:
        """Return the finished episodes in `rows`, fresh."""
        lengths = self.length[rows]
        tokens = self._tokens[rows, : lengths.max()]
        return Trajectories(self.utterance[rows], tokens, lengths, self._condition[rows])
