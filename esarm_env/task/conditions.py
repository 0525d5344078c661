"""Condition vector of a policy: one-hot emotion, intensity and speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, N_INTENSITIES, UNKNOWN_SPEAKER, FloatArray, Record
from esarm_env.task.emotion_choice import nearest_emotion

if TYPE_CHECKING:
    from esarm_env.task.emotion_choice import EmotionMix

EMOTION_SLICE = slice(0, len(EMOTIONS))
INTENSITY_SLICE = slice(len(EMOTIONS), len(EMOTIONS) + N_INTENSITIES)
SPEAKER_START = INTENSITY_SLICE.stop


@dataclass(frozen=True)
class ConditionEncoder:
    """Concatenated one-hots of emotion (9), intensity (3) and speaker, as in EMOTE.

    A speaker outside `speakers` (a held-out one) is all zeros, which policies learn as "average"
    by having the speaker hidden now and then in training.

    Attributes:
        speakers: Names of the training speakers, in the order of their columns.
    """

    speakers: tuple[str, ...]

    @property
    def dim(self) -> int:
        """Number of columns."""
        return SPEAKER_START + len(self.speakers)

    def encode(self, emotion: str, intensity: int, speaker: str | None) -> FloatArray:
        """Return the condition, shape (dim,).

        Args:
            emotion: One of `EMOTIONS`.
            intensity: 1 to 3.
            speaker: A training speaker; None or any other name means "average speaker".

        Raises:
            InputError: If emotion or intensity is unknown (the message lists the valid ones), or
                the speaker is no name.
        """
        if not isinstance(emotion, str) or emotion not in EMOTIONS:
            near = nearest_emotion(emotion) if isinstance(emotion, str) else ""
            rule = f"`emotion` must be one of {', '.join(EMOTIONS)}"
            raise InputError(f"{rule}, got {emotion!r}{near}")
        if np.ndim(intensity) or intensity not in range(1, N_INTENSITIES + 1):
            raise InputError(f"`intensity` must be 1 to {N_INTENSITIES}, got {intensity!r}")
        if not (speaker is None or isinstance(speaker, str)):
            raise InputError(f"`speaker` must be a name or None, got {speaker!r}")
        condition = np.zeros(self.dim, dtype=np.float32)
        condition[EMOTIONS.index(emotion)] = 1
        condition[INTENSITY_SLICE.start + int(intensity) - 1] = 1
        if self.speaker_index(speaker) != UNKNOWN_SPEAKER:
            condition[SPEAKER_START + self.speaker_index(speaker)] = 1
        return condition

    def encode_mix(self, mix: EmotionMix, speaker: str | None) -> FloatArray:
        """Return the condition of a blend of emotions and intensities, shape (..., dim)."""
        condition = np.zeros((*mix.emotions.shape[:-1], self.dim), dtype=np.float32)
        condition[..., EMOTION_SLICE] = mix.emotions
        condition[..., INTENSITY_SLICE] = mix.intensities
        if self.speaker_index(speaker) != UNKNOWN_SPEAKER:
            condition[..., SPEAKER_START + self.speaker_index(speaker)] = 1
        return condition

    def speaker_index(self, speaker: str | None) -> int:
        """Return the speaker's column, or `UNKNOWN_SPEAKER`."""
        return self.speakers.index(speaker) if speaker in self.speakers else UNKNOWN_SPEAKER

    def encode_records(self, records: Sequence[Record]) -> FloatArray:
        """Return the conditions of `records`, shape (N, dim)."""
        rows = [self.encode(r.emotion, r.intensity, r.speaker) for r in records]
        return np.stack(rows) if rows else np.zeros((0, self.dim), dtype=np.float32)
