"""GRPO: scores normalised per group, PPO's clip, no value head, and that it learns."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.common.advantages import group_normalised
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.rollout.buffer import EpisodeBatch

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
MakeBatch = Callable[..., EpisodeBatch]
Learn = Callable[..., dict[str, float]]


def test_advantages_are_normalised_within_their_utterance(
    env: Env, make_algorithm: MakeAlgorithm, make_batch: MakeBatch
) -> None:
    """Scores 1, 3 have mean 2 and deviation 1; 5, 5 are equal; none stands in padding."""
    algorithm = make_algorithm(SequenceGRPO, env, samples_per_utterance=2)
    batch = make_batch(
        1, 2, 3, 2, utterances=np.array([7, 9, 7, 9]), scores=np.array([1, 5, 3, 5], np.float32)
    )
    filled = algorithm.compute_advantages(batch)
    column = np.array([-1, 0, 1, 0])[:, None] / 1.0001
    np.testing.assert_allclose(filled.advantages, np.where(batch.inside, column, 0), rtol=1e-6)
    assert filled.advantages.dtype == np.float32


@pytest.mark.parametrize("score", [0.1, -300.1, 1e6])
def test_equal_scores_give_exactly_nothing(score: float) -> None:
    """The mean of three equal numbers may be a rounding off, and over 1e-4 that is not small."""
    scores = np.full(3, score, np.float32)
    assert group_normalised(scores, np.zeros(3, np.int64)).tolist() == [0, 0, 0]


def test_differences_far_below_epsilon_vanish() -> None:
    """The last bits of a score are noise: without epsilon they would count as much as any."""
    scores = np.array([0, 1e-8], np.float32)
    normalised = group_normalised(scores, np.zeros(2, np.int64))
    assert 0 < np.abs(normalised).max() < 1e-3


def test_advantages_are_not_scaled_again(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """Groups without a difference dilute an iteration; scaled up again, the others would shout."""
    scores = iter(range(10**6))
    env.unwrapped.score_tokens = lambda utterances, *_: np.array(  # type: ignore[attr-defined]
        [next(scores) % 2 if each < 2 else 0 for each in utterances], np.float32
    )
    algorithm = make_algorithm(SequenceGRPO, env, n_episodes=48, batch_tokens=None, n_epochs=1)
    seen: list[np.ndarray] = []
    loss = algorithm.policy_loss

    def watch(batch: EpisodeBatch, log_probs: torch.Tensor) -> torch.Tensor:
        seen.append(batch.advantages[batch.inside])
        return loss(batch, log_probs)

    algorithm.policy_loss = watch  # type: ignore[method-assign]
    learn(algorithm)
    assert sorted(set(np.round(seen[0], 2).tolist())) == [-1, 0, 1]


def test_the_loss_is_that_of_ppo(
    env: Env, make_algorithm: MakeAlgorithm, make_batch: MakeBatch
) -> None:
    """Both clip the ratio of every token in the same way."""
    batch = make_batch(
        4,
        log_probs=np.zeros((1, 4), np.float32),
        advantages=np.array([[1, -1, 1, -1]], np.float32),
    )
    log_probs = torch.log(torch.tensor([[1.5, 1.5, 0.5, 0.5]]))
    losses = [
        make_algorithm(kind, env, clip_range=0.2).policy_loss(batch, log_probs)
        for kind in (SequenceGRPO, SequencePPO)
    ]
    np.testing.assert_allclose(losses[0], [[-1.2, 1.5, -0.5, 0.8]], rtol=1e-6)
    assert torch.equal(losses[0], losses[1])


def test_the_value_head_is_left_alone(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """GRPO has no critic; its gradient must not share the norm with one."""
    algorithm = make_algorithm(SequenceGRPO, env)
    before = copy.deepcopy(algorithm.model.to_value.state_dict())
    learn(algorithm, n_iterations=2)
    for name, value in algorithm.model.to_value.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (
            {"samples_per_utterance": 1},
            "`samples_per_utterance` must be at least 2, got 1: "
            "a group of one has nothing to be compared with",
        ),
        ({"clip_range": 0.0}, "`clip_range` must be above 0, got 0.0"),
        ({"clip_range": float("nan")}, "`clip_range` must be above 0, got nan"),
    ],
)
def test_a_setting_out_of_range_is_rejected(
    env: Env, make_algorithm: MakeAlgorithm, settings: dict[str, Any], rule: str
) -> None:
    """A group of one is its own mean: every advantage 0, and nothing says why."""
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_algorithm(SequenceGRPO, env, **settings)


@pytest.mark.parametrize("setting", [{"vf_coef": 0.5}, {"gamma": 0.9}, {"gae_lambda": 0.9}])
def test_a_setting_that_grpo_does_not_have_is_rejected(
    env: Env, make_algorithm: MakeAlgorithm, setting: dict[str, float]
) -> None:
    """A setting that is accepted and ignored is believed to have been tuned."""
    with pytest.raises(TypeError, match=re.escape(next(iter(setting)))):
        make_algorithm(SequenceGRPO, env, **setting)


def test_grpo_learns_the_toy_task(
    make_env: MakeEnv, task: SequenceTask, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """The best return is 1: everything above may be right and yet not learn."""
    algorithm = make_algorithm(SequenceGRPO, make_env(task), n_episodes=32)
    assert learn(algorithm)["rollout/score"] < 0.5
    learn(algorithm, n_iterations=28)
    sampled = [learn(algorithm)["rollout/score"] for _ in range(4)]
    assert np.mean(sampled) >= 0.95, "sampled, not only greedy"
