"""`FlatObservation`: the slim observation as one float32 vector, for MLPs and DQN."""

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


class FlatEncoder(ObservationEncoder[np.ndarray]):
    """Stateless observation encoder of `FlatObservation`.

    Attributes:
        slices: Where each part stands in the vector, by name.
        size: Entries of the vector.
    """

    def __init__(self, task: AnimationTask, slim: spaces.Dict, *, n_envs: int) -> None:
        """Compute the slices of the vector and its space."""
        super().__init__(task, slim, n_envs=n_envs)
        sizes = {
            "audio": task.window_dim,
            "condition": task.condition_dim,
            "slot": self.per_chunk,
            "last_tokens": self.per_chunk * task.n_tokens,
            "progress": 1,
            "remaining": 1,
        }
        stops = np.cumsum(list(sizes.values())).tolist()
        self.slices = {
            name: slice(stop - size, stop)
            for (name, size), stop in zip(sizes.items(), stops, strict=True)
        }
        self.size = stops[-1]
        self.space = self._space(slim)
        # Where a one-hot begins: one per slot, shape (tokens_per_chunk,).
        first = self.slices["last_tokens"].start
        self._one_hots = first + task.n_tokens * np.arange(self.per_chunk)

    def encode(self, slim: SlimBatch, rows: IntArray) -> np.ndarray:
        """Return (n, size) float32."""
        at, step, tokens = self.slices, slim["step"][:, 0], slim["last_tokens"]
        length = self.lengths[slim["utterance"][:, 0]]
        flat = np.empty((len(step), self.size), dtype=np.float32)
        flat[:, at["audio"]] = slim["audio"]
        flat[:, at["condition"]] = slim["condition"]
        flat[:, at["slot"].start : at["last_tokens"].stop] = 0
        here = np.arange(len(step))
        flat[here, at["slot"].start + step % self.per_chunk] = 1
        # A missing token (-1) gets an all-zero one-hot.
        flat[here[:, None], self._one_hots + np.maximum(tokens, 0)] = tokens >= 0
        flat[:, at["progress"].start] = step / length
        flat[:, at["remaining"].start] = (length - step) / self.longest
        return flat

    def _space(self, slim: spaces.Dict) -> spaces.Box:
        low, high = np.zeros(self.size, dtype=np.float32), np.ones(self.size, dtype=np.float32)
        low[self.slices["audio"]], high[self.slices["audio"]] = bounds(slim, "audio")
        return spaces.Box(low, high, dtype=np.float32)


class FlatObservation(EncodedObservation[np.ndarray]):
    """The slim observation as one float32 vector, for MLPs and DQN.

    `Box`, one axis, freshly allocated at every step. With W = `window_dim` (4 frames of 64 streams
    of the speech encoder and 35 features), C = `condition_dim` (9 emotions, 3 intensities and here
    9 speakers), S = `tokens_per_chunk` = 6 and K = `n_tokens` = 256:

    | name | size | here | meaning | low | high |
    |---|---|---|---|---|---|
    | `audio` | W | 396 | what is heard in this chunk | -8 | 8 |
    | `condition` | C | 21 | one-hots of emotion, intensity, speaker | 0 | 1 |
    | `slot` | S | 6 | one-hot: whose turn it is, `step % S` | 0 | 1 |
    | `last_tokens` | S * K | 1536 | one-hots of the last S tokens, newest last | 0 | 1 |
    | `progress` | 1 | 1 | written share of this utterance, `step / length` | 0 | 1 |
    | `remaining` | 1 | 1 | tokens to go, as a share of the longest utterance | 0 | 1 |
    | together | W + C + S + S * K + 2 | 1961 | | | |

    Tokens before the start are zeros. Audio features are about unit size already (the bounds are
    where they are clipped), so they are handed on as they are. What is further back or ahead is
    not seen, but for what the speech encoder tells of it: this observation is not Markov;
    `FullSequenceObservation` is.
    """

    encoder_class = FlatEncoder
    _encoder: FlatEncoder

    @property
    def slices(self) -> dict[str, slice]:
        """Slice of each part in the vector, by the names of the table."""
        return dict(self._encoder.slices)
