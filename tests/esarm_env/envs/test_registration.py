"""`gymnasium.make` and `gymnasium.make_vec`: every observation, every way of vectorising."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from esarm_env import wrappers
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.envs.registration import OBSERVATIONS, make_env, make_vector_env
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.task.animation_task import AnimationTask
from esarm_env.wrappers import vector as vector_wrappers

ID = "ESARM-v0"
Settings = dict[str, Any]
# Newer Pythons warn of forks beside the threads that torch keeps.
FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class TokenSum:
    """The sum of the tokens: exact, and another one for other tokens."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.maximum(trajectories.tokens, 0).sum(axis=1).astype(np.float32)


@pytest.fixture
def settings(tiny_task: AnimationTask) -> Settings:
    """Return what makes an environment without assets."""
    return {"task": tiny_task, "reward": TokenSum(), "metrics": False}


def roll_out(env: VectorEnv[Any, Any, Any], n_steps: int, *, seed: int = 0) -> list[Any]:
    """Return all that seeded random actions show, arrays of objects as lists."""
    actions = np.random.default_rng(seed)
    seen = [env.reset(seed=seed)]
    seen += [env.step(actions.integers(16, size=env.num_envs)) for _ in range(n_steps)]
    return [plain(each) for each in seen]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, tuple) or getattr(value, "dtype", None) == np.object_:
        return [plain(each) for each in value]
    return value


@pytest.mark.parametrize(
    ("observation", "wrapper"),
    [
        ("full_sequence", "FullSequenceObservation"),
        ("flat", "FlatObservation"),
    ],
)
def test_the_observation_names_its_wrapper(
    settings: Settings, observation: str, wrapper: str
) -> None:
    """A name that gives another observation trains another agent."""
    one = make_env(observation=observation, **settings)
    many = make_vector_env(3, observation=observation, **settings)
    assert type(one) is getattr(wrappers, wrapper)
    assert type(many) is getattr(vector_wrappers, wrapper)
    assert many.num_envs == 3


def test_the_slim_observation_needs_no_wrapper(settings: Settings) -> None:
    """Every wrapper costs time in every step."""
    assert type(make_env(**settings)) is SpeechAnimationEnv
    assert type(make_vector_env(**settings)) is SpeechAnimationVectorEnv
    assert make_vector_env(**settings).num_envs == 1


@pytest.mark.parametrize("observation", ["dict", "Slim", "", None, 3])
@pytest.mark.parametrize(
    "make",
    [
        make_env,
        make_vector_env,
        lambda **settings: gymnasium.make(ID, **settings),
        lambda **settings: gymnasium.make_vec(ID, num_envs=2, **settings),
    ],
    ids=["make_env", "make_vector_env", "make", "make_vec"],
)
def test_an_unknown_observation_is_rejected(
    settings: Settings, make: Any, observation: Any
) -> None:
    """The message lists the observations."""
    message = f"`observation` must be one of slim, full_sequence, flat, got {observation!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        make(observation=observation, **settings)


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_gymnasium_makes_and_checks_every_observation(settings: Settings, observation: str) -> None:
    """Its checkers warn of what libraries trip over; warnings are errors here."""
    with gymnasium.make(ID, observation=observation, **settings) as env:
        check_env(env.unwrapped, skip_render_check=True)
        obs, _ = env.reset(seed=0, options={"utterance": 6})
        for step in range(20):
            assert env.observation_space.contains(obs)
            obs, _, terminated, _, info = env.step(step % 16)
        assert terminated
        assert info["rewards"] == {"TokenSum": float(sum(range(16)) + 6)}


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_a_spec_can_be_made_again(settings: Settings, observation: str) -> None:
    """Evaluation environments are made from the training environment's spec; twice is once."""
    first = gymnasium.make(ID, observation=observation, **settings)
    again = gymnasium.make(first.spec)
    assert str(again) == str(first)
    assert again.observation_space == first.observation_space
    seen = []
    for env in (first, again, gymnasium.make(again.spec)):
        seen.append([env.reset(seed=5)[0], *(env.step(step % 16) for step in range(20))])
    np.testing.assert_equal(plain(seen[1]), plain(seen[0]))
    np.testing.assert_equal(plain(seen[2]), plain(seen[0]))


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_a_vector_spec_can_be_made_again(settings: Settings, observation: str) -> None:
    """With as many environments, and the mode of autoreset."""
    settings = {**settings, "observation": observation, "autoreset_mode": "SameStep"}
    first = gymnasium.make_vec(ID, num_envs=3, **settings)
    again = gymnasium.make_vec(first.spec)
    assert (again.num_envs, type(again)) == (3, type(first))
    assert again.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    np.testing.assert_equal(roll_out(again, 40), roll_out(first, 40))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_the_native_one_is_the_default_and_equals_the_others(
    settings: Settings, observation: str, mode: AutoresetMode
) -> None:
    """Who changes `vectorization_mode` must change the speed alone."""
    settings["observation"] = observation
    native = gymnasium.make_vec(ID, num_envs=2, autoreset_mode=mode, **settings)
    assert isinstance(native.unwrapped, SpeechAnimationVectorEnv)
    assert native.metadata["autoreset_mode"] is mode
    slow = gymnasium.make_vec(
        ID,
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **settings,
    )
    assert isinstance(slow, SyncVectorEnv)
    assert native.observation_space == slow.observation_space
    np.testing.assert_equal(roll_out(native, 60), roll_out(slow, 60))
    for env in (native, slow):
        env.close()


