"""What is set on an environment that is there: a method of its own is played, the rest refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.rollout.buffer import EpisodeBatch
from esarm_env.core.errors import InputError

Env = gymnasium.Env[Any, Any]
Make = Callable[..., SequenceAlgorithm]


def learnt(make: Make, env: Any, **settings: Any) -> EpisodeBatch:
    """Return the episodes of one iteration."""
    batch = make(SequencePPO, env, **settings).learn(1).batch
    assert batch is not None
    return batch


def negate(env: Any) -> None:
    """Assign a `step` to this very object that turns its rewards round."""
    before = env.step

    def step(action: Any) -> Any:
        obs, reward, terminated, truncated, info = before(action)
        return obs, -float(reward), terminated, truncated, info

    env.step = step


@pytest.mark.parametrize("on", ["environment", "monitor"])
def test_a_step_assigned_to_an_object_is_played(
    make_algorithm: Make, make_env: Callable[..., Env], task: SequenceTask, on: str
) -> None:
    """Passed over, training went the opposite way of what was asked for, without a word."""
    plain = learnt(make_algorithm, Monitor(make_env(task)))
    inner = make_env(task)
    env = Monitor(inner)
    negate(inner if on == "environment" else env)
    changed = learnt(make_algorithm, env)
    np.testing.assert_array_equal(changed.tokens, plain.tokens)
    np.testing.assert_allclose(changed.scores, -plain.scores)


def test_a_reset_assigned_to_an_object_chooses(make_algorithm: Make, env: Env) -> None:
    """As one of a class does."""
    before = env.reset

    def reset(*, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return before(seed=seed, options=options or {"utterance": 7})

    env.reset = reset  # type: ignore[method-assign]
    assert set(learnt(make_algorithm, env).utterances) == {7}


def test_a_score_function_assigned_to_an_object_is_asked(make_algorithm: Make, env: Env) -> None:
    """It stands for the `step` of what it is on, as one of a class does."""
    env.score_tokens = lambda utterances, *_: np.full(len(utterances), 3.0, np.float32)  # type: ignore[attr-defined]
    assert set(learnt(make_algorithm, env).scores) == {3.0}


@pytest.mark.parametrize("name", ["step", "step_wait", "step_async", "reset"])
def test_a_method_assigned_to_a_vec_env_is_refused(
    make_algorithm: Make, make_env: Callable[..., Env], task: SequenceTask, name: str
) -> None:
    """Roll-outs never call it."""
    env = DummyVecEnv([lambda: make_env(task)])
    setattr(env, name, getattr(env, name))
    with pytest.raises(InputError, match=re.escape(f"`DummyVecEnv` with a `{name}` of its own")):
        make_algorithm(SequencePPO, env)


def test_a_vec_env_class_with_a_step_of_its_own_is_refused(
    make_algorithm: Make, make_env: Callable[..., Env], task: SequenceTask
) -> None:
    """Its rewards were passed over like those of an object."""

    class Halves(DummyVecEnv):
        def step_wait(self) -> Any:
            obs, rewards, dones, infos = super().step_wait()
            return obs, rewards / 2, dones, infos

    with pytest.raises(InputError, match=re.escape("`Halves` with a `step_wait` of its own")):
        make_algorithm(SequencePPO, Halves([lambda: make_env(task)]))


def test_a_step_assigned_to_a_vec_env_wrapper_sees_every_step(
    make_algorithm: Make, make_env: Callable[..., Env], task: SequenceTask
) -> None:
    """As a wrapper class of one's own does."""
    plain = learnt(make_algorithm, DummyVecEnv([lambda: make_env(task)]))
    env = VecMonitor(DummyVecEnv([lambda: make_env(task)]))
    before = env.step_wait

    def step_wait() -> Any:
        obs, rewards, dones, infos = before()
        return obs, rewards * 2, dones, infos

    env.step_wait = step_wait  # type: ignore[method-assign]
    np.testing.assert_allclose(learnt(make_algorithm, env).scores, 2 * plain.scores)


@pytest.mark.parametrize("name", ["reward", "reward_function", "split", "max_duration_s"])
def test_what_set_attr_left_on_a_wrapper_is_refused(
    make_algorithm: Make, make_env: Callable[..., Env], task: SequenceTask, name: str
) -> None:
    """`set_attr` ends at the outermost wrapper, and training went on with the old reward."""
    env = DummyVecEnv([lambda: Monitor(make_env(task))])
    algorithm = make_algorithm(SequencePPO, env)
    env.set_attr(name, "jerk")
    message = f"`{name}` must be set on the environment itself, got it on the wrapper `Monitor`"
    with pytest.raises(InputError, match=re.escape(message)):
        make_algorithm(SequencePPO, env)
    with pytest.raises(InputError, match=re.escape(message)):
        algorithm.learn(1)


def test_what_is_no_setting_may_be_set_anywhere(
    make_algorithm: Make, make_env: Callable[..., Env], task: SequenceTask
) -> None:
    """A note of the user's own is nobody's matter."""
    env = DummyVecEnv([lambda: Monitor(make_env(task))])
    env.set_attr("note", "mine")
    learnt(make_algorithm, env)
    assert env.get_attr("note") == ["mine"]
