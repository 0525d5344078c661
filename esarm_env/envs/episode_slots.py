"""State of many running episodes as arrays, one row each, for the vector environment.

`EpisodeSlots` holds steps, tokens and conditions. `ChunkTable` holds the audio of the utterances
being played, each stored once however many episodes play it, so that the windows of all episodes
are gathered by one indexing operation. It cannot hold every utterance of a large corpus, and need
not: only those being played must be there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from esarm_env.core.types import FloatArray, IntArray, Trajectories
from esarm_env.envs.chunk_payments import held_to_end
from esarm_env.rendering import EpisodeView
from esarm_env.task.animation_task import N_KEPT, AnimationTask, sliding_windows

_N_RECENT = 64  # steps between two moves of the newest tokens to the front
Observation = dict[str, np.ndarray[Any, Any]]


class EpisodeSlots:
    """State of N running episodes of a task, without rewards, seeds or autoreset.

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
        # One column past the longest utterance takes the token written after an episode's end.
        self._tokens: IntArray = np.full((n_slots, longest + 1), -1)
        self._first_place = np.arange(n_slots) * (longest + 1)
        # A second copy, a row per step: agents see the last `per_chunk` rows, one contiguous slice.
        self._recent: IntArray = np.full((self._per_chunk + _N_RECENT, n_slots), -1)
        self._now = self._per_chunk  # the row to write to
        self._condition: FloatArray = np.zeros((n_slots, task.condition_dim), dtype=np.float32)
        self._table = ChunkTable(task, n_players=n_slots, longest=longest)
        self._first_window: IntArray = np.zeros(n_slots, dtype=np.int64)
        self._last_window: IntArray = np.zeros(n_slots, dtype=np.int64)
        # While all slots begin chunks at the same step, audio changes once a chunk: see `_hear`.
        self._together = False
        self._clock = 0  # steps since all of them began
        self._heard: FloatArray = np.zeros((n_slots, task.window_dim), dtype=np.float32)

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
        self._recent[self._now - self._per_chunk : self._now, rows] = -1
        if len(rows) == len(self.step):
            self._together, self._clock = True, 0
        else:
            self._together = self._together and self._clock % self._per_chunk == 0

    def append(self, tokens: IntArray) -> None:
        """Append a token to every episode; one write past an episode's end is allowed."""
        self._tokens.reshape(-1)[self._first_place + self.step] = tokens
        self.step += 1
        self._clock += 1
        if self._now == len(self._recent):
            self._recent[: self._per_chunk] = self._recent[-self._per_chunk :]
            self._now = self._per_chunk
        self._recent[self._now] = tokens
        self._now += 1

    @property
    def _last_tokens(self) -> IntArray:
        """The newest tokens of all slots, shape (per_chunk, N), -1 before the start."""
        return self._recent[self._now - self._per_chunk : self._now]

    def observe(self) -> Observation:
        """Return the batched observation of all episodes, in fresh arrays."""
        return {
            "audio": self._hear(),
            "condition": self._condition.copy(),
            "last_tokens": self._last_tokens.T.copy(),
            "step": self.step[:, None].copy(),
            "utterance": self.utterance[:, None].copy(),
        }

    def _hear(self) -> FloatArray:
        """Return the current audio windows, shape (N, window_dim), fresh.

        Copying those of the step before takes half as long as gathering them again.
        """
        if self._together and self._clock % self._per_chunk:
            return self._heard.copy()
        # After the last token the last chunk stays in view.
        window = np.minimum(self._first_window + self.step // self._per_chunk, self._last_window)
        audio = self._table.windows(window)
        if self._together:
            self._heard[:] = audio
        return audio

    def observe_ended(self, rows: IntArray) -> list[Observation]:
        """Return the final observations of the ended episodes `rows` (n,), in fresh arrays."""
        audio = self._table.windows(self._last_window[rows])
        condition, last = self._condition[rows], self._last_tokens.T[rows]
        step, utterance = self.step[rows, None], self.utterance[rows, None]
        return [
            {"audio": a, "condition": c, "last_tokens": t, "step": s, "utterance": u}
            for a, c, t, s, u in zip(audio, condition, last, step, utterance, strict=True)
        ]

    def tokens(self, rows: IntArray) -> IntArray:
        """Return the tokens of episodes, (n, longest), then -1, fresh; `rows` (n,) ascend."""
        if len(rows) == len(self._tokens):
            return self._tokens[:, :-1].copy()  # all of them: far quicker than by index
        written: IntArray = self._tokens[rows, :-1]
        return written

    def view(self, row: int) -> EpisodeView:
        """Return a snapshot of the episode in `row`, for a renderer."""
        return EpisodeView(
            self._task,
            int(self.utterance[row]),
            self._tokens[row, : self.step[row]].copy(),
            int(self.length[row]),
            self._condition[row],
        )

    def held(self, rows: IntArray) -> Trajectories:
        """Return the episodes under way in `rows` (n,) as if they held their last, whole chunk."""
        return held_to_end(
            self.utterance[rows],
            self._tokens[rows],
            self.step[rows],
            task=self._task,
            condition=self._condition[rows],
        )

    def finished(self, rows: IntArray) -> tuple[Trajectories, IntArray]:
        """Return the finished episodes in `rows` (n,), and their tokens (n, longest), fresh."""
        lengths = self.length[rows]
        tokens = self._tokens[rows]  # (n, longest + 1)
        width = np.maximum.reduce(lengths)
        trajectories = Trajectories.trusted(
            self.utterance[rows], tokens[:, :width], lengths, self._condition[rows]
        )
        return trajectories, tokens[:, :-1]


class ChunkTable:
    """Cache of audio chunks by utterance, loaded when first played, indexed by window.

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
        """Leave out the sliding view, which a pickle would turn into a separate copy."""
        return {key: value for key, value in self.__dict__.items() if key != "_windows"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._windows = self._view()

    def _view(self) -> FloatArray:
        """Return the sliding windows over all cached chunks, (rows, window_dim)."""
        flat = self._chunks.reshape(-1, self._task.chunk_dim)
        return sliding_windows(flat, context=self._task.context)

    def first_windows(self, utterances: IntArray, *, playing: IntArray) -> IntArray:
        """Return the row of the first window of each of `utterances` (n,), shape (n,).

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
        """Return `n` places to write to, evicting utterances that nobody plays where needed."""
        free = np.flatnonzero(self._utterance_at < 0)
        if len(free) < n:
            full = self._utterance_at >= 0
            idle = np.flatnonzero(full & ~np.isin(self._utterance_at, playing))
            self._place_of[self._utterance_at[idle]] = -1
            self._utterance_at[idle] = -1
            free = np.flatnonzero(self._utterance_at < 0)
        return free[:n]
