"""What a user may write for a reward, and what the message says if it is something else."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import Trajectories
from esarm_env.rewards import (
    CombinedReward,
    RewardError,
    register_reward,
    resolve_reward,
    reward_names,
)
from esarm_env.task.animation_task import AnimationTask


class Constant:
    """Always the same."""

    needs_ground_truth = False

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.full(len(trajectories), self.value)


class Named(Constant):
    """Called otherwise than its class."""

    name = "otherwise"


class Factory:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def plain(self, task: Any, run: Any) -> Constant:
        self.calls.append((task, run))
        return Constant(2.0)

    def asks(self, task: Any, run: Any, argument: str) -> Constant:
        self.calls.append((task, run, argument))
        return Constant(float(argument))

    def may_ask(self, task: Any, run: Any, argument: str = "7") -> Constant:
        return self.asks(task, run, argument)


@pytest.fixture
def factory() -> Factory:
    """Register `plain`, `asks` and `may-ask`."""
    factory = Factory()
    register_reward("plain", factory.plain)
    register_reward("asks", factory.asks)
    register_reward("may-ask", factory.may_ask)
    return factory


def test_a_name_gives_its_reward(tiny_task: AnimationTask, tmp_path: Path) -> None:
    """Each is minus its own error, so that no table names another's."""
    recorded = tiny_task.recorded(np.arange(12))
    errors = tiny_task.errors(recorded)
    expected: dict[str, Any] = {
        "accuracy": -(errors["lve"] + errors["eve"]) / 2,
        "lve": -errors["lve"],
        "eve": -errors["eve"],
    }
    for name, scores in expected.items():
        reward = resolve_reward(name, tiny_task, tmp_path)
        assert isinstance(reward, CombinedReward)
        assert (reward.terms, reward.weights, reward.name) == ((name,), {name: 1.0}, name)
        assert reward.needs_ground_truth is True
        total, terms = reward.score_terms(recorded)
        np.testing.assert_allclose(total, scores, rtol=1e-6)
        np.testing.assert_array_equal(terms[name], total)


def test_weights_by_name_give_a_sum_in_their_order(
    tiny_task: AnimationTask, factory: Factory, tmp_path: Path
) -> None:
    """The first name stands first in every table."""
    recorded = tiny_task.recorded(np.arange(4))
    reward = resolve_reward({"plain": 0.5, "lve": 1, "asks:-3": -0.1}, tiny_task, str(tmp_path))
    assert reward.terms == ("plain", "lve", "asks:-3")
    assert reward.name == "0.5 * plain + lve - 0.1 * asks:-3"
    total, terms = reward.score_terms(recorded)
    lve = tiny_task.errors(recorded)["lve"].astype(np.float64)
    assert terms["plain"].tolist() == [2] * 4
    assert terms["asks:-3"].tolist() == [-3] * 4
    np.testing.assert_allclose(total, 1.0 - lve + 0.3, rtol=1e-6)
    assert factory.calls == [(tiny_task, tmp_path), (tiny_task, tmp_path, "-3")]


def test_a_factory_gets_what_stands_behind_the_colon(
    tiny_task: AnimationTask, factory: Factory
) -> None:
    """All of it: paths may hold colons, too."""
    assert resolve_reward("asks:4", tiny_task, None).terms == ("asks:4",)
    assert resolve_reward("may-ask:5", tiny_task, None).terms == ("may-ask:5",)
    assert resolve_reward("may-ask", tiny_task, None).terms == ("may-ask",)
    with pytest.raises(RewardError, match=re.escape("reward 'asks:C:/runs,b' must be made")):
        resolve_reward("asks:C:/runs,b", tiny_task, None)
    assert [call[2] for call in factory.calls] == ["4", "5", "7", "C:/runs,b"]


