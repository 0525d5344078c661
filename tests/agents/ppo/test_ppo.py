"""PPO: the ratio is 1 until the first step, the clip is the paper's, and it learns."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.network.transformer import MotionTransformer
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.rollout.buffer import EpisodeBatch

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeModel = Callable[..., MotionTransformer]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
MakeBatch = Callable[..., EpisodeBatch]
Learn = Callable[..., dict[str, float]]


def test_the_first_ratio_is_one_in_every_iteration(
    env: Env,
    task: SequenceTask,
    make_algorithm: MakeAlgorithm,
    make_model: MakeModel,
    learn: Learn,
    network: dict[str, Any],
) -> None:
    """Dropout, temperature or a stale cache: each makes PPO clip by chance and learn worse.

    The network is configured with a dropout of 0.5, which must never act.
    """
    algorithm = make_algorithm(SequencePPO, env, batch_tokens=16, n_epochs=3)
    assert algorithm.model.config.dropout == 0.5
    algorithm.warm_start(make_model(task, **network["network"]).state_dict())
    algorithm.policy.set_training_mode(True)
    for _ in range(3):
        logged = learn(algorithm)
        assert logged["train/first_ratio_error"] < 1e-5
        assert logged["train/ratio_error"] > 1e-3, "later minibatches must have moved away"


def test_the_ratio_error_would_notice_dropout(
    env: Env, make_algorithm: MakeAlgorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure that stays near 0 whatever happens would guard nothing."""
    algorithm = make_algorithm(SequencePPO, env)
    monkeypatch.setattr(algorithm.policy, "set_training_mode", lambda _: algorithm.model.train())
    algorithm.learn(1)
    assert algorithm.logger.name_to_value["train/first_ratio_error"] > 1e-3


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [
        (1.5, 1.0, -1.2),  # gain beyond the range: cut off
        (1.5, -1.0, 1.5),  # a bad token made likelier: counts in full
        (0.5, 1.0, -0.5),  # a good token made rarer: counts in full
        (0.5, -1.0, 0.8),  # gain beyond the range: cut off
        (1.1, 2.0, -2.2),  # inside: the plain product
        (1.0, -3.0, 3.0),
    ],
)
def test_the_clipped_loss_is_the_hand_computed_one(
    env: Env,
    make_algorithm: MakeAlgorithm,
    make_batch: MakeBatch,
    ratio: float,
    advantage: float,
    loss: float,
) -> None:
    """A maximum instead of a minimum forgives what must be punished, and still learns a little."""
    algorithm = make_algorithm(SequencePPO, env, clip_range=0.2)
    batch = make_batch(
        2,
        1,
        log_probs=np.full((2, 2), -1.0, np.float32),
        advantages=np.full((2, 2), advantage, np.float32),
    )
    log_probs = torch.full((2, 2), -1.0 + float(np.log(ratio)))
    result = algorithm.policy_loss(batch, log_probs)
    np.testing.assert_allclose(result.numpy(), np.full((2, 2), loss), rtol=1e-5)


def test_outside_the_clip_there_is_no_gradient(
    env: Env, make_algorithm: MakeAlgorithm, make_batch: MakeBatch
) -> None:
    """The clip must stop the push, not only the printed number."""
    algorithm = make_algorithm(SequencePPO, env, clip_range=0.2)
    batch = make_batch(
        4,
        log_probs=np.zeros((1, 4), np.float32),
        advantages=np.array([[1, -1, 1, -1]], np.float32),
    )
    log_probs = torch.log(torch.tensor([[1.5, 1.5, 0.5, 0.5]])).requires_grad_()
    algorithm.policy_loss(batch, log_probs).sum().backward()
    assert log_probs.grad is not None
    np.testing.assert_allclose(log_probs.grad, [[0, 1.5, -0.5, 0]], atol=1e-6)


def test_advantages_are_over_the_other_samples_and_the_value(
    env: Env, make_algorithm: MakeAlgorithm, make_batch: MakeBatch
) -> None:
    """Scores 1, 2 and 4, 8 of two utterances leave -1, 1 and -4, 4; then each value comes off."""
    algorithm = make_algorithm(SequencePPO, env, samples_per_utterance=2)
    batch = make_batch(
        1,
        2,
        2,
        1,
        utterances=np.array([7, 7, 9, 9]),
        scores=np.array([1, 2, 4, 8], np.float32),
        values=np.array([[0.5, 0], [0.5, 0.25], [0, 1], [2, 0]], np.float32),
    )
    filled = algorithm.compute_advantages(batch)
    assert filled.advantages.tolist() == [[-1.5, 0], [0.5, 0.75], [-4, -5], [2, 0]]
    assert filled.returns.tolist() == [[-1, 0], [1, 1], [-4, -4], [4, 0]]


def test_a_single_sample_is_compared_with_its_value_alone(
    env: Env, make_algorithm: MakeAlgorithm, make_batch: MakeBatch
) -> None:
    """γ = 0.5, λ = 0: every advantage is one step's surprise, 0.5 V_{t+1} - V_t, at the end r - V.

    Settings that never reach the estimator would leave the defaults in force.
    """
    algorithm = make_algorithm(SequencePPO, env, samples_per_utterance=1, gamma=0.5, gae_lambda=0.0)
    batch = make_batch(
        3, scores=np.array([2], np.float32), values=np.array([[1, 4, 0.5]], np.float32)
    )
    filled = algorithm.compute_advantages(batch)
    assert filled.advantages.tolist() == [[1.0, -3.75, 1.5]]
    assert filled.returns.tolist() == [[2.0, 0.25, 2.0]]


@pytest.mark.parametrize("clip_range", [0.0, -0.2, float("nan")])
def test_a_clip_of_nothing_is_rejected(
    env: Env, make_algorithm: MakeAlgorithm, clip_range: float
) -> None:
    """With no room for the ratio nothing is ever learnt, and nothing says why."""
    rule = f"`clip_range` must be above 0, got {clip_range}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_algorithm(SequencePPO, env, clip_range=clip_range)


@pytest.mark.parametrize("clip_range", [1e-3, 10.0])
def test_any_clip_above_zero_is_allowed(
    env: Env, make_algorithm: MakeAlgorithm, clip_range: float
) -> None:
    """Above 1 the lower side never clips; that is a choice, not a mistake."""
    assert make_algorithm(SequencePPO, env, clip_range=clip_range).clip_range == clip_range


@pytest.mark.parametrize("seed", [0, 1])
def test_ppo_learns_the_toy_task(
    make_env: MakeEnv, task: SequenceTask, make_algorithm: MakeAlgorithm, learn: Learn, seed: int
) -> None:
    """The best return is 1: everything above may be right and yet not learn."""
    env = make_env(task)
    algorithm = make_algorithm(SequencePPO, env, n_episodes=32, n_epochs=2, seed=seed)
    venv = DummyVecEnv([lambda each=each: Monitor(make_env(task, [each])) for each in range(12)])
    before, _ = evaluate_policy(algorithm, venv, n_eval_episodes=12)
    learn(algorithm, n_iterations=24)
    after, _ = evaluate_policy(algorithm, venv, n_eval_episodes=12)
    assert before < 0.6
    assert after >= 0.95
    sampled = [learn(algorithm)["rollout/score"] for _ in range(4)]
    assert np.mean(sampled) >= 0.95, "sampled, not only greedy"
