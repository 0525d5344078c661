"""The reward can be set on an environment that is there; its other arguments are refused."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.sb3 import make_sb3_vec_env

ARGUMENTS = ("run", "task", "corpus", "reward", "split", "sampling", "max_duration_s")


def last_reward(env: Any, seed: int = 0) -> float:
    """Return the score of an episode of the token 3 alone."""
    env.reset(seed=seed)
    while True:
        _, reward, terminated, _, _ = env.step(3)
        if terminated:
            return float(reward)


def test_a_reward_that_is_set_is_what_step_pays() -> None:
    """`step` went on with the old one, while whole sequences were scored by the new."""
    env, other = SpeechAnimationEnv(reward="accuracy"), SpeechAnimationEnv(reward="jerk")
    first, wanted = last_reward(env), last_reward(other)
    assert first != wanted
    env.reward_function = "jerk"  # type: ignore[assignment]  # a name is taken, an object returned
    assert last_reward(env) == wanted
    assert list(env.reward_function.terms) == ["jerk"]
    with pytest.raises(InputError, match=re.escape("`reward` must be")):
        env.reward_function = 3  # type: ignore[assignment]
    assert last_reward(env) == wanted


def test_a_vector_environment_takes_a_reward_for_all() -> None:
    """By name, as `set_attr` gives it."""
    other = SpeechAnimationEnv(reward="jerk")
    env = SpeechAnimationVectorEnv(2, reward="accuracy")
    env.set_attr("reward_function", "jerk")
    env.reset(seed=[0, 1])
    seen = {}
    while len(seen) < 2:
        _, rewards, terminated, _, _ = env.step(np.array([3, 3]))
        seen |= {row: float(rewards[row]) for row in np.flatnonzero(terminated) if row not in seen}
    assert seen[0] == pytest.approx(last_reward(other, seed=0))
    assert seen[1] == pytest.approx(last_reward(other, seed=1))


@pytest.mark.parametrize("name", [*ARGUMENTS, "action_mask", "metrics"])
def test_an_argument_that_is_set_afterwards_is_refused(name: str) -> None:
    """It was kept as an attribute that nothing read."""
    rule = re.escape(f"`{name}` must be given when the environment is made, and has no effect")
    wrapped = gymnasium.make("ESARM-v0")
    env = wrapped.unwrapped
    assert not hasattr(env, name)
    with pytest.raises(InputError, match=rule):
        setattr(env, name, "test")
    with pytest.raises(InputError, match=rule):
        wrapped.set_wrapper_attr(name, "test")
    native = SpeechAnimationVectorEnv(2)
    with pytest.raises(InputError, match=rule):
        native.set_attr(name, "test")
    with pytest.raises(InputError, match=re.escape(f"`{name}` must be")):
        make_sb3_vec_env(2).set_attr(name, "test", indices=[0])


def test_a_subclass_may_use_the_names() -> None:
    """What it calls `split` is its own."""

    class Mine(SpeechAnimationEnv):
        def __init__(self) -> None:
            super().__init__()
            self.split = "mine"

    env = Mine()
    assert env.split == "mine"
    assert env.set_wrapper_attr("note", 3) and env.note == 3  # type: ignore[attr-defined]