def test_the_default_is_the_learned_reward_where_there_is_one(
    tiny_task: AnimationTask, tmp_path: Path
) -> None:
    """With the accuracy by default, PPO would train on the ground truth unasked."""
    register_reward("learned", Factory().plain, replace=True)
    assert resolve_reward(None, tiny_task, None).name == "accuracy"
    assert resolve_reward(None, tiny_task, tmp_path).name == "accuracy"
    (tmp_path / "reward").mkdir()
    (tmp_path / "reward" / "reward.safetensors").touch()
    assert resolve_reward(None, tiny_task, str(tmp_path)).name == "learned"
    assert resolve_reward("accuracy", tiny_task, tmp_path).name == "accuracy"


def test_an_object_is_a_reward_under_its_name_or_its_classs(tiny_task: AnimationTask) -> None:
    """Without a registry: the quickest way to try a reward."""
    for reward, name in ((Constant(3.0), "Constant"), (Named(), "otherwise")):
        combined = resolve_reward(reward, tiny_task, None)
        assert combined.functions == {name: reward}
        assert combined.needs_ground_truth is False
    odd = SimpleNamespace(needs_ground_truth=True, score=len, name=3)
    assert resolve_reward(odd, tiny_task, None).terms == ("SimpleNamespace",)


def test_a_combined_reward_stays_what_it_is(tiny_task: AnimationTask, factory: Factory) -> None:
    """The reward of one environment is handed to the next, terms and weights with it."""
    combined = resolve_reward({"plain": 2.0, "lve": 1.0}, tiny_task, None)
    assert resolve_reward(combined, tiny_task, None) is combined


def test_an_unhashable_object_is_a_reward(tiny_task: AnimationTask) -> None:
    """Dataclasses that compare by value are no keys of a dict."""

    class Unhashable(Constant):
        __hash__ = None  # type: ignore[assignment]

    assert resolve_reward(Unhashable(), tiny_task, None).terms == ("Unhashable",)


@pytest.mark.parametrize("name", ["", "bleu", ":3", "bleu:3"])
def test_an_unknown_name_lists_the_valid_ones(tiny_task: AnimationTask, name: str) -> None:
    """Other packages' rewards, and those of this process, stand there too."""
    register_reward("mine", Factory().plain)
    valid = ", ".join(reward_names())
    message = f"`reward` must be one of {valid}, got {name!r}"
    for given in (name, {"lve": 1.0, name: 1.0}):
        with pytest.raises(InputError, match=re.escape(message) + "$"):
            resolve_reward(given, tiny_task, None)
    assert "mine" in valid
    assert "learned" in valid


@pytest.mark.parametrize(
    ("name", "near"), [("Accuracy", "accuracy"), ("learnt", "learned"), ("lve2:3", "lve")]
)
def test_a_mistyped_name_suggests_the_right_one(
    tiny_task: AnimationTask, name: str, near: str
) -> None:
    """Among thirty installed rewards it is hard to see."""
    with pytest.raises(InputError, match=re.escape(f"got {name!r}; did you mean {near!r}?")):
        resolve_reward(name, tiny_task, None)


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        ("plain:3", "plain"),
        ("plain:", "plain"),
        ("asks", "asks:ARGUMENT"),
        ("asks:", "asks:ARGUMENT"),
        ("may-ask:", "may-ask[:ARGUMENT]"),
        ("lve:3", "lve"),
    ],
)
def test_an_argument_too_many_or_too_few_is_refused(
    tiny_task: AnimationTask, factory: Factory, text: str, usage: str
) -> None:
    """An empty shell variable behind the colon would otherwise mean the default."""
    message = f"`reward` must be given as {usage!r}, got {text!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward(text, tiny_task, None)
    assert factory.calls == []


@pytest.mark.parametrize(
    ("reward", "got"),
    [(3, "int"), (object(), "object"), (len, "builtin_function_or_method"), (["lve"], "list")],
)
def test_an_object_that_cannot_score_is_refused(
    tiny_task: AnimationTask, reward: Any, got: str
) -> None:
    """At the start, not at the end of the first episode."""
    message = (
        "`reward` must be a name, a mapping of names to weights, or an object with `score` and "
        f"`needs_ground_truth`, got {got}"
    )
    with pytest.raises(InputError, match=re.escape(message) + "$"):
        resolve_reward(reward, tiny_task, None)


