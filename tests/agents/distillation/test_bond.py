"""BOND's reward: what a score is worth among the clone's own."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agents.distillation.bond import BondReward, log_quantiles
from agents.network.transformer import MotionTransformer
from agents.protocols import SequenceTask
from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories


class Counting:
    """Scores by the toy task, times a scale, and counts what it scored."""

    needs_ground_truth = True

    def __init__(self, env: Any, scale: float = 1.0) -> None:
        self._env, self._scale, self.scored = env, scale, 0

    def score(self, trajectories: Trajectories) -> np.ndarray:
        self.scored += len(trajectories)
        parts = (trajectories.utterance, trajectories.tokens, trajectories.lengths)
        return self._scale * self._env.score_tokens(*parts, trajectories.condition)


@pytest.fixture
def right(task: Any) -> Trajectories:
    """Return the right animations of utterances 4 and 5."""
    utterances = np.array([4, 5])
    tokens = task.right_tokens(task.classes[utterances], 4)
    return Trajectories(utterances, tokens, task.lengths[utterances], task.condition_of(utterances))


def test_quantiles_by_hand() -> None:
    """Above all 3: ln 1. Above 1, ties count: ln(3 / 4). Below all: ln(1 / 4), and no infinity."""
    others = np.tile(np.array([1.0, 2.0, 3.0], np.float32), (3, 1))
    found = log_quantiles(np.array([9.0, 2.0, 0.0], np.float32), others)
    np.testing.assert_allclose(found, [0, math.log(3 / 4), math.log(1 / 4)], rtol=1e-6)


def test_the_best_that_can_be_is_worth_nothing_and_the_worst_is_bounded(
    env: Any, model: MotionTransformer, task: SequenceTask, right: Trajectories
) -> None:
    """Above the clone's best there is nothing to gain, which is where a reward is hacked."""
    reward = BondReward(Counting(env), model, task, n=16, samples=8)
    assert reward.score(right).tolist() == [0, 0]
    wrong = Trajectories(right.utterance, (right.tokens + 1) % 4, right.lengths, right.condition)
    found = reward.score(wrong)
    assert (found < 0).all()
    assert (found >= -15 * math.log(9) - 1e-4).all()
    assert reward.needs_ground_truth


def test_the_scale_of_the_reward_does_not_matter_and_samples_are_drawn_once(
    env: Any, model: MotionTransformer, task: SequenceTask, right: Trajectories
) -> None:
    """A frozen clone is asked once; drawn anew, the same animation would get another reward."""
    half = right.tokens.copy()
    half[:, 1] = (half[:, 1] + 1) % 4
    mixed = Trajectories(right.utterance, half, right.lengths, right.condition)
    plain, large = Counting(env), Counting(env, scale=100.0)
    one, two = (BondReward(each, model, task, samples=8) for each in (plain, large))
    first = one.score(mixed)
    assert first.tolist() == two.score(mixed).tolist()
    assert plain.scored == 2 + 2 * 8
    assert one.score(mixed).tolist() == first.tolist()
    assert plain.scored == 4 + 2 * 8
    # Alone or in company: the others of a batch must not choose its samples.
    assert BondReward(plain, model, task, samples=8).score(mixed[[1]]).tolist() == [first[1]]
    assert one.score(mixed[np.array([], dtype=int)]).shape == (0,)


def test_another_condition_is_compared_with_its_own_samples(
    env: Any, model: MotionTransformer, task: SequenceTask, right: Trajectories
) -> None:
    """Angry animations among neutral samples would all be the best, or the worst."""
    plain = Counting(env)
    reward = BondReward(plain, model, task, samples=8)
    reward.score(right)
    other = Trajectories(right.utterance, right.tokens, right.lengths, 1 - right.condition)
    reward.score(other)
    assert plain.scored == 2 * (2 + 2 * 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 1}, "`n` must be at least 2, got 1"),
        ({"samples": 0}, "`samples` must be at least 1, got 0"),
    ],
)
def test_too_few_samples_are_refused(
    env: Any,
    model: MotionTransformer,
    task: SequenceTask,
    settings: dict[str, int],
    message: str,
) -> None:
    """Of one sample the best is any: the reward would be 0 everywhere."""
    make: Callable[..., BondReward] = BondReward
    with pytest.raises(InputError, match=re.escape(message)):
        make(Counting(env), model, task, **settings)
