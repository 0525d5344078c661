"""`FlatObservation`: every number stands where the table says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3.common.env_checker
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import FilterObservation, RecordEpisodeStatistics
from stable_baselines3 import DQN

from esarm_env.core.errors import InputError
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.animation_task import AnimationTask
from esarm_env.wrappers import FlatObservation

MakeSlim = Callable[[], SpeechAnimationEnv]
TOKENS = (3, 0, 15, 7, 2, 9)  # of the 16; code 0 must not look like "not written yet"


@pytest.fixture
def env(make_slim: MakeSlim) -> FlatObservation:
    return FlatObservation(make_slim())


def parts(env: FlatObservation, obs: np.ndarray) -> dict[str, np.ndarray]:
    return {name: obs[place] for name, place in env.slices.items()}


def one_hot(*places: int, size: int) -> np.ndarray:
    row = np.zeros(size, dtype=np.float32)
    row[list(places)] = 1
    return row


def test_the_vector_is_laid_out_as_documented(env: FlatObservation) -> None:
    """Users slice by the table; 12 features of condition and 3 speakers, 16 tokens, 4 a chunk."""
    assert env.slices == {
        "audio": slice(0, 420),
        "condition": slice(420, 435),
        "slot": slice(435, 439),
        "last_tokens": slice(439, 503),
        "progress": slice(503, 504),
        "remaining": slice(504, 505),
    }
    space = env.observation_space
    assert isinstance(space, gymnasium.spaces.Box)
    assert (space.shape, str(space.dtype)) == ((505,), "float32")
    assert np.unique(space.low[:420]) == -8 and np.unique(space.high[:420]) == 8
    assert np.unique(space.low[420:]) == 0 and np.unique(space.high[420:]) == 1


def test_before_the_first_token_nothing_is_written(
    env: FlatObservation, tiny_task: AnimationTask
) -> None:
    """Utterance 4 is Ben, sad, at intensity 2, in 45 frames: 12 chunks, 48 tokens, the longest."""
    found = parts(env, env.reset(options={"utterance": 4})[0])
    np.testing.assert_array_equal(found["audio"], tiny_task.windows_of(4)[0])
    np.testing.assert_array_equal(found["condition"], one_hot(7, 10, 13, size=15))
    np.testing.assert_array_equal(found["slot"], one_hot(0, size=4))
    np.testing.assert_array_equal(found["last_tokens"], np.zeros(64))
    assert found["progress"] == 0 and found["remaining"] == 1


@pytest.mark.parametrize(
    ("step", "last", "slot", "chunk"),
    [
        # The last four tokens, oldest first, each in 16 places of its own.
        (1, [48 + 3], 1, 0),
        (2, [32 + 3, 48 + 0], 2, 0),
        (4, [0 + 3, 16 + 0, 32 + 15, 48 + 7], 0, 1),
        (6, [0 + 15, 16 + 7, 32 + 2, 48 + 9], 2, 1),
    ],
)
def test_a_running_episode_shows_its_last_tokens(
    env: FlatObservation,
    tiny_task: AnimationTask,
    step: int,
    last: list[int],
    slot: int,
    chunk: int,
) -> None:
    """By hand, for an utterance of 20 frames: 5 chunks, 20 tokens."""
    env.reset(options={"utterance": 6})
    for token in TOKENS[:step]:
        obs = env.step(np.int64(token))[0]
    found = parts(env, obs)
    np.testing.assert_array_equal(found["audio"], tiny_task.windows_of(6)[chunk])
    np.testing.assert_array_equal(found["slot"], one_hot(slot, size=4))
    np.testing.assert_array_equal(found["last_tokens"], one_hot(*last, size=64))
    assert found["progress"] == np.float32(step / 20)
    assert found["remaining"] == np.float32((20 - step) / 48)


def test_the_episode_ends_with_all_written(env: FlatObservation) -> None:
    """Progress counts by the utterance's own length, not by the longest; the next starts at 0."""
    env.reset(options={"utterance": 6})
    terminated, obs = False, np.zeros(0)
    while not terminated:
        obs, _, terminated, _, _ = env.step(np.int64(5))
    found = parts(env, obs)
    assert found["progress"] == 1 and found["remaining"] == 0
    np.testing.assert_array_equal(found["last_tokens"], one_hot(5, 21, 37, 53, size=64))
    again = parts(env, env.reset(options={"utterance": 6})[0])
    np.testing.assert_array_equal(again["last_tokens"], np.zeros(64))
    assert again["progress"] == 0 and again["remaining"] == np.float32(20 / 48)