def test_a_class_in_the_place_of_an_object_is_refused(tiny_task: AnimationTask) -> None:
    """It has `score`, too, and would fail on the first finished episode."""
    with pytest.raises(InputError, match=re.escape("got the class Constant; call it first")):
        resolve_reward(Constant, tiny_task, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("flag", [None, 0, "no"])
def test_needs_ground_truth_must_be_a_bool(tiny_task: AnimationTask, flag: Any) -> None:
    """ "no" is true."""
    reward = SimpleNamespace(needs_ground_truth=flag, score=len)
    message = f"`needs_ground_truth` of SimpleNamespace must be True or False, got {flag!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward(reward, tiny_task, None)


def test_a_score_that_cannot_be_called_is_refused(tiny_task: AnimationTask) -> None:
    """`score` as a number is a result, not a reward."""
    with pytest.raises(InputError, match=r"an object with `score`.*, got SimpleNamespace"):
        resolve_reward(SimpleNamespace(needs_ground_truth=False, score=3.0), tiny_task, None)


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ({}, "`reward` must hold at least one term, got {}"),
        ({3: 1.0}, "`reward` must map names to weights, got 3 for a name; name yours with"),
        ({"lve": np.nan}, "the weight of reward 'lve' must be a finite number, got nan"),
        ({"lve": True}, "the weight of reward 'lve' must be a finite number, got True"),
        ({"lve": "1"}, "the weight of reward 'lve' must be a finite number, got '1'"),
    ],
)
def test_a_mapping_that_is_no_sum_is_refused(
    tiny_task: AnimationTask, reward: Any, message: str
) -> None:
    """nan as a weight is found an update later, in every parameter."""
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward(reward, tiny_task, None)


def test_a_factory_that_makes_no_reward_is_refused(tiny_task: AnimationTask) -> None:
    """`None` from a forgotten `return` would fail at the end of the first episode."""
    register_reward("nothing", lambda task, run: None)  # type: ignore[arg-type,return-value]
    message = (
        "the factory of reward 'nothing' must return an object with `score` and "
        "`needs_ground_truth`, got NoneType"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward("nothing", tiny_task, None)


def test_a_factory_that_fails_is_named(tiny_task: AnimationTask) -> None:
    """In a sum of five terms, the traceback alone does not tell which."""

    def broken(task: Any, run: Any) -> Any:
        raise OSError("no weights")

    register_reward("broken", broken)
    message = "reward 'broken' must be made without an error, got OSError: no weights"
    with pytest.raises(RewardError, match=re.escape(message)) as caught:
        resolve_reward({"lve": 1.0, "broken": 1.0}, tiny_task, None)
    assert isinstance(caught.value.__cause__, OSError)
    register_reward("short", lambda task: Constant())
    with pytest.raises(RewardError, match=r"reward 'short' must be made.*got TypeError"):
        resolve_reward("short", tiny_task, None)


def test_what_a_factory_refuses_is_said_as_it_says_it(tiny_task: AnimationTask) -> None:
    """Its own message is the better one, and the command line prints it as one line."""
    error: Exception

    def refuses(task: Any, run: Any) -> Any:
        raise error

    register_reward("refuses", refuses)
    for error in (
        InputError("`run` must hold it"),
        MissingExtraError("thing", extra="things", purpose="the reward"),
        RewardError("as it says"),
    ):
        with pytest.raises(type(error), match=re.escape(str(error))) as caught:
            resolve_reward("refuses", tiny_task, None)
        assert caught.value is error


def test_the_learned_reward_needs_a_run(tiny_task: AnimationTask, tmp_path: Path) -> None:
    """Both ways out stand in the message."""
    message = "`run` must be a run folder for the reward `learned`, got none"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward("learned", tiny_task, None)
    message = f"{tmp_path}: must hold the stage `reward`, got none"
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_reward("learned", tiny_task, tmp_path)
