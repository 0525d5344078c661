"""REINFORCE: its baselines, one step on all episodes, and that it learns."""

from __future__ import annotations

import copy
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
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.buffer import EpisodeBatch

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
MakeBatch = Callable[..., EpisodeBatch]
Learn = Callable[..., dict[str, float]]


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("none", [1, 2, 4, 9]),
        ("mean", [-3, -2, 0, 5]),
        ("leave_one_out", [-1, 1, -5, 5]),
    ],
)
def test_advantages_are_scores_over_the_baseline(
    env: Env,
    make_algorithm: MakeAlgorithm,
    make_batch: MakeBatch,
    baseline: str,
    expected: list[float],
) -> None:
    """Scores 1, 2 of one utterance and 4, 9 of another, at every token and not in the padding."""
    algorithm = make_algorithm(SequenceReinforce, env, baseline=baseline)
    batch = make_batch(
        1, 2, 3, 2, utterances=np.array([5, 5, 6, 6]), scores=np.array([1, 2, 4, 9], np.float32)
    )
    filled = algorithm.compute_advantages(batch)
    column = np.array(expected, np.float32)[:, None]
    np.testing.assert_array_equal(filled.advantages, np.where(batch.inside, column, 0))
    scores = np.where(batch.inside, batch.scores[:, None], 0)
    np.testing.assert_array_equal(filled.returns, scores)
    assert filled.advantages.dtype == np.float32


def test_the_loss_is_minus_advantage_times_log_probability(
    env: Env, make_algorithm: MakeAlgorithm, make_batch: MakeBatch
) -> None:
    """The other sign unlearns whatever was good."""
    algorithm = make_algorithm(SequenceReinforce, env)
    batch = make_batch(2, advantages=np.array([[2.0, -3.0]], np.float32))
    loss = algorithm.policy_loss(batch, torch.tensor([[-0.5, -1.0]]))
    assert loss.tolist() == [[1.0, -3.0]]


