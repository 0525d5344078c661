"""Chunks paid as they are written: the return is the score, and nothing to come is looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.doctor.check import Subject
from esarm_env.doctor.contract import check_episode_end
from esarm_env.envs.chunk_payments import held_to_end
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.rewards import RewardError
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask

SUM = {"accuracy": 1.0, "jerk": -0.1, "closure_f1": 0.5}
MODES = list(AutoresetMode)


class Tokens:
    """Pays each chunk the sum of its tokens."""

    needs_ground_truth = False
    chunk_streams = ("whole",)
    off = 0.0

    def __init__(self, task: AnimationTask) -> None:
        self._per_chunk = task.tokens_per_chunk

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.maximum(trajectories.tokens, 0).sum(1).astype(np.float32)

    def score_chunks(self, trajectories: Trajectories) -> np.ndarray:
        counted = np.maximum(trajectories.tokens, 0)
        chunks = counted.reshape(len(counted), -1, self._per_chunk).sum(2)
        return chunks[..., None].astype(np.float64) + self.off


def play(env: Any, tokens: np.ndarray, **options: Any) -> tuple[list[float], dict[str, Any]]:
    """Return the rewards of an episode of `tokens`, and its last `info`."""
    env.reset(seed=0, options=options or None)
    rewards = []
    for token in tokens:
        _, reward, terminated, _, info = env.step(token)
        rewards.append(reward)
        if terminated:
            return rewards, info
    raise AssertionError("more tokens are needed")


@pytest.mark.parametrize("reward", ["accuracy", "synchrony", SUM])
def test_the_return_is_the_score_that_comes_at_the_end(
    tiny_task: AnimationTask, reward: Any, rng: np.random.Generator
) -> None:
    """Paid earlier, it must be no other reward; within a chunk nothing is paid."""
    by_chunk = SpeechAnimationEnv(task=tiny_task, reward=reward, reward_timing="chunk")
    at_end = SpeechAnimationEnv(task=tiny_task, reward=reward)
    for utterance in (0, 4, 6):
        tokens = rng.integers(16, size=48)
        rewards, info = play(by_chunk, tokens, utterance=utterance)
        expected, same_info = play(at_end, tokens, utterance=utterance)
        assert sum(rewards) == pytest.approx(expected[-1], rel=1e-4)
        paid = np.flatnonzero(rewards) + 1
        assert (paid % 4 == 0).all()
        assert len(paid) > len(rewards) / 8
        for key in ("rewards", "lve", "eve"):
            assert info[key] == same_info[key]


def test_each_chunk_is_paid_what_it_earned(tiny_task: AnimationTask) -> None:
    """By hand: where later tokens change nothing, each chunk gets its own score at its end."""
    env = SpeechAnimationEnv(task=tiny_task, reward=Tokens(tiny_task), reward_timing="chunk")
    tokens = np.arange(48) % 16
    rewards, _ = play(env, tokens, utterance=6)
    expected = np.zeros(20)
    expected[3::4] = tokens[:20].reshape(5, 4).sum(1)
    np.testing.assert_allclose(rewards, expected)


@pytest.mark.parametrize("reward", ["accuracy", "synchrony"])
def test_a_reward_looks_at_no_token_that_is_to_come(
    tiny_task: AnimationTask, reward: str, rng: np.random.Generator
) -> None:
    """The decoder looks ahead, and a correlation has a mean; a step must not."""
    env = SpeechAnimationEnv(task=tiny_task, reward=reward, reward_timing="chunk", metrics=False)
    first = rng.integers(16, size=48)
    second = first.copy()
    second[16:] = (second[16:] + 7) % 16
    one, other = (play(env, tokens, utterance=4)[0] for tokens in (first, second))
    assert one[:16] == other[:16]
    assert any(one[:16])
    assert one[16:] != other[16:]


def test_an_episode_that_is_left_owes_the_next_one_nothing(
    tiny_task: AnimationTask, rng: np.random.Generator
) -> None:
    """Whoever cuts an episode off has what it earned so far; the next begins at 0."""
    env = SpeechAnimationEnv(task=tiny_task, reward="accuracy", reward_timing="chunk")
    tokens = rng.integers(16, size=48)
    whole, _ = play(env, tokens, utterance=0)
    cut = gymnasium.wrappers.TimeLimit(env, max_episode_steps=10)
    cut.reset(options={"utterance": 0})
    steps = [cut.step(token) for token in tokens[:10]]
    assert [step[1] for step in steps] == whole[:10]
    assert steps[-1][3], "it is truncated"
    assert play(env, tokens, utterance=0)[0] == whole


@pytest.mark.parametrize("mode", MODES)
def test_many_environments_pay_as_single_ones(
    tiny_task: AnimationTask, mode: AutoresetMode, rng: np.random.Generator
) -> None:
    """In every autoreset mode, with episodes of unlike lengths, and some reset on the way."""
    given: dict[str, Any] = {"task": tiny_task, "reward": "accuracy", "reward_timing": "chunk"}
    given["metrics"] = False
    ours = SpeechAnimationVectorEnv(3, autoreset_mode=mode, **given)
    theirs = SyncVectorEnv([lambda: SpeechAnimationEnv(**given)] * 3, autoreset_mode=mode)
    for env in (ours, theirs):
        env.reset(seed=5)
    n_paid = 0
    for step in range(60):
        if step == 18:
            for env in (ours, theirs):
                env.reset(options={"reset_mask": np.array([True, False, True])})
        actions = rng.integers(16, size=3)
        seen, expected = ours.step(actions), theirs.step(actions)
        np.testing.assert_allclose(seen[1], expected[1], rtol=1e-4, atol=1e-6)
        n_paid += np.count_nonzero(seen[1])
        np.testing.assert_array_equal(seen[2], expected[2])
        if seen[2].any() and mode is AutoresetMode.DISABLED:
            for env in (ours, theirs):
                env.reset(options={"reset_mask": seen[2].copy()})
    assert n_paid > 36


def test_monitors_of_sb3_note_the_score(tiny_task: AnimationTask) -> None:
    """They add up what is paid."""
    env = make_sb3_vec_env(3, seed=0, task=tiny_task, reward="accuracy", reward_timing="chunk")
    env.reset()
    returns = []
    for _ in range(60):
        _, _, _, infos = env.step(np.array([3, 4, 5]))
        returns += [(i["episode"]["r"], i["rewards"]["accuracy"]) for i in infos if "episode" in i]
    assert len(returns) >= 3
    for noted, score in returns:
        assert noted == pytest.approx(score, rel=1e-4)


def test_what_is_not_written_yet_is_held(tiny_task: AnimationTask) -> None:
    """The last chunk goes on until the end, slot by slot, and not past it."""
    tokens = np.full((2, 50), -1)
    tokens[0, :8], tokens[1, :4] = np.arange(8), np.arange(4)
    held = held_to_end(
        np.array([6, 2]),
        tokens,
        np.array([8, 4]),
        task=tiny_task,
        condition=tiny_task.condition_of(np.array([6, 2])),
    )
    assert held.lengths.tolist() == [20, 24]
    assert held.tokens[0].tolist() == [*range(8), *[4, 5, 6, 7] * 3, *[-1] * 4]
    assert held.tokens[1].tolist() == [0, 1, 2, 3] * 6


@pytest.mark.parametrize("make", [SpeechAnimationEnv, SpeechAnimationVectorEnv])
def test_a_reward_that_cannot_tell_is_refused(
    tiny_task: AnimationTask, make: Callable[..., Any]
) -> None:
    """Also one that is set later; the message says what to choose."""
    message = re.escape(
        "`reward_timing` must be 'terminal' where no term of the reward tells what a chunk earned "
        "(`chunk_streams`), got 'chunk' and the reward 'closure_f1'; choose one that can, such as "
        "`learned` or `accuracy`, or add it to the sum"
    )
    with pytest.raises(InputError, match=message):
        make(task=tiny_task, reward="closure_f1", reward_timing="chunk")
    env = make(task=tiny_task, reward="accuracy", reward_timing="chunk")
    with pytest.raises(InputError, match=message):
        env.reward_function = "closure_f1"
    assert env.reward_function.terms == ("accuracy",)
    with pytest.raises(InputError, match=re.escape("one of terminal, chunk, got 'token'")):
        make(task=tiny_task, reward="accuracy", reward_timing="token")


def test_rewards_cannot_be_deferred_and_paid_by_chunk(tiny_task: AnimationTask) -> None:
    """One of the two would be ignored."""
    with pytest.raises(InputError, match=re.escape("`defer_rewards` must be False with")):
        SpeechAnimationVectorEnv(
            2, task=tiny_task, reward="accuracy", reward_timing="chunk", defer_rewards=True
        )


def test_the_timing_can_be_read_and_not_set(tiny_task: AnimationTask) -> None:
    """Trainers must know, and a name that nothing reads must not be set."""
    env = SpeechAnimationEnv(task=tiny_task, reward="accuracy", reward_timing="chunk")
    vector = make_sb3_vec_env(2, task=tiny_task, reward="accuracy")
    assert env.reward_timing == "chunk"
    assert vector.get_attr("reward_timing") == ["terminal", "terminal"]
    with pytest.raises(InputError, match="`reward_timing` must be given when"):
        env.reward_timing = "terminal"
    with pytest.raises(InputError, match="`reward_timing` must be given when"):
        vector.set_attr("reward_timing", "chunk")


def test_chunks_that_are_another_reward_are_refused(tiny_task: AnimationTask) -> None:
    """With both numbers, when the first episode ends; and chunks that are missing, at once."""
    odd = Tokens(tiny_task)
    env = SpeechAnimationEnv(task=tiny_task, reward=odd, reward_timing="chunk")
    odd.off = 1.0
    tokens = np.ones(48, dtype=np.int64)
    with pytest.raises(RewardError, match=re.escape("must add up to its score 20.0, got 25.0")):
        play(env, tokens, utterance=6)
    odd.score_chunks = lambda batch: np.zeros((1, 2, 1))  # type: ignore[method-assign]
    with pytest.raises(RewardError, match=re.escape("must be 5, those of the longest episode")):
        play(env, tokens, utterance=6)


def test_the_doctor_knows_when_chunks_are_paid(tiny_task: AnimationTask) -> None:
    """It took every reward before the last token for a fault."""
    kwargs = {"task": tiny_task, "reward": "accuracy", "reward_timing": "chunk"}
    assert check_episode_end(Subject(kwargs=kwargs)).startswith("3 episodes, rewards -")
