"""Damage by other utterances: their emotion, intensity, upper face, or all of their motion."""

from __future__ import annotations

import numpy as np

from esarm_env.face.names import MOUTH_CHANNELS
from esarm_env.types import FloatArray
from reward.demonstrations.corruptions.context import Context
from reward.demonstrations.corruptions.spans import fitted, growing_span, stretched


def wrong_emotion(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Blend into the expression of an utterance of another emotion, a parallel one if there is.

    The upper face is blended frame by frame, the donor played in the same time; of the mouth only
    the mean pose moves, so that it keeps saying the same words.
    """
    donor = context.donor("emotion", rng)
    return _with_expression(motion, donor, strength)


def wrong_intensity(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Do the same with an utterance of the same emotion at another intensity."""
    donor = context.donor("intensity", rng)
    return _with_expression(motion, donor, strength)


def _with_expression(motion: FloatArray, donor: FloatArray, strength: float) -> FloatArray:
    other = stretched(donor, len(motion))
    mouth = MOUTH_CHANNELS
    other[:, mouth] = motion[:, mouth] - motion[:, mouth].mean(0) + other[:, mouth].mean(0)
    share = np.float32(strength)
    return (1 - share) * motion + share * other


def shuffled_audio(
    motion: FloatArray, strength: float, rng: np.random.Generator, context: Context
) -> FloatArray:
    """Show another utterance's motion over a growing stretch: good motion to the wrong audio."""
    donor = context.donor("sentence", rng)
    cut, place = rng.random(2)
    weight = growing_span(len(motion), strength, place)
    return motion * (1 - weight) + fitted(donor, len(motion), cut) * weight
