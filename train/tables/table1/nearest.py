"""Nearest neighbour in audio: the motion of the most similar sound in training.

For orientation: what looking up can do without learning. Every frame is found by a window of audio
features among the training frames of its condition, and brings a few frames of motion round it;
where these overlap, they are averaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from esarm_env.core.types import FloatArray

_REACH = 4  # frames heard on each side: 0.3 s in all, a syllable
_BROUGHT = 2  # frames of motion on each side of the one that is found
_WIDTH = 32  # principal components of a window of features
_FRAMES_FITTED = 20_000  # that these are fitted on
_AT_ONCE = 1024  # frames looked up together


class NearestNeighbour:
    """Looks up training frames by sound, within a condition."""

    def __init__(
        self,
        features: Sequence[FloatArray],
        motions: Sequence[FloatArray],
        conditions: Sequence[Hashable],
    ) -> None:
        """Remember training utterances.

        Args:
            features: Shape (T_i, D) each.
            motions: Shape (T_i, 52) each.
            conditions: The condition of each; an unseen one is looked up among all.
        """
        windows = [_windows(each) for each in features]
        frames = np.concatenate(windows)
        step = max(1, len(frames) // _FRAMES_FITTED)
        self._mean = frames.mean(axis=0)
        centred = frames[::step] - self._mean
        values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
        self._axes = np.ascontiguousarray(axes[:, np.argsort(values)[::-1][:_WIDTH]])
        self._brought = np.concatenate([_round_each(each) for each in motions])
        self._keys = (frames - self._mean) @ self._axes
        numbers = np.repeat(np.arange(len(windows)), [len(each) for each in windows])
        self._rows: dict[Hashable, np.ndarray] = {}
        for condition in dict.fromkeys(conditions):
            members = [i for i, each in enumerate(conditions) if each == condition]
            self._rows[condition] = np.flatnonzero(np.isin(numbers, members))

    @property
    def size(self) -> int:
        """Numbers that are remembered."""
        return int(self._keys.size + self._brought[:, 0].size)

    def animate(self, features: FloatArray, condition: Hashable) -> FloatArray:
        """Return motion (T, 52) for features (T, D)."""
        rows = self._rows.get(condition, np.arange(len(self._keys)))
        known = self._keys[rows]
        lengths = np.square(known).sum(axis=1)
        asked = (_windows(features) - self._mean) @ self._axes
        found = np.concatenate(
            [
                (lengths - 2 * asked[begin : begin + _AT_ONCE] @ known.T).argmin(axis=1)
                for begin in range(0, len(asked), _AT_ONCE)
            ]
        )
        return _overlaid(self._brought[rows[found]])


def _windows(features: FloatArray) -> FloatArray:
    """Return each frame with its neighbours, shape (T, (2 reach + 1) D), the ends repeated."""
    places = np.arange(len(features))[:, None] + np.arange(-_REACH, _REACH + 1)
    heard = features[places.clip(0, len(features) - 1)]
    return np.asarray(heard.reshape(len(features), -1), dtype=np.float32)


def _round_each(motion: FloatArray) -> FloatArray:
    """Return the frames round each frame, shape (T, 2 brought + 1, 52), the ends repeated."""
    places = np.arange(len(motion))[:, None] + np.arange(-_BROUGHT, _BROUGHT + 1)
    return motion[places.clip(0, len(motion) - 1)]


def _overlaid(brought: FloatArray) -> FloatArray:
    """Return the mean of pieces (T, 2 brought + 1, 52) that lie round each frame, (T, 52)."""
    n_frames = len(brought)
    total = np.zeros((n_frames, brought.shape[2]), dtype=np.float32)
    count = np.zeros((n_frames, 1), dtype=np.float32)
    for place in range(2 * _BROUGHT + 1):
        shift = place - _BROUGHT
        inside = np.arange(n_frames) + shift
        kept = (inside >= 0) & (inside < n_frames)
        np.add.at(total, inside[kept], brought[kept, place])
        np.add.at(count, inside[kept], 1)
    return total / count
