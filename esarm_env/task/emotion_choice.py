"""Emotion by choice: one by name, a blend (`happy:0.5,surprised:0.5`), or what the voice tells.

A blend is a mixture of one-hot conditions, over which the style vector S(c) is linear.
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, N_INTENSITIES, FloatArray

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

AUTO = "auto"
UNSURE = 0.4  # a voice whose likeliest emotion is less likely is shown half neutral
# What people call them otherwise; hints alone, since a synonym may be another corpus' own label.
_SYNONYMS = {
    "joy": "happy",
    "joyful": "happy",
    "glad": "happy",
    "mad": "angry",
    "furious": "angry",
    "rage": "angry",
    "scared": "fear",
    "afraid": "fear",
    "unhappy": "sad",
    "sorrow": "sad",
    "astonished": "surprised",
    "amazed": "surprised",
    "relaxed": "calm",
    "none": "neutral",
    "normal": "neutral",
}
_NOUNS = ("anger", "disgust", "happiness", "sadness", "surprise")  # as `emotion_named` knows them


@dataclass(frozen=True)
class EmotionMix:
    """Shares of emotions and intensities, each adding up to 1.

    Attributes:
        emotions: Shape (..., 9), in the order of `EMOTIONS`.
        intensities: Shape (..., 3).
    """

    emotions: FloatArray
    intensities: FloatArray

    @property
    def label(self) -> str:
        """What it is, in words: `happy`, or `happy 0.62, surprised 0.21`, with the intensity.

        Shares below 0.1 are one number, `others 0.17`, where they add up to that.
        """
        shares = {name: float(share) for name, share in zip(EMOTIONS, self.emotions, strict=True)}
        named = sorted((name for name in shares if shares[name] >= 0.1), key=lambda n: -shares[n])
        parts = [name if shares[name] > 0.995 else f"{name} {shares[name]:.2f}" for name in named]
        rest = 1 - sum(shares[name] for name in named)
        parts += [f"others {rest:.2f}"] if rest >= 0.1 else []
        strength = float(self.intensities @ np.arange(1, N_INTENSITIES + 1))
        return f"{', '.join(parts)} (intensity {strength:.1f})"


@dataclass(frozen=True)
class ShownEmotion:
    """What an animation shows, and what was heard of the voice if that decided.

    Attributes:
        words: All of it in words.
        mix: What is shown; under a curve at each moment, (C, 9) and (C, 3).
        heard: How likely the voice has each emotion, shape (9,); None if it was not asked.
        source: `given` by name or blend, `curve`, or `voice`.
    """

    words: str
    mix: EmotionMix
    heard: FloatArray | None = None
    source: str = "given"

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with shares by name from the largest; those below 0.01 left out.

        `name` is the emotion of the largest share; `sure` tells whether the likeliest heard one
        reaches `UNSURE`. Under a curve, shares and intensity are means over time.
        """
        emotions, intensities = (
            np.atleast_2d(each).mean(axis=0) for each in (self.mix.emotions, self.mix.intensities)
        )
        shares = shares_by_name(emotions)
        told = {
            "words": self.words,
            "source": self.source,
            "name": next(iter(shares)),
            "shares": shares,
            "intensity": round(float(intensities @ np.arange(1, N_INTENSITIES + 1)), 2),
        }
        if self.heard is not None:
            sure = bool(self.heard.max() >= UNSURE)
            told |= {"heard": shares_by_name(self.heard), "sure": sure}
        return told


def shares_by_name(emotions: FloatArray) -> dict[str, float]:
    """Return shares (9,) by name, from the largest; those below 0.01 are left out.

    >>> shares_by_name(np.eye(9)[EMOTIONS.index("happy")])
    {'happy': 1.0}
    """
    order = np.argsort(-emotions, kind="stable")
    return {EMOTIONS[i]: round(float(emotions[i]), 3) for i in order if emotions[i] >= 0.01}


def heard_mix(
    emotions: FloatArray, intensities: FloatArray, *, trained: Sequence[str] = EMOTIONS
) -> tuple[EmotionMix, str]:
    """Return what is shown of what a voice tells, and that in words.

    The probabilities are the blend. Where none reaches `UNSURE`, half of the blend is neutral: a
    wrong emotion in full disturbs more than a right one at half strength.

    Args:
        emotions: Shape (9,), how likely each is.
        intensities: Shape (3,), likewise.
        trained: Emotions that the policy saw in training; without neutral among them, none is put
            in.
    """
    emotions = only_trained(emotions, trained)
    best = int(np.argmax(emotions))
    if emotions[best] >= UNSURE:
        mix = EmotionMix(emotions, intensities)
        return mix, f"{mix.label}, as heard from the voice"
    likeliest = f"likeliest {EMOTIONS[best]}, {emotions[best]:.0%}"
    doubt = f"unsure what is heard from the voice ({likeliest})"
    if "neutral" not in trained:
        mix = EmotionMix(emotions, intensities)
        return mix, f"{mix.label}, {doubt}"
    neutral = np.eye(len(EMOTIONS), dtype=np.float32)[EMOTIONS.index("neutral")]
    mix = EmotionMix((emotions + neutral) / 2, intensities)
    return mix, f"{mix.label}, half neutral: {doubt}"


