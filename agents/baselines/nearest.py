"""The baseline that copies: faces of the training speech that sounds most alike, cross-faded.

No network: whatever a rival gains over it, is what it has learned beyond looking up.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from agents.protocols import FloatArray, IntArray

SEGMENT = 12  # frames: 0.4 s, a syllable or two
_HOP = SEGMENT // 2  # frames between two segments that are looked up
_COMPONENTS = 16  # of the audio features of a frame, by principal components
_MOST_SEGMENTS = 100_000  # of the training speech; of more, evenly spaced ones are kept


class NearestNeighbour:
    """Animates speech in segments of `SEGMENT` frames, which overlap by half.

    Each gets the curves of the training segment whose audio is nearest: least Euclidean distance of
    all its frames, which are standardised and reduced to principal components. Overlaps are
    cross-faded, by weights that fall linearly from a segment's middle.
    """

    def __init__(
        self,
        features: Sequence[FloatArray],
        curves: Sequence[FloatArray],
        conditions: Sequence[Hashable] | None = None,
    ) -> None:
        """Cut the training utterances into segments.

        Args:
            features: Audio features of each utterance, (T, D).
            curves: Its recorded motion, (T, 52).
            conditions: The condition of each, for instance (emotion, intensity): an utterance whose
                condition is told looks among those alone. By default among all.

        Raises:
            ValueError: If there are no utterances, or not as many of each.
        """
        n_conditions = len(features) if conditions is None else len(conditions)
        if len(features) == 0 or not len(features) == len(curves) == n_conditions:
            raise ValueError(
                "`features` must be one or more, as many as `curves` and `conditions`, got "
                f"{len(features)}, {len(curves)} and {n_conditions}"
            )
        self._fit(np.concatenate(features).astype(np.float64))
        step = max(2, -(-sum(map(len, features)) // _MOST_SEGMENTS))
        heard, seen, keys = [], [], []
        for number, (sound, motion) in enumerate(zip(features, curves, strict=True)):
            places = _places(len(sound), step)
            heard.append(self._reduced(sound)[places].reshape(len(places), -1))
            seen.append(np.asarray(motion, dtype=np.float32)[places])
            keys += [None if conditions is None else conditions[number]] * len(places)
        self._heard, self._curves = np.concatenate(heard), np.concatenate(seen)  # (M, ...)
        self._squares = np.square(self._heard).sum(1)
        self._rows = {
            key: np.array([row for row, other in enumerate(keys) if other == key])
            for key in dict.fromkeys(keys)
        }

    @property
    def size(self) -> int:
        """Numbers that are remembered."""
        return int(self._heard.size + self._curves.size)

    def animate(self, features: FloatArray, condition: Hashable | None = None) -> FloatArray:
        """Return curves (T, 52) of audio features (T, D).

        Args:
            features: Of an utterance, at 30 fps.
            condition: As of the training utterances; with None or an unseen one all are looked
                through.
        """
        n_frames = len(features)
        places = _places(n_frames, _HOP)
        found = self._curves[self._nearest(self._reduced(features)[places], condition)]
        weights = 1 - np.abs(np.arange(SEGMENT) - (SEGMENT - 1) / 2) / (SEGMENT / 2)
        total, curves = np.zeros((n_frames, 1)), np.zeros((n_frames, found.shape[-1]))
        for place, face in zip(places, found, strict=True):
            np.add.at(curves, place, weights[:, None] * face)
            np.add.at(total, place, weights[:, None])
        mixed: FloatArray = (curves / total).astype(np.float32)
        return mixed

    def _nearest(self, heard: FloatArray, condition: Hashable | None) -> IntArray:
        """Return the training segment nearest to each of `heard` (S, SEGMENT, components)."""
        rows = self._rows.get(condition)
        known = self._heard if rows is None else self._heard[rows]
        squares = self._squares if rows is None else self._squares[rows]
        # Of |a - b|² the part that differs between training segments.
        best = (squares - 2 * heard.reshape(len(heard), -1) @ known.T).argmin(1)
        nearest: IntArray = best if rows is None else rows[best]
        return nearest

    def _fit(self, frames: np.ndarray) -> None:
        """Take mean, spread and principal components from all frames (F, D)."""
        self._mean, self._spread = frames.mean(0), frames.std(0) + 1e-6
        standard = (frames - self._mean) / self._spread
        _, axes = np.linalg.eigh(standard.T @ standard)  # ascending
        self._axes = axes[:, ::-1][:, :_COMPONENTS]

    def _reduced(self, features: FloatArray) -> FloatArray:
        """Return features (T, D) by their principal components, (T, C)."""
        standard = (features - self._mean) / self._spread
        reduced: FloatArray = (standard @ self._axes).astype(np.float32)
        return reduced


def _places(n_frames: int, step: int) -> IntArray:
    """Return the frames of segments, (S, SEGMENT), one every `step` frames and one at the end.

    An utterance that is shorter than one segment is held at its last frame.
    """
    last = max(0, n_frames - SEGMENT)
    starts = np.unique(np.append(np.arange(0, last, step), last))
    places: IntArray = np.minimum(starts[:, None] + np.arange(SEGMENT), n_frames - 1)
    return places