# Gymnasium warns of every wrapper; all other warnings stay errors.
@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version:UserWarning")
def test_both_checkers_find_no_fault(env: FlatObservation) -> None:
    """Warnings are errors here, and every library built on them counts on these."""
    check_env(env, skip_render_check=True)
    stable_baselines3.common.env_checker.check_env(env)


def test_dqn_learns_on_it(env: FlatObservation) -> None:
    """The wrapper is there for it: it must take the observations, replay and train on them."""
    model = DQN("MlpPolicy", env, learning_starts=20, buffer_size=100, batch_size=8, seed=0)
    model.learn(60)
    assert model.num_timesteps == 60
    assert model.q_net.q_net[0].in_features == 505, "the network must see the whole vector"


def test_observations_share_no_memory(
    env: FlatObservation, assert_separate: Callable[..., None]
) -> None:
    """A buffer that keeps references would be rewritten by later steps."""
    kept = [env.reset(seed=0)[0], *(env.step(np.int64(token))[0] for token in range(16))]
    assert_separate(*kept, vars(env._encoder))
    assert all(env.observation_space.contains(obs) for obs in kept)


def test_seeds_mean_the_same_as_without(env: FlatObservation, make_slim: MakeSlim) -> None:
    """A wrapper that draws or steps on its own would make results incomparable."""
    slim, actions = make_slim(), np.random.default_rng(0)
    info, expected = env.reset(seed=3)[1], slim.reset(seed=3)[1]
    np.testing.assert_equal(info, expected)
    terminated = False
    while not terminated:
        action = actions.integers(16)
        _, *seen = env.step(action)
        np.testing.assert_equal(seen, slim.step(action)[1:])
        terminated = bool(seen[1])


class Quieter(SpeechAnimationEnv):
    """An environment of a user's own, at half the loudness."""

    def reset(self, **kwargs: Any) -> Any:
        obs, info = super().reset(**kwargs)
        return {**obs, "audio": obs["audio"] / 2}, info


def test_it_encodes_what_the_environment_below_shows(tiny_task: AnimationTask) -> None:
    """Wrapped and derived environments count: reading past them would undo their changes."""
    below = RecordEpisodeStatistics(Quieter(task=tiny_task, reward="accuracy"))
    obs = FlatObservation(below).reset(options={"utterance": 1})[0]
    np.testing.assert_array_equal(obs[:420], tiny_task.windows_of(1)[0] / 2)


def test_the_spec_can_make_it_again(make_slim: MakeSlim) -> None:
    """Gymnasium records wrappers in the spec; one without arguments recorded is refused there."""
    slim = make_slim()
    slim.spec = gymnasium.spec("ESARM-v0")
    spec = FlatObservation(slim).spec
    assert spec is not None
    (wrapper,) = spec.additional_wrappers
    assert (wrapper.entry_point, wrapper.kwargs) == (
        "esarm_env.wrappers.flat:FlatObservation",
        {},
    )


def test_other_observations_are_refused(env: FlatObservation, make_slim: MakeSlim) -> None:
    """A wrapper in the wrong order must say so, not fail in a slice."""
    rule = (
        "`env` must give the slim observation (audio, condition, last_tokens, step, utterance), "
        "got {}; this wrapper comes before all others that change observations"
    )
    with pytest.raises(InputError, match=re.escape(rule.format("Box"))):
        FlatObservation(env)  # type: ignore[arg-type]
    filtered = FilterObservation(make_slim(), ["audio", "step"])
    with pytest.raises(InputError, match=re.escape(rule.format("audio, step"))):
        FlatObservation(filtered)


def test_an_observation_of_another_kind_is_named(make_slim: MakeSlim) -> None:
    """A count that somebody made Discrete has no bounds to read."""
    slim = make_slim()
    changed = {**slim.observation_space.spaces, "step": gymnasium.spaces.Discrete(49)}  # type: ignore[attr-defined]
    slim.observation_space = gymnasium.spaces.Dict(changed)
    rule = "`step` of the observation must be a Box, got Discrete"
    with pytest.raises(InputError, match=re.escape(rule)):
        FlatObservation(slim)
