"""Running episodes side by side: the state of the vector environment as arrays, a row each."""

from __future__ import annotations

from typing import Any

import numpy as np

from esarm_env.chunk_table import ChunkTable
from esarm_env.rendering import EpisodeView
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
        self._last: IntArray = np.full((n_slots, self._per_chunk), -1)
        self._condition: FloatArray = np.zeros((n_slots, task.condition_dim), dtype=np.float32)
        self._table = ChunkTable(task, n_players=n_slots, longest=longest)
        self._first_window: IntArray = np.zeros(n_slots, dtype=np.int64)
        self._last_window: IntArray = np.zeros(n_slots, dtype=np.int64)

    def begin(self, rows: IntArray, utterances: IntArray, conditions: FloatArray) -> None:
        """Start `utterances` (n,) under `conditions` (n, condition_dim) in `rows` (n,)."""
        first = self._table.first_windows(utterances, playing=self.utterance)
        length = self._task.lengths[utterances]
        self._first_window[rows] = first
        self._last_window[rows] = first + length // self._per_chunk - 1
        self.utterance[rows] = utterances
        self._condition[rows] = conditions
        self.length[rows] = length
        self.step[rows] = 0
        self._tokens[rows] = -1
        self._last[rows] = -1

    def write(self, tokens: IntArray) -> None:
        """Append a token to every episode; once behind the end does no harm before `begin`."""
        self._flat_tokens[self._first_place + self.step] = tokens
        self.step += 1
        last = np.empty_like(self._last)
        last[:, :-1] = self._last[:, 1:]
        last[:, -1] = tokens
        self._last = last

    def observe(self) -> Observation:
        """Return what all agents see, in fresh arrays."""
        # After the last token the last chunk stays in view.
        window = np.minimum(self._first_window + self.step // self._per_chunk, self._last_window)
        return {
            "audio": self._table.windows(window),
            "condition": self._condition.copy(),
            "last_tokens": self._last.copy(),
            "step": self.step[:, None].copy(),
            "utterance": self.utterance[:, None].copy(),
        }

    def observe_ended(self, rows: IntArray) -> list[Observation]:
        """Return what the agents of `rows` (n,), at their ends, see last, in fresh arrays."""
        audio = self._table.windows(self._last_window[rows])
        condition, last = self._condition[rows], self._last[rows]
        step, utterance = self.step[rows, None], self.utterance[rows, None]
        return [
            {
                "audio": audio[row],
                "condition": condition[row],
                "last_tokens": last[row],
                "step": step[row],
                "utterance": utterance[row],
            }
            for row in range(len(rows))
        ]

    def view(self, row: int) -> EpisodeView:
        """Return the episode in `row` as it is now, for a renderer."""
        return EpisodeView(
            self._task,
            int(self.utterance[row]),
            self._tokens[row, : self.step[row]].copy(),
            int(self.length[row]),
            self._condition[row],
        )

    def tokens_of(self, rows: IntArray) -> IntArray:
        """Return what was written in `rows`, shape (n, longest), padded with -1, fresh."""
        return self._tokens[rows, :-1]

    def trajectories(self, rows: IntArray) -> Trajectories:
        """Return the finished episodes in `rows`, fresh."""
        lengths = self.length[rows]
        tokens = self._tokens[rows, : lengths.max()]
        return Trajectories.trusted(self.utterance[rows], tokens, lengths, self._condition[rows])
