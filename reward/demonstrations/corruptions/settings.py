"""Damage by asking the policy for something else: hotter, or another emotion or intensity."""

from __future__ import annotations

import numpy as np

from esarm_env.conditions import EMOTION_SLICE, INTENSITY_SLICE
from esarm_env.types import FloatArray
from reward.demonstrations.corruptions.context import Context
from reward.demonstrations.corruptions.family import Setting

HOTTEST = 2.0
COLDEST = 1e-3  # below, sampling is greedy to any purpose, and policies refuse it


def temperature(strength: float, rng: np.random.Generator, context: Context) -> Setting:
    """Sample at a temperature of up to 2."""
    return Setting(context.own_condition(), max(COLDEST, HOTTEST * strength))


def policy_emotion(strength: float, rng: np.random.Generator, context: Context) -> Setting:
    """Ask for an emotion between the right and a wrong one: the condition is interpolated."""
    donor = context.donors.draw("emotion", context.utterance, rng)
    return Setting(_towards(donor, EMOTION_SLICE, strength, context))


def policy_intensity(strength: float, rng: np.random.Generator, context: Context) -> Setting:
    """Ask for an intensity between the right and a wrong one."""
    donor = context.donors.draw("intensity", context.utterance, rng)
    return Setting(_towards(donor, INTENSITY_SLICE, strength, context))


def _towards(donor: int, columns: slice, strength: float, context: Context) -> FloatArray:
    own = context.own_condition().copy()
    wrong = context.task.condition_of(np.array([donor]))[0]
    own[columns] += np.float32(strength) * (wrong[columns] - own[columns])
    return own