@FORKS
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_it_runs_in_processes_of_its_own(settings: Settings, observation: str) -> None:
    """Workers get the task by pickling, hand observations over by shared memory, and end."""
    settings["observation"] = observation
    env = gymnasium.make_vec(ID, num_envs=2, vectorization_mode="async", **settings)
    assert isinstance(env, AsyncVectorEnv)
    processes = list(env.processes)
    native = gymnasium.make_vec(ID, num_envs=2, **settings)
    try:
        np.testing.assert_equal(roll_out(env, 50), roll_out(native, 50))
    finally:
        env.close()
    assert not any(process.is_alive() for process in processes)


@FORKS
@pytest.mark.filterwarnings("ignore:.*(Worker|Traceback|last exception):UserWarning")
def test_an_error_of_a_worker_is_the_same_error(settings: Settings) -> None:
    """`InputError` must survive the way out of another process."""
    env = gymnasium.make_vec(ID, num_envs=2, vectorization_mode="async", **settings)
    try:
        with pytest.raises(InputError, match="`utterance` must be an id of the corpus"):
            env.reset(options={"utterance": "nobody"})
    finally:
        env.close(terminate=True)


@pytest.mark.parametrize("num_envs", [0, -1, 2.5, True])
def test_bad_numbers_of_environments_are_rejected(settings: Settings, num_envs: Any) -> None:
    """0 environments would train on nothing, for ever."""
    message = f"`num_envs` must be an integer of at least 1, got {num_envs!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        gymnasium.make_vec(ID, num_envs=num_envs, **settings)


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_closing_twice_is_allowed(settings: Settings, observation: str) -> None:
    """`with` closes, and so does the careful caller."""
    one = gymnasium.make(ID, observation=observation, **settings)
    many = gymnasium.make_vec(ID, num_envs=2, observation=observation, **settings)
    for env in (one, many):
        env.reset(seed=0)
        env.close()
        env.close()
    assert many.unwrapped.closed


def test_an_unknown_argument_is_rejected(settings: Settings) -> None:
    """A misspelt setting that is ignored is trained without."""
    for make in (gymnasium.make, gymnasium.make_vec):
        with pytest.raises(TypeError, match="max_duration"):
            make(ID, max_duration=2.0, **settings)


def test_a_limit_that_would_cut_episodes_is_refused_in_words(settings: Settings) -> None:
    """It ended in a TypeError of a constructor that the caller never called."""
    message = (
        "`max_episode_steps` must be at least 48, the longest utterance, or None, got 20: an "
        "episode ends with its audio, and one that is cut off has no score; `max_duration_s`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        gymnasium.make_vec(ID, num_envs=2, max_episode_steps=20, **settings)
    for harmless in (None, -1, 48, 1000):
        env = gymnasium.make_vec(ID, num_envs=2, max_episode_steps=harmless, **settings)
        env.reset(seed=0)
        assert not env.step(np.zeros(2, np.int64))[3].any()


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_the_vector_environment_offers_what_sync_does(settings: Settings, observation: str) -> None:
    """TorchRL and others ask for the mode, curricula for attributes by environment."""
    env: Any = gymnasium.make_vec(ID, num_envs=3, observation=observation, **settings)
    other: Any = gymnasium.make_vec(
        ID, num_envs=3, observation=observation, vectorization_mode="sync", **settings
    )
    assert env.autoreset_mode is other.autoreset_mode is AutoresetMode.NEXT_STEP
    for each in (env, other):
        each.reset(seed=0)
        assert each.get_attr("sequence_task") == (settings["task"],) * 3
        each.set_attr("level", [1, 2, 3])
        each.set_attr("level", (2, 1, 1))
        assert each.get_attr("level") == (2, 1, 1)
        each.set_attr("level", 4)
        assert each.get_attr("level") == (4, 4, 4)
        assert [mask.sum() for mask in each.call("action_masks")] == [16, 16, 16]
        with pytest.raises(ValueError, match="2"):
            each.set_attr("level", [1, 2])
        with pytest.raises(AttributeError, match="no_such_thing"):
            each.get_attr("no_such_thing")
    assert env.get_attr("action_space") == other.get_attr("action_space")


def test_what_environments_share_is_not_changed_for_one(settings: Settings) -> None:
    """A value for one that all get, or a reset of all, would be noticed in the figures at best."""
    env: Any = gymnasium.make_vec(ID, num_envs=3, **settings)
    env.reset(seed=0)
    message = "`utterances` must be set for all environments at once, which share it"
    with pytest.raises(InputError, match=re.escape(message)):
        env.set_attr("utterances", [np.array([1]), np.array([2]), np.array([3])])
    with pytest.raises(InputError, match=re.escape("`reset(options={'reset_mask': ...})` resets")):
        env.call("reset", seed=3)
