"""Scores by stream: they add up, and are offered only where every term can tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from esarm_env.core.types import Trajectories
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.rewards import CombinedReward, RewardError
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask
from esarm_env.tokenizer.vq import CHANNELS

StreamScores = dict[str, Any]


class Shares:
    """Pays `total` times the number of the row, in the given shares."""

    needs_ground_truth = False
    streams = ("mouth", "upper")

    def __init__(self, shares: Callable[[np.ndarray], StreamScores]) -> None:
        self.shares = shares

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.arange(len(trajectories), dtype=np.float32)

    def score_streams(self, trajectories: Trajectories) -> StreamScores:
        return self.shares(np.arange(len(trajectories), dtype=np.float32))


class Silent:
    """Pays 1, and does not say for what."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.ones(len(trajectories), np.float32)


def quarter(scores: np.ndarray) -> StreamScores:
    """Give the mouth a quarter."""
    return {"mouth": scores / 4, "upper": 3 * scores / 4}


@pytest.fixture
def three(tiny_task: AnimationTask) -> Trajectories:
    """Return three recordings: `ben-04`, `cleo-06`, `dora-10`."""
    return tiny_task.recorded(np.array([4, 6, 10]))


def test_the_tokenizer_says_whose_slot_it_is(tiny_task: AnimationTask) -> None:
    """Blamed on the other half of the face, every advantage is noise."""
    assert tiny_task.token_streams == ("mouth", "mouth", "upper", "upper")
    assert len(tiny_task.token_streams) == tiny_task.tokens_per_chunk
    recorded = tiny_task.recorded(np.array([4]))
    motion = tiny_task.decode(recorded)[0]
    for slot, stream in enumerate(tiny_task.token_streams):
        tokens = recorded.tokens.copy()
        tokens[:, slot :: tiny_task.tokens_per_chunk] += 1
        tokens %= tiny_task.n_tokens
        other = Trajectories(recorded.utterance, tokens, recorded.lengths, recorded.condition)
        moved = np.abs(tiny_task.decode(other)[0] - motion).max(axis=0) > 0
        assert moved.any()
        assert set(np.flatnonzero(moved)) <= set(np.asarray(CHANNELS[stream]).tolist())


def test_streams_are_weighted_sums_of_the_terms(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """2 * (0, 1, 2) in quarters minus (0, 1, 2) for the mouth; what has no weight may be silent."""
    reward = combine(
        one=(2.0, Shares(quarter)),
        two=(-1.0, Shares(lambda scores: {"mouth": scores, "upper": 0 * scores})),
        watched=(0.0, Silent()),
    )
    streams = reward.score_streams(three)
    assert {name: values.tolist() for name, values in streams.items()} == {
        "mouth": [0, -0.5, -1],
        "upper": [0, 1.5, 3],
    }
    assert all(values.dtype == np.float32 for values in streams.values())
    np.testing.assert_allclose(sum(streams.values()), reward.score(three))


def test_a_sum_with_a_silent_term_offers_no_streams(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """The silent term's share would be paid to nobody."""
    reward = combine(one=(1.0, Shares(quarter)), two=(0.1, Silent()))
    assert reward.streams == ()
    rule = "reward 'one + 0.1 * two' cannot score streams, since ['two'] cannot; use `score`"
    with pytest.raises(ValueError, match=re.escape(rule)):
        reward.score_streams(three)


@pytest.mark.parametrize(
    ("shares", "rule"),
    [
        (
            lambda scores: {"mouth": scores, "upper": scores},
            "the streams of reward 'one' must add up to its score 2.0, got 4.0 for 'dora-10'",
        ),
        (
            lambda scores: {"mouth": scores[:2], "upper": scores},
            "reward 'one' must return shape (3,) for stream 'mouth', got (2,)",
        ),
        (
            lambda scores: {"mouth": scores * np.nan, "upper": scores},
            "reward 'one[mouth]' must be finite, got nan for 'ben-04' (and for 2 more)",
        ),
    ],
)
def test_shares_that_are_none_are_refused(
    combine: Callable[..., CombinedReward],
    three: Trajectories,
    shares: Callable[[np.ndarray], StreamScores],
    rule: str,
) -> None:
    """Streams that do not add up train another reward than the one that is reported."""
    with pytest.raises(RewardError, match=re.escape(rule)):
        combine(one=(1.0, Shares(shares))).score_streams(three)


def test_every_environment_offers_them(tiny_task: AnimationTask) -> None:
    """Trainers ask the first environment behind SB3's wrappers, whichever it is."""
    batch = tiny_task.recorded(np.array([4, 6, 10]))
    arrays = (batch.utterance, batch.tokens, batch.lengths, batch.condition)
    errors = tiny_task.errors(batch)
    scalar = SpeechAnimationEnv(task=tiny_task, reward="accuracy")
    made = [
        scalar.score_streams,
        gymnasium.make("ESARM-v0", task=tiny_task, reward="accuracy").get_wrapper_attr(
            "score_streams"
        ),
        SpeechAnimationVectorEnv(2, task=tiny_task, reward="accuracy").score_streams,
        make_sb3_vec_env(2, task=tiny_task, reward="accuracy").get_attr("score_streams")[0],
        DummyVecEnv([lambda: scalar]).get_attr("score_streams")[0],
    ]
    for score in made:
        streams = score(*arrays)
        np.testing.assert_allclose(streams["mouth"], -errors["lve"] / 2, rtol=1e-6)
        np.testing.assert_allclose(streams["upper"], -errors["eve"] / 2, rtol=1e-6)
        np.testing.assert_allclose(sum(streams.values()), scalar.score_tokens(*arrays), rtol=1e-6)


def test_an_environment_without_streams_says_so(tiny_task: AnimationTask) -> None:
    """Trainers find out by asking: a method that fails when called comes too late."""
    env = SpeechAnimationEnv(task=tiny_task, reward=Silent())
    assert env.reward_streams == ()
    assert SpeechAnimationVectorEnv(2, task=tiny_task, reward=Silent()).reward_streams == ()
    assert DummyVecEnv([lambda: env]).get_attr("reward_streams") == [()]
    scored = SpeechAnimationEnv(task=tiny_task, reward="accuracy")
    assert scored.reward_streams == ("mouth", "upper")


def test_a_reward_of_the_old_kind_still_has_streams(
    combine: Callable[..., CombinedReward], three: Trajectories
) -> None:
    """For one version: rewards of other packages have `score_streams` alone."""

    class Old(Shares):
        streams = None  # type: ignore[assignment]

    reward = combine(one=(1.0, Old(quarter)))
    rule = "`Old with score_streams alone` is deprecated and goes with the next version"
    with pytest.warns(DeprecationWarning, match=re.escape(rule)):
        assert reward.streams == ("mouth", "upper")
    assert set(reward.score_streams(three)) == {"mouth", "upper"}
