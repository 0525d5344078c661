"""Evaluation: many utterances at once score what they score alone, and each is scored once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from stable_baselines3 import PPO

from esarm_env.core.errors import InputError
from esarm_env.core.types import Trajectories
from esarm_env.envs.registration import make_vector_env
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.evaluation import Evaluation, evaluate, make_evaluation_env
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask

Settings = dict[str, Any]


@pytest.fixture
def settings(tiny_task: AnimationTask) -> Settings:
    return {"task": tiny_task, "reward": "accuracy"}


def rule(obs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return tokens that differ from step to step and from utterance to utterance."""
    return (obs["step"] * 7 + obs["utterance"] * 3 + obs["last_tokens"].sum(-1, keepdims=True)) % 16


def act(obs: Mapping[str, np.ndarray], state: Any, start: Any) -> tuple[np.ndarray, None]:
    return rule(obs)[:, 0], None


def draw(obs: Mapping[str, np.ndarray], state: Any, start: Any) -> tuple[np.ndarray, None]:
    """Return random tokens, as a sampled policy does."""
    return torch.randint(16, (len(obs["step"]),)).numpy(), None


def alone(settings: Settings, utterance: int) -> dict[str, float]:
    """Return what `rule` scores in a scalar environment."""
    env = SpeechAnimationEnv(**settings)
    obs, _ = env.reset(options={"utterance": utterance})
    total, terminated, info = 0.0, False, {}
    while not terminated:
        obs, reward, terminated, _, info = env.step(int(rule(obs)[0]))
        total += reward
    return {"return": total, "lve": info["lve"], "eve": info["eve"]}


class Counting:
    """A reward that notes the utterance of everything it scores."""

    needs_ground_truth = False

    def __init__(self) -> None:
        self.seen: list[int] = []

    def score(self, trajectories: Trajectories) -> np.ndarray:
        self.seen += trajectories.utterance.tolist()
        return np.ones(len(trajectories), dtype=np.float32)


@pytest.mark.parametrize("num_envs", [1, 3, 20])
def test_together_they_score_what_each_scores_alone(settings: Settings, num_envs: int) -> None:
    """In the order asked for, one asked for twice in both places, whoever finishes first."""
    utterances = [6, 4, 9, 0, 4, 1]
    expected = {index: alone(settings, index) for index in utterances}
    found = evaluate(act, make_evaluation_env(num_envs, **settings), utterances=utterances)
    assert found.utterance.tolist() == utterances
    assert set(found.scores) == {"return", "lve", "eve"}
    for name, values in found.scores.items():
        assert values.shape == (6,)
        np.testing.assert_allclose(values, [expected[i][name] for i in utterances], rtol=1e-5)
    assert len(set(found.scores["return"].tolist())) == 5


def test_the_utterances_are_those_of_validation(settings: Settings) -> None:
    """Evaluating what was trained on would look like success; another split can be asked for."""
    assert evaluate(act, make_evaluation_env(2, **settings)).utterance.tolist() == [8, 9]
    env = make_evaluation_env(2, split="test", **settings)
    assert evaluate(act, env).utterance.tolist() == [10, 11]


@pytest.mark.parametrize(("num_envs", "steps"), [(1, 64), (2, 32), (5, 32)])
def test_no_step_is_wasted(settings: Settings, num_envs: int, steps: int) -> None:
    """Two utterances of 32 tokens; idle environments must not make the others wait."""
    starts: list[list[bool]] = []

    def counted(obs: Any, state: Any, start: np.ndarray) -> tuple[np.ndarray, None]:
        starts.append(start.tolist())
        return act(obs, state, start)

    evaluate(counted, make_evaluation_env(num_envs, **settings))
    assert len(starts) == steps


def test_every_utterance_is_scored_once(tiny_task: AnimationTask) -> None:
    """Scoring is what costs; environments that have nothing left to do must not go on with it."""
    reward = Counting()
    env = make_evaluation_env(3, task=tiny_task, reward=reward, split="train")
    found = evaluate(act, env)
    np.testing.assert_array_equal(found.scores["return"], np.ones(8))
    assert sorted(reward.seen) == list(range(8))


