"""Environments that are registered for one test, over the tiny task, and what is wrong with them.

An environment is made of `SpeechAnimationEnv` or a subclass of it that breaks one promise.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import pytest

from esarm_env.doctor import ENVIRONMENT_CHECKS, Result, Subject, run_checks
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.animation_task import AnimationTask

Register = Callable[..., str]
Diagnose = Callable[..., dict[str, Result]]


class EntryPoint(functools.partial[Any]):
    """Keeps its task where its specification is copied, which Gymnasium does at every turn.

    Network and recordings would be copied along.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> EntryPoint:
        return EntryPoint(self.func, *copy.deepcopy(self.args, memo), **self.keywords)


@pytest.fixture
def register(tiny_task: AnimationTask) -> Iterator[Register]:
    """Return a function that registers environments of the tiny task, and returns their id."""
    made: list[str] = []

    def add(env: Any = SpeechAnimationEnv, *, vector: Any = None, **registration: Any) -> str:
        env_id = f"Doctored{len(made)}-v0"
        settings: dict[str, Any] = {"task": tiny_task, "reward": "accuracy"}
        gymnasium.register(
            id=env_id,
            entry_point=EntryPoint(env, **settings),
            vector_entry_point=vector and EntryPoint(vector, **settings),
            **registration,
        )
        made.append(env_id)
        return env_id

    yield add
    for env_id in made:
        gymnasium.registry.pop(env_id)


@pytest.fixture
def diagnose(register: Register) -> Diagnose:
    """Return a function that registers an environment, and returns all results by check."""

    def results_of(*classes: Any, **registration: Any) -> dict[str, Result]:
        subject = Subject(register(*classes, **registration))
        return {result.name: result for result in run_checks(ENVIRONMENT_CHECKS, subject)}

    return results_of