def heard_emotion(
    emotions: FloatArray, intensities: FloatArray, *, trained: Sequence[str] = EMOTIONS
) -> ShownEmotion:
    """Return what `heard_mix` does with what was heard, without emotions that were not trained."""
    mix, words = heard_mix(emotions, intensities, trained=trained)
    return ShownEmotion(words, mix, only_trained(emotions, trained), source="voice")


def emotion_named(name: str) -> str | None:
    """Return the one of `EMOTIONS` that `name` stands for, None if it is unknown.

    Capitals and the nouns of other corpora are understood, as in labels of recordings.

    >>> emotion_named("Anger")
    'angry'
    """
    if name in EMOTIONS:
        return name
    from esarm_env.corpus.layouts.metadata import emotion_of

    return emotion_of(name)


def nearest_emotion(name: str, *others: str) -> str:
    """Return what a message adds for a misspelt `name`: `; did you mean happy?`, or nothing.

    Args:
        name: That is no emotion's.
        *others: What may be meant beside emotions.
    """
    known = {near: emotion_named(near) for near in (*EMOTIONS, *_NOUNS)}
    known |= _SYNONYMS | {other: other for other in others}
    found = difflib.get_close_matches(name.strip().lower(), known, n=1)
    return f"; did you mean {known[found[0]]}?" if found else ""


def parse_emotion(text: str) -> Mapping[str, float]:
    """Read an emotion or a blend of emotions; shares that do not add up to 1 are divided by theirs.

    Args:
        text: `happy`, or names with shares, `happy:0.5,surprised:0.5`; capitals do not matter.

    Raises:
        InputError: If an emotion is unknown or stands there twice, or a share is not above 0.
    """
    parts = [part.strip() for part in text.split(",")]
    shares: dict[str, float] = {}
    for part in parts:
        given, colon, number = (piece.strip() for piece in part.partition(":"))
        name = emotion_named(given)
        if name is None:
            near = nearest_emotion(given, *([AUTO] if len(parts) == 1 else []))
            raise InputError(
                f"`emotion` must be {AUTO}, one of {', '.join(EMOTIONS)} (if the run was trained "
                f"on it), a curve in a .csv file, or a blend such as happy:0.5,surprised:0.5, "
                f"got {text!r}{near}"
            )
        if name in shares:
            raise InputError(f"`emotion` must name each emotion once, got {text!r}")
        shares[name] = _share(number, text) if colon else 1.0
    total = sum(shares.values())
    if abs(total - 1) > 1e-6:
        if len(parts) == 1:
            raise InputError(
                f"`emotion` must be a blend of several where there are shares, got {text!r}; how "
                "strong one emotion is says `intensity`"
            )
        warnings.warn(
            f"the shares of {text} add up to {total:g}; each is divided by that", stacklevel=3
        )
    return {name: share / total for name, share in shares.items()}


def check_trained(emotions: FloatArray | DoubleArray, trained: Sequence[str]) -> None:
    """Check that no emotion is shown that a policy never saw.

    Args:
        emotions: Shares, shape (..., 9).
        trained: Emotions that it saw in training.

    Raises:
        InputError: If one is.
    """
    rows = np.asarray(emotions, dtype=np.float64).reshape(-1, len(EMOTIONS))
    shown = [float(share) > 0 for share in rows.max(axis=0)]
    others = [name for name, is_shown in zip(EMOTIONS, shown, strict=True) if is_shown]
    others = [name for name in others if name not in trained]
    if others:
        raise InputError(
            f"`emotion` must be among those that the run was trained on, {', '.join(trained)}, got "
            f"{', '.join(others)}: what its policy makes of others is chance"
        )


def only_trained(emotions: FloatArray, trained: Sequence[str]) -> FloatArray:
    """Return shares (9,) of what was heard, without the emotions that a policy never saw."""
    known = np.array([name in trained for name in EMOTIONS])
    if known.all():
        return emotions
    kept = np.where(known, emotions, 0)
    if not kept.any():  # what was heard is nothing that the policy could show
        kept = known.astype(np.float32)
    shares: FloatArray = (kept / kept.sum()).astype(np.float32)
    return shares


def _share(number: str, text: str) -> float:
    try:
        share = float(number)
    except ValueError:
        share = math.nan
    if not 0 < share < math.inf:
        raise InputError(f"`emotion` must have shares above 0, got {number!r} in {text!r}")
    return share


def chosen_mix(text: str, intensity: int) -> EmotionMix:
    """Return what `parse_emotion` reads, at one intensity.

    Raises:
        InputError: If the emotion cannot be read, or the intensity is not 1 to 3.
    """
    shares = parse_emotion(text)
    if np.ndim(intensity) or intensity not in range(1, N_INTENSITIES + 1):
        raise InputError(f"`intensity` must be 1 to {N_INTENSITIES}, got {intensity!r}")
    emotions = np.array([shares.get(name, 0.0) for name in EMOTIONS], dtype=np.float32)
    return EmotionMix(emotions, np.eye(N_INTENSITIES, dtype=np.float32)[int(intensity) - 1])