def test_the_state_begins_with_each_episode(settings: Settings) -> None:
    """A recurrent policy would else act on what it heard in another utterance."""

    def recurrent(obs: Any, state: Any, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        steps = np.zeros(3, dtype=np.int64) if state is None else state
        steps = np.where(start, 0, steps)
        np.testing.assert_array_equal(steps, obs["step"][:, 0])
        return rule(obs)[:, 0], steps + 1

    env = make_evaluation_env(3, split="train", **settings)
    found = evaluate(recurrent, env)
    np.testing.assert_array_equal(found.scores["lve"], evaluate(act, env).scores["lve"])


def test_equal_seeds_draw_equal_tokens(settings: Settings) -> None:
    """The difference before and after would else be that of two draws."""
    env = make_evaluation_env(2, **settings)
    first, again, other = (evaluate(draw, env, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.scores["return"], again.scores["return"])
    assert not np.array_equal(first.scores["return"], other.scores["return"])


def test_evaluating_changes_no_training(settings: Settings) -> None:
    """A run that is watched more often would else be another run."""
    env = make_evaluation_env(2, **settings)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    evaluate(draw, env)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


@pytest.mark.parametrize("observation", ["slim", "flat", "full_sequence"])
def test_predict_of_stable_baselines3_is_a_policy(settings: Settings, observation: str) -> None:
    """No adapter stands between a stock model and its evaluation."""
    settings["observation"] = observation
    policy = "MlpPolicy" if observation == "flat" else "MultiInputPolicy"
    model = PPO(policy, make_sb3_vec_env(**settings), n_steps=8, batch_size=8, device="cpu")
    found = evaluate(model.predict, make_evaluation_env(2, **settings))
    assert np.isfinite(list(found.means().values())).all()


def test_terms_of_a_sum_stay_visible(tiny_task: AnimationTask) -> None:
    """A weighted sum that rises says nothing about which term rose."""
    env = make_evaluation_env(2, task=tiny_task, reward={"lve": 1.0, "eve": 0.5})
    scores = evaluate(act, env).scores
    assert list(scores) == ["return", "lve", "eve", "rewards/lve", "rewards/eve"]
    np.testing.assert_allclose(scores["rewards/lve"], -scores["lve"], rtol=1e-6)
    expected = scores["rewards/lve"] + 0.5 * scores["rewards/eve"]
    np.testing.assert_allclose(scores["return"], expected, rtol=1e-6)


def test_metrics_that_are_not_measured_are_left_out(settings: Settings) -> None:
    """Zeros would read as a perfect face."""
    env = make_evaluation_env(2, metrics=False, **settings)
    assert list(evaluate(act, env).scores) == ["return"]


def test_the_table_shows_the_paired_change() -> None:
    """By hand: changes 1, 2 and 3 have mean 2 and standard error 1 / sqrt(3) = 0.577."""
    utterance = np.array([3, 1, 2])
    before = Evaluation(utterance, {"return": np.array([1.0, 5.0, 9.0]), "lve": np.ones(3)})
    after = Evaluation(utterance, {"return": np.array([2.0, 7.0, 12.0]), "lve": np.ones(3) / 2})
    assert before.means() == {"return": 5.0, "lve": 1.0}
    assert before.compare(after).splitlines() == [
        "mean of 3 utterances       before    after   change  (standard error)",
        "return                      5.000    7.000   +2.000  (0.577)",
        "lve, mm                     1.000    0.500   -0.500  (0.000)",
    ]


def test_an_evaluation_is_printed_as_its_means() -> None:
    """`print(evaluate(...))` wrote forty lines of numbers; they stay in `repr` and attributes."""
    scores = {"return": np.array([1.0, 5.0]), "lve": np.array([1.0, 2.0])}
    found = Evaluation(np.array([3, 1]), scores)
    assert str(found) == "mean of 2 utterances: return 3.000, lve 1.500 mm"
    assert "array([1., 5.])" in repr(found)


def test_one_utterance_has_no_standard_error() -> None:
    """A zero would claim certainty."""
    one = Evaluation(np.array([0]), {"return": np.array([1.0])})
    assert one.compare(one).endswith("1.000    1.000   +0.000  (nan)")


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (
            Evaluation(np.array([2, 1]), {"return": np.zeros(2)}),
            "`after` must be of the same utterances in the same order, got [2, 1] after [1, 2]",
        ),
        (
            Evaluation(np.array([1, 2]), {"lve": np.zeros(2)}),
            "`after` must have the same scores, got lve after return; evaluate both in one "
            "environment of `make_evaluation_env`",
        ),
    ],
)
def test_only_like_is_compared_with_like(after: Evaluation, message: str) -> None:
    """Pairs that are none would give a standard error that means nothing."""
    before = Evaluation(np.array([1, 2]), {"return": np.zeros(2)})
    with pytest.raises(InputError, match=re.escape(message)):
        before.compare(after)


def test_returns_by_two_rewards_have_no_difference(settings: Settings) -> None:
    """Who swapped the reward read a loss of one unit, which was the other reward's scale."""
    env = make_evaluation_env(2, **{**settings, "reward": "lve"})
    before = evaluate(act, env, utterances=[1, 2])
    after = evaluate(
        act, make_evaluation_env(2, **{**settings, "reward": "zero"}), utterances=[1, 2]
    )
    assert (before.reward, after.reward) == ("lve", "zero")
    rows = {line[:6].strip(): line for line in before.compare(after).splitlines()}
    assert rows["return"].endswith("n/a  (lve before, zero after)")
    assert "n/a" not in rows["lve, m"] and "n/a" not in before.compare(before)


@pytest.mark.parametrize(
    ("utterances", "message"),
    [
        ([], "`utterances` must be integers of shape (N,), N at least 1, got float64 (0,)"),
        ([1.5], "`utterances` must be integers of shape (N,), N at least 1, got float64 (1,)"),
        ([[1, 2]], "`utterances` must be integers of shape (N,), N at least 1, got int64 (1, 2)"),
        ([0, 12], "`utterances` must be in 0..11, got [0, 12]"),
        ([-1], "`utterances` must be in 0..11, got [-1]"),
    ],
)
def test_bad_utterances_are_refused(settings: Settings, utterances: Any, message: str) -> None:
    """Before anything is animated."""
    with pytest.raises(InputError, match=re.escape(message)):
        evaluate(act, make_evaluation_env(2, **settings), utterances=utterances)


def test_bad_environments_are_refused(settings: Settings) -> None:
    """Each message names the function that makes a right one."""
    with pytest.raises(InputError, match=r"mode Disabled, got NextStep; `make_evaluation_env`"):
        evaluate(act, make_vector_env(2, **settings))
    sync = SyncVectorEnv([lambda: SpeechAnimationEnv(**settings)])
    with pytest.raises(InputError, match=r"vector environment of ESARM-v0, got SyncVectorEnv"):
        evaluate(act, sync)
    with pytest.raises(InputError, match=r"score episodes as they end, got one that defers"):
        evaluate(act, make_evaluation_env(2, defer_rewards=True, **settings))
