"""`FullSequenceObservation`: the whole state as padded sequences, for stock sequence policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

from esarm_env.wrappers.observation import (
    EncodedObservation,
    ObservationEncoder,
    SlimBatch,
    bounds,
)

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask

Arrays = dict[str, np.ndarray]


class FullSequenceEncoder(ObservationEncoder[Arrays]):
    """Stateful observation encoder of `FullSequenceObservation`: keeps audio and past tokens."""

    def __init__(self, task: AnimationTask, slim: spaces.Dict, *, n_envs: int) -> None:
        """Make room for the longest utterance in every environment."""
        super().__init__(task, slim, n_envs=n_envs)
        self._task = task
        self._places = np.arange(self.longest)
        n_chunks = self.longest // self.per_chunk
        self._audio = np.zeros((n_envs, n_chunks * task.chunk_dim), dtype=np.float32)
        self._audio_mask = np.zeros((n_envs, n_chunks), dtype=np.int8)
        # Tokens start at column `per_chunk`: the entries of `last_tokens` that come before the
        # start of the utterance are written, too, and need no case of their own.
        self._tokens = np.full((n_envs, self.per_chunk + self.longest), -1, dtype=np.int64)
        self._newest = np.arange(self.per_chunk)
        self.space = self._space(slim, n_chunks)

    def encode(self, slim: SlimBatch, rows: IntArray) -> Arrays:
        """Return the arrays of `space` with a first axis (n,)."""
        step, utterance = slim["step"], slim["utterance"][:, 0]
        for row in np.flatnonzero(step[:, 0] == 0):
            self._start(int(rows[row]), int(utterance[row]))
        self._tokens[rows[:, None], step + self._newest] = slim["last_tokens"]
        return {
            "audio": self._audio[rows],
            "audio_mask": self._audio_mask[rows],
            "condition": slim["condition"].copy(),
            "tokens": self._tokens[rows, self.per_chunk :],
            "tokens_mask": (self._places < step).astype(np.int8),
            "step": step.copy(),
            "length": self.lengths[utterance][:, None],
        }

    def _start(self, row: int, utterance: int) -> None:
        """Load the audio of a new episode and clear its tokens."""
        chunks = self._task.audio_chunks(np.array([utterance]))[0]  # (n_chunks, chunk_dim)
        self._audio[row] = 0
        self._audio[row, : chunks.size] = chunks.reshape(-1)
        self._audio_mask[row] = np.arange(self._audio_mask.shape[1]) < len(chunks)
        self._tokens[row] = -1

    def _space(self, slim: spaces.Dict, n_chunks: int) -> spaces.Dict:
        def mask(size: int) -> spaces.Box:
            return spaces.Box(0, 1, (size,), np.int8)

        low, high = bounds(slim, "audio")
        last_token = int(bounds(slim, "last_tokens")[1])
        return spaces.Dict(
            {
                "audio": spaces.Box(low, high, self._audio.shape[1:], np.float32),
                "audio_mask": mask(n_chunks),
                "condition": slim["condition"],
                "tokens": spaces.Box(-1, last_token, (self.longest,), np.int64),
                "tokens_mask": mask(self.longest),
                "step": spaces.Box(0, self.longest, (1,), np.int64),
                "length": spaces.Box(1, self.longest, (1,), np.int64),
            }
        )


class FullSequenceObservation(EncodedObservation[Arrays]):
    """The whole state as padded sequences: Markov, for transformers in stock SB3 and the like.

    `Dict` of `Box`, one axis each, freshly allocated at every step. With L tokens and
    C = L / `tokens_per_chunk` chunks of the longest utterance and D = `chunk_dim` features of a
    chunk (with the shipped task L = 120, C = 30, D = 4 frames of 35 = 140, `condition_dim` = 21:
    18 kB an observation):

    | key | shape, dtype | meaning | low | high |
    |---|---|---|---|---|
    | `audio` | (C * D,) float32 | features of all chunks in order, then 0 | -8 | 8 |
    | `audio_mask` | (C,) int8 | 1 for the chunks of this utterance | 0 | 1 |
    | `condition` | (condition_dim,) float32 | one-hots of emotion, intensity, speaker | 0 | 1 |
    | `tokens` | (L,) int64 | tokens written so far, then -1 | -1 | n_tokens - 1 |
    | `tokens_mask` | (L,) int8 | 1 for the tokens written so far | 0 | 1 |
    | `step` | (1,) int64 | number of tokens written so far | 0 | L |
    | `length` | (1,) int64 | tokens of this utterance, where the episode ends | 1 | L |

    `obs["audio"].reshape(C, D)` is one row per chunk and `.reshape(C * 4, 35)` one per frame; it is
    flat because Stable-Baselines3 takes an observation of two axes for a mistake. The index of the
    utterance is left out: it is an identifier, by which a policy could memorise utterances.

    The whole audio in each observation costs memory: to train at scale, look whole utterances up by
    the slim observation's `utterance` instead.
    """

    encoder_class = FullSequenceEncoder
