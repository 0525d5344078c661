"""`FullSequenceObservation`: the whole state, padded, and nothing of other episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import stable_baselines3.common.env_checker
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO

from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.animation_task import AnimationTask
from esarm_env.wrappers import FullSequenceObservation
from esarm_env.wrappers.full_sequence import FullSequenceEncoder

MakeSlim = Callable[[], SpeechAnimationEnv]
Obs = dict[str, np.ndarray]


@pytest.fixture
def env(make_slim: MakeSlim) -> FullSequenceObservation:
    return FullSequenceObservation(make_slim())


def test_the_spaces_are_as_documented(env: FullSequenceObservation) -> None:
    """48 tokens is the longest: 12 chunks of 4 frames of 35 features; 16 tokens to choose from."""
    space: Any = env.observation_space
    found = {
        key: (box.shape, str(box.dtype), box.low.min(), box.high.max())
        for key, box in space.items()
    }
    assert found == {
        "audio": ((12 * 140,), "float32", -8, 8),
        "audio_mask": ((12,), "int8", 0, 1),
        "condition": ((15,), "float32", 0, 1),
        "tokens": ((48,), "int64", -1, 15),
        "tokens_mask": ((48,), "int8", 0, 1),
        "step": ((1,), "int64", 0, 48),
        "length": ((1,), "int64", 1, 48),
    }
    assert all(type(box) is spaces.Box for box in space.values())


def test_a_running_episode_shows_all_its_tokens(
    env: FullSequenceObservation, tiny_task: AnimationTask
) -> None:
    """By hand: 20 frames are 5 chunks and 20 tokens, of which 6 are written."""
    env.reset(options={"utterance": 6, "emotion": "angry", "intensity": 3, "speaker": "anna"})
    for token in (3, 0, 15, 7, 2, 9):
        obs = env.step(np.int64(token))[0]
    frames = obs["audio"].reshape(48, 35)
    np.testing.assert_array_equal(frames[:20], tiny_task.features[6])
    np.testing.assert_array_equal(frames[20:], 0)
    assert obs["audio_mask"].tolist() == [1] * 5 + [0] * 7
    assert np.flatnonzero(obs["condition"]).tolist() == [1, 11, 12]
    assert obs["tokens"].tolist() == [3, 0, 15, 7, 2, 9] + [-1] * 42
    assert obs["tokens_mask"].tolist() == [1] * 6 + [0] * 42
    assert (obs["step"].tolist(), obs["length"].tolist()) == ([6], [20])


def test_the_last_observation_holds_the_whole_animation(env: FullSequenceObservation) -> None:
    """What is scored is what is seen: all tokens, at a step equal to the length."""
    env.reset(options={"utterance": 4})
    actions = np.random.default_rng(1).integers(16, size=48)
    *_, (obs, _, terminated, _, info) = [env.step(action) for action in actions]
    assert terminated
    np.testing.assert_array_equal(obs["tokens"], actions)
    np.testing.assert_array_equal(obs["tokens"], info["tokens"])
    assert obs["tokens_mask"].all() and obs["step"] == obs["length"] == 48


@pytest.mark.parametrize("written", [5, 48])
def test_a_new_episode_remembers_nothing(env: FullSequenceObservation, written: int) -> None:
    """Left-overs of a longer utterance, finished or broken off, would teach about the wrong one."""
    fresh = env.reset(options={"utterance": 6})[0]
    env.reset(options={"utterance": 4})
    for _ in range(written):
        env.step(np.int64(1))
    again = env.reset(options={"utterance": 6})[0]
    np.testing.assert_equal(again, fresh)
    assert (again["tokens"] == -1).all() and not again["tokens_mask"].any()
    np.testing.assert_equal(env.step(np.int64(2))[0]["tokens"], [2] + [-1] * 47)


def slim_of(obs: Obs, task: AnimationTask) -> Obs:
    """Return the slim observation, from nothing but a full one."""
    step, n_chunks = int(obs["step"][0]), int(obs["audio_mask"].sum())
    chunks = obs["audio"].reshape(len(obs["audio_mask"]), -1)[:n_chunks]
    chunk = min(step // task.tokens_per_chunk, n_chunks - 1)
    heard = np.pad(chunks, ((1, 1), (0, 0)))[chunk : chunk + 3]
    same = [
        index
        for index in np.flatnonzero(task.lengths == obs["length"])
        if np.array_equal(task.audio_chunks(np.array([index]))[0], chunks)
    ]
    return {
        "audio": heard.reshape(-1),
        "condition": obs["condition"],
        "last_tokens": np.append([-1] * 4, obs["tokens"])[step : step + 4],
        "step": obs["step"],
        "utterance": np.array(same),
    }


def test_every_observation_tells_the_state(
    env: FullSequenceObservation, make_slim: MakeSlim, tiny_task: AnimationTask
) -> None:
    """Markov: whatever the environment shows next must follow from the last observation alone."""
    slim, actions = make_slim(), np.random.default_rng(0)
    for seed in range(4):
        obs, expected = env.reset(seed=seed)[0], slim.reset(seed=seed)[0]
        terminated = False
        while not terminated:
            np.testing.assert_equal(slim_of(obs, tiny_task), expected)
            ends_next = obs["step"] + 1 == obs["length"]
            action = actions.integers(16)
            obs, _, terminated, _, _ = env.step(action)
            expected = slim.step(action)[0]
            assert terminated == ends_next
        np.testing.assert_equal(slim_of(obs, tiny_task), expected)


def test_environments_of_one_encoder_do_not_meet(
    make_slim: MakeSlim, tiny_task: AnimationTask
) -> None:
    """Some rows may come alone (episodes that ended): they read and write their own memory."""
    slim, space = make_slim(), make_slim().observation_space
    assert isinstance(space, spaces.Dict)
    encoder = FullSequenceEncoder(tiny_task, space, n_envs=3)
    for row in (2, 0):
        first = slim.reset(options={"utterance": 4 + row})[0]
        encoder.encode({key: value[None] for key, value in first.items()}, np.array([row]))
    second = slim.step(np.int64(7))[0]
    obs = encoder.encode({key: value[None] for key, value in second.items()}, np.array([0]))
    assert obs["tokens"][0, :2].tolist() == [7, -1] and obs["audio_mask"].sum() == 12
    assert encoder._tokens[2].max() == -1 and encoder._audio_mask[2].sum() == 5
    assert not encoder._audio[1].any()


# Gymnasium warns of every wrapper; all other warnings stay errors.
@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version:UserWarning")
def test_both_checkers_find_no_fault(env: FullSequenceObservation) -> None:
    """Warnings are errors here; two axes, a bool or a Discrete key would give one."""
    check_env(env, skip_render_check=True)
    stable_baselines3.common.env_checker.check_env(env)


def test_ppo_learns_on_it(env: FullSequenceObservation) -> None:
    """A stock policy must take every key, and see all of them."""
    model = PPO("MultiInputPolicy", env, n_steps=32, batch_size=16, n_epochs=1, seed=0)
    model.learn(64)
    assert model.num_timesteps == 64
    assert model.policy.features_dim == 12 * 140 + 12 + 15 + 48 + 48 + 1 + 1


def test_observations_share_no_memory(
    env: FullSequenceObservation, assert_separate: Callable[..., None]
) -> None:
    """The encoder keeps audio and tokens; handing them out would rewrite a buffer's past."""
    kept = [env.reset(seed=0)[0], *(env.step(np.int64(token))[0] for token in range(16))]
    assert_separate(*kept, vars(env._encoder))
    assert all(env.observation_space.contains(obs) for obs in kept)
