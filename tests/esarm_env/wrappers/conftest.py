"""What the tests of wrappers share: slim environments of the tiny task, and a look at memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.animation_task import AnimationTask

MakeSlim = Callable[[], SpeechAnimationEnv]


@pytest.fixture
def make_slim(tiny_task: AnimationTask) -> MakeSlim:
    """Return a function that makes environments of 16 tokens and 20 to 48 steps an episode."""
    return lambda: SpeechAnimationEnv(task=tiny_task, reward="accuracy", metrics=False)


def arrays_in(value: Any) -> list[np.ndarray]:
    """Return all arrays of numbers in `value`, however deep; of an object, in its attributes."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | np.ndarray):
        return [array for part in value for array in arrays_in(part)]
    return []


@pytest.fixture
def assert_separate() -> Callable[..., None]:
    """Return a check that no two of the arrays in its arguments share memory."""

    def check(*values: Any) -> None:
        arrays = [array for value in values for array in arrays_in(value)]
        assert len(arrays) > 10, "there must be something to compare"
        shared = sum(np.may_share_memory(a, b) for a, b in combinations(arrays, 2))
        assert not shared, f"{shared} pairs of arrays share memory"

    return check