def test_an_iteration_is_one_step_on_all_episodes(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """A second minibatch would meet weights that did not write it, and REINFORCE has no ratio."""
    algorithm = make_algorithm(SequenceReinforce, env, n_episodes=48)
    for n_iterations in (1, 2, 3):
        logged = learn(algorithm)
        steps = {int(state["step"]) for state in algorithm.policy.optimizer.state.values()}
        assert steps == {n_iterations}
        assert logged["train/ratio_error"] == logged["train/first_ratio_error"] < 1e-5


def test_the_value_head_is_left_alone(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """REINFORCE has no critic; its gradient must not share the norm with one."""
    algorithm = make_algorithm(SequenceReinforce, env)
    before = copy.deepcopy(algorithm.model.to_value.state_dict())
    learn(algorithm, n_iterations=2)
    for name, value in algorithm.model.to_value.state_dict().items():
        assert torch.equal(value, before[name])


def test_no_baseline_differs_from_the_mean(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """A comparison of baselines would print the same curve under two names."""
    none, mean = (
        learn(make_algorithm(SequenceReinforce, env, baseline=name)) for name in ("none", "mean")
    )
    assert abs(none["train/policy_loss"] - mean["train/policy_loss"]) > 1e-4


def _score_all(env: Env, score: float) -> None:
    env.unwrapped.score_tokens = (  # type: ignore[attr-defined]
        lambda utterances, *_: np.full(len(utterances), score, np.float32)
    )


@pytest.mark.parametrize(
    ("baseline", "score"), [("none", 0.0), ("mean", 0.7), ("mean", -300.1), ("leave_one_out", 0.7)]
)
def test_scores_equal_to_the_baseline_move_nothing(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, baseline: str, score: float
) -> None:
    """Where no sample is better than the baseline, there is nothing to learn from any."""
    _score_all(env, score)
    algorithm = make_algorithm(SequenceReinforce, env, baseline=baseline, n_episodes=48)
    before = copy.deepcopy(algorithm.model.state_dict())
    learn(algorithm)
    for name, value in algorithm.model.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("score", "sign"), [(0.7, 1), (-0.7, -1)])
def test_without_a_baseline_equal_scores_still_count(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, score: float, sign: int
) -> None:
    """All advantages are 1 or -1 then; a hidden baseline would make a comparison of them void."""
    _score_all(env, score)
    algorithm = make_algorithm(SequenceReinforce, env, baseline="none", n_episodes=48)
    logged = learn(algorithm)
    assert algorithm.batch is not None
    mean = algorithm.batch.log_probs[algorithm.batch.inside].mean()
    assert logged["train/policy_loss"] == pytest.approx(-sign * mean, abs=1e-5)


@pytest.mark.parametrize("setting", [{"vf_coef": 0.5}, {"n_epochs": 2}, {"batch_tokens": 8}])
def test_a_setting_that_reinforce_does_not_have_is_rejected(
    env: Env, make_algorithm: MakeAlgorithm, setting: dict[str, float]
) -> None:
    """A setting that is accepted and ignored is believed to have been tuned."""
    with pytest.raises(TypeError, match=re.escape(next(iter(setting)))):
        make_algorithm(SequenceReinforce, env, **setting)


@pytest.mark.parametrize("baseline", ["value", "", "Mean"])
def test_an_unknown_baseline_is_rejected(
    env: Env, make_algorithm: MakeAlgorithm, baseline: str
) -> None:
    """A misspelt baseline that falls back to another is a wrong row in a table."""
    names = "none, mean, moving_mean, greedy, leave_one_out"
    rule = f"`baseline` must be one of {names}, got {baseline!r}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_algorithm(SequenceReinforce, env, baseline=baseline)


def test_leave_one_out_needs_two_samples(env: Env, make_algorithm: MakeAlgorithm) -> None:
    """One sample has no others: the error must say which setting to raise."""
    algorithm = make_algorithm(SequenceReinforce, env, samples_per_utterance=1, n_episodes=6)
    with pytest.raises(ValueError, match=re.escape("got 1; raise `samples_per_utterance`")):
        algorithm.learn(1)


@pytest.mark.parametrize("baseline", ["none", "mean"])
def test_other_baselines_need_one_sample_only(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, baseline: str
) -> None:
    """With many utterances and an expensive reward, one sample of each is the best use."""
    algorithm = make_algorithm(
        SequenceReinforce, env, baseline=baseline, samples_per_utterance=1, n_episodes=6
    )
    assert np.isfinite(learn(algorithm)["train/policy_loss"])


@pytest.mark.parametrize(("baseline", "seed"), [("leave_one_out", 0), ("mean", 0), ("mean", 1)])
def test_reinforce_learns_the_toy_task(
    make_env: MakeEnv,
    task: SequenceTask,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    baseline: str,
    seed: int,
) -> None:
    """The best return is 1: everything above may be right and yet not learn."""
    env = make_env(task)
    algorithm = make_algorithm(
        SequenceReinforce, env, baseline=baseline, n_episodes=48, learning_rate=1e-2, seed=seed
    )
    venv = DummyVecEnv([lambda each=each: Monitor(make_env(task, [each])) for each in range(12)])
    before, _ = evaluate_policy(algorithm, venv, n_eval_episodes=12)
    learn(algorithm, n_iterations=40)
    after, _ = evaluate_policy(algorithm, venv, n_eval_episodes=12)
    assert before < 0.6
    assert after >= 0.95
    assert learn(algorithm)["rollout/score"] >= 0.95, "sampled, not only greedy"


def test_the_greedy_baseline_is_the_score_of_the_likeliest_tokens(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """Self-critical: sampled minus greedy per utterance, written out here token by token."""
    algorithm = make_algorithm(SequenceReinforce, env, baseline="greedy", n_episodes=48)
    learn(algorithm, n_iterations=5)
    batch = algorithm._write_episodes()
    filled = algorithm.compute_advantages(batch)
    for n in range(0, 48, 5):
        obs, _ = env.reset(options={"utterance": int(batch.utterances[n])})
        state, done, reward = None, False, 0.0
        while not done:
            action, state = algorithm.predict(obs, state=state, deterministic=True)  # type: ignore[arg-type]
            obs, reward, done, _, _ = env.step(action)  # type: ignore[assignment]
        expected = batch.scores[n] - reward
        assert filled.advantages[n, 0] == pytest.approx(expected, abs=1e-6)


def test_the_moving_mean_is_that_of_earlier_iterations(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, make_batch: MakeBatch
) -> None:
    """The scores it is taken off must not be in it, from the second iteration on."""
    algorithm = make_algorithm(SequenceReinforce, env, baseline="moving_mean")
    expected: float | None = None
    for _ in range(3):
        learn(algorithm)
        assert algorithm.batch is not None
        scores = algorithm.batch.scores
        offset = scores.mean() if expected is None else expected
        np.testing.assert_allclose(algorithm.batch.advantages[:, 0], scores - offset, atol=1e-6)
        mean = float(scores.mean())
        expected = mean if expected is None else 0.9 * expected + 0.1 * mean
        assert algorithm.moving_mean == pytest.approx(expected)


@pytest.mark.parametrize("baseline", ["greedy", "moving_mean"])
def test_the_new_baselines_learn_too(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, baseline: str
) -> None:
    """A baseline of the wrong utterance, or of the wrong sign, does not."""
    algorithm = make_algorithm(
        SequenceReinforce, env, baseline=baseline, n_episodes=48, learning_rate=1e-2
    )
    assert learn(algorithm)["rollout/score"] < 0.5
    learn(algorithm, n_iterations=40)
    assert np.mean([learn(algorithm)["rollout/score"] for _ in range(4)]) >= 0.9


def test_an_early_stop_is_rejected(env: Env, make_algorithm: MakeAlgorithm) -> None:
    """There is one step only: nothing could ever be stopped."""
    with pytest.raises(TypeError, match="target_kl"):
        make_algorithm(SequenceReinforce, env, target_kl=0.1)
