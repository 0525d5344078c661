"""Synthetic speakers: voice and facial style of each, drawn from the rules' ranges."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.corpus.synthetic import rules

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

Range = tuple[float, float]
ACCENT = "en-us"  # of all corpora


@dataclass(frozen=True)
class SpeakerStyle:
    """Style of one speaker; ranges and units are those of `rules`.

    Attributes:
        voice: espeak-ng voice and variant.
        rate_wpm: Neutral speaking rate.
        pitch: Neutral pitch, espeak's scale.
        pitch_range: Neutral pitch range, espeak's scale.
        level_db: Long-term level of the neutral voice.
        jaw_gain: Scale of `jawOpen`.
        lip_gain: Scale of the other mouth channels in speech.
        brow_gain: Scale of prosody-driven brows.
        expressiveness: Scale of emotional expressions.
        asymmetry: Left is scaled by 1 + this, right by 1 - this.
        near_side: `Left` or `Right`, where one-sided expressions appear.
        smile_bias: Constant `mouthSmile`.
        blink_gain: Scale of the blink rate.
        neutral: Shape (len(rules.SPEAKER_NEUTRAL),), the resting face, in that order.
        habits: By emotion a factor for each unit of `rules.EMOTION_FACE`, in that order.
    """

    voice: str
    rate_wpm: float
    pitch: float
    pitch_range: float
    level_db: float
    jaw_gain: float
    lip_gain: float
    brow_gain: float
    expressiveness: float
    asymmetry: float
    near_side: str
    smile_bias: float
    blink_gain: float
    neutral: FloatArray
    habits: Mapping[str, FloatArray]


def generator_of(seed: int, *keys: str | int) -> np.random.Generator:
    """Return a random generator seeded by `seed` and all `keys`."""
    words = [zlib.crc32(str(key).encode()) for key in keys]
    return np.random.default_rng([seed, *words])


def speaker_style(index: int, *, seed: int, accent: str = ACCENT) -> SpeakerStyle:
    """Draw speaker number `index` of the corpus seeded with `seed`; the accent changes no draw."""
    rng = generator_of(seed, "speaker", index)

    def draw(limits: Range) -> float:
        return float(rng.uniform(*limits))

    return SpeakerStyle(
        voice=f"{accent}+{rules.VOICES[index % len(rules.VOICES)]}",
        rate_wpm=draw(rules.SPEAKER_RATE_WPM),
        pitch=draw(rules.SPEAKER_PITCH),
        pitch_range=draw(rules.SPEAKER_RANGE),
        level_db=draw(rules.SPEAKER_LEVEL_DB),
        jaw_gain=draw(rules.SPEAKER_JAW_GAIN),
        lip_gain=draw(rules.SPEAKER_LIP_GAIN),
        brow_gain=draw(rules.SPEAKER_BROW_GAIN),
        expressiveness=draw(rules.SPEAKER_EXPRESSIVENESS),
        asymmetry=draw(rules.SPEAKER_ASYMMETRY),
        near_side="Left" if (index + 1) % rules.RIGHT_SIDED_EVERY else "Right",
        smile_bias=draw(rules.SPEAKER_SMILE_BIAS),
        blink_gain=draw(rules.SPEAKER_BLINK_GAIN),
        neutral=rng.uniform(0, 1, len(rules.SPEAKER_NEUTRAL)).astype(np.float32)
        * np.array(list(rules.SPEAKER_NEUTRAL.values()), np.float32),
        habits={emotion: _habit(index, emotion, seed=seed) for emotion in rules.EMOTION_FACE},
    )


def _habit(index: int, emotion: str, *, seed: int) -> FloatArray:
    """Draw how strongly a speaker uses each unit of an emotion."""
    rng = generator_of(seed, "habit", index, emotion)
    return rng.uniform(*rules.HABIT_RANGE, len(rules.EMOTION_FACE[emotion])).astype(np.float32)
