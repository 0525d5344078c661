"""Utterances made by hand, whose figures are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from esarm_env.core.types import N_CHANNELS, FloatArray, Record, Utterance

MakeUtterance = Callable[..., Utterance]


@pytest.fixture(scope="session")
def utterance() -> MakeUtterance:
    """Return a maker of utterances: frames, loudness (T,), curves by channel index."""

    def make(
        n_frames: int = 90,
        *,
        id: str = "u",
        speaker: str = "anna",
        emotion: str = "neutral",
        loudness: FloatArray | None = None,
        curves: dict[int, FloatArray | float] | None = None,
        captured: Sequence[int] | None = None,
    ) -> Utterance:
        loud = np.ones(n_frames) if loudness is None else loudness
        where = np.arange(n_frames * 16_000 // 30)
        gain = np.interp(where * 30 / 16_000, np.arange(n_frames), loud)
        motion = np.zeros((n_frames, N_CHANNELS), np.float32)
        for channel, curve in (curves or {}).items():
            motion[:, channel] = curve
        kept = np.ones(N_CHANNELS, dtype=np.bool_)
        if captured is not None:
            kept = np.isin(np.arange(N_CHANNELS), captured)
        record = Record(id, speaker, emotion, 1, None, n_frames)
        audio = (0.3 * gain * np.sin(2 * np.pi * 200 * where / 16_000)).astype(np.float32)
        return Utterance(record, audio, motion, kept)

    return make
