"""How agents find a task behind an environment."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.protocols import SequenceTask, find_in_env

MakeEnv = Callable[..., gymnasium.Env[Any, Any]]


@pytest.mark.parametrize("n_envs", [1, 4])
def test_the_task_is_found_behind_wrappers(
    make_env: MakeEnv, task: SequenceTask, n_envs: int
) -> None:
    """SB3 wraps every environment in a Monitor; users add wrappers of their own."""
    wrapped = [Monitor(gymnasium.wrappers.PassiveEnvChecker(make_env(task))) for _ in range(n_envs)]
    venv = DummyVecEnv([lambda each=each: each for each in wrapped])
    assert find_in_env(venv, "sequence_task") is task
    np.testing.assert_array_equal(find_in_env(venv, "utterances"), np.arange(12))
    assert callable(find_in_env(venv, "score_tokens"))


@pytest.mark.parametrize("name", ["sequence_task", "score_tokens"])
def test_an_environment_of_another_kind_is_rejected(name: str) -> None:
    """CartPole has no utterances: the error must say what is missing and what to use instead."""
    venv = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])
    rule = (
        f"`env` must offer `{name}` (as ESARM-v0 does), got {venv}; "
        "stock Stable-Baselines3 algorithms need no such thing"
    )
    with pytest.raises(ValueError, match=re.escape(rule)):
        find_in_env(venv, name)
