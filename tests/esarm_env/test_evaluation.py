"""Return, LVE and EVE of a policy over a list of utterances, many at once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from esarm_env.env import SpeechAnimationEnv
from esarm_env.errors import InputError
from esarm_env.evaluation import Evaluation, evaluate, make_evaluation_env
from esarm_env.task import AnimationTask


def by_step(obs: dict[str, np.ndarray], *_: Any) -> tuple[np.ndarray, None]:
    """Act by step and utterance alone, so that every batch acts alike."""
    return (3 * obs["step"][:, 0] + obs["utterance"][:, 0]) % 16, None


def make(task: AnimationTask, num_envs: int, **settings: Any) -> Any:
    return make_evaluation_env(num_envs, task=task, reward="accuracy", **settings)


@pytest.mark.parametrize("num_envs", [1, 3, 16])
def test_every_utterance_is_animated_once(tiny_task: AnimationTask, num_envs: int) -> None:
    """Short ones that come twice, or a last one cut off, would shift every mean."""
    found = evaluate(by_step, make(tiny_task, num_envs, split="train"))
    np.testing.assert_array_equal(found.utterance, np.arange(8))
    env = SpeechAnimationEnv(task=tiny_task, reward="accuracy")
    for place, utterance in enumerate(found.utterance.tolist()):
        obs, _ = env.reset(options={"utterance": utterance})
        terminated = False
        while not terminated:
            action = by_step({name: values[None] for name, values in obs.items()})[0][0]
            obs, reward, terminated, _, info = env.step(action)
        assert found.scores["return"][place] == pytest.approx(reward, rel=1e-5)
        assert found.scores["lve"][place] == pytest.approx(info["lve"], rel=1e-5)
        assert found.scores["eve"][place] == pytest.approx(info["eve"], rel=1e-5)


def test_utterances_stand_in_the_order_asked_for(tiny_task: AnimationTask) -> None:
    """A paired comparison pairs by place."""
    env = make(tiny_task, 2, split="train")
    ordered, turned = (evaluate(by_step, env, utterances=u) for u in ([0, 5, 9], [9, 0, 5]))
    np.testing.assert_allclose(turned.scores["lve"], ordered.scores["lve"][[2, 0, 1]], rtol=1e-5)


def test_evaluating_changes_no_training(tiny_task: AnimationTask) -> None:
    """Random numbers spent here would make every later update another one."""

    def act(obs: dict[str, np.ndarray], *_: Any) -> tuple[np.ndarray, None]:
        return torch.randint(16, (len(obs["step"]),)).numpy(), None

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    env = make(tiny_task, 2)
    first = evaluate(act, env, seed=1)
    torch.testing.assert_close(torch.rand(3), expected)
    again = evaluate(act, env, seed=1)
    np.testing.assert_array_equal(first.scores["lve"], again.scores["lve"])
    other = evaluate(act, env, seed=2)
    assert (first.scores["lve"] != other.scores["lve"]).all()


def test_a_state_is_handed_on_and_starts_are_told(tiny_task: AnimationTask) -> None:
    """A recurrent policy that hears no start would carry one utterance into the next."""
    starts = []

    def act(obs: dict[str, np.ndarray], state: Any, start: np.ndarray) -> tuple[np.ndarray, int]:
        assert state == (None if not starts else len(starts))
        np.testing.assert_array_equal(start, obs["step"][:, 0] == 0)
        starts.append(start.copy())
        return np.zeros(len(start), dtype=np.int64), len(starts)

    evaluate(act, make(tiny_task, 2, split="train"))
    assert np.sum(starts) >= 8


def test_the_comparison_is_a_paired_one() -> None:
    """Means, their change, and its standard error over the utterances."""
    utterance = np.arange(4)
    before = Evaluation(utterance, {"lve": np.array([1.0, 2.0, 3.0, 4.0])})
    after = Evaluation(utterance, {"lve": np.array([0.0, 2.0, 2.0, 2.0])})
    assert before.means() == {"lve": 2.5}
    line = before.compare(after).splitlines()[-1].split()
    assert line == ["lve,", "mm", "2.500", "1.500", "-1.000", "(0.408)"]
    with pytest.raises(InputError, match=re.escape("`after` must be of the same utterances")):
        before.compare(Evaluation(utterance[::-1], after.scores))
    with pytest.raises(InputError, match=re.escape("`after` must have the same scores")):
        before.compare(Evaluation(utterance, {"eve": after.scores["lve"]}))


@pytest.mark.parametrize("utterances", [[], [12], [-1], [0.5]])
def test_bad_utterances_are_rejected(tiny_task: AnimationTask, utterances: Any) -> None:
    """An empty mean is NaN, and says nothing."""
    with pytest.raises(InputError, match="`utterances` must "):
        evaluate(by_step, make(tiny_task, 2), utterances=utterances)
