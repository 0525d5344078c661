"""Metrics of finished episodes by name: what stands in the last `info`, in every environment."""

from __future__ import annotations

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import esarm_env
from esarm_env.core.errors import InputError
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.sb3 import make_sb3_vec_env
from esarm_env.task.animation_task import AnimationTask
from esarm_env.task.episode_metrics import METRICS, MetricError, find_metrics, register_metric

ROOT = Path(esarm_env.__file__).parents[1]


@pytest.fixture(autouse=True)
def own_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    monkeypatch.setattr(METRICS, "_registered", {})


def play(env: gymnasium.Env) -> dict:
    """Return the last `info` of one episode of token 0, with the number of its steps."""
    env.reset(seed=0)
    done, n_steps = False, 0
    while not done:
        _, _, done, _, info = env.step(0)
        n_steps += 1
    return info | {"n_steps": n_steps}


def test_a_registered_metric_stands_in_the_last_info(tiny_task: AnimationTask) -> None:
    """Who invents a metric must not have to write an environment for it."""
    register_metric("n_tokens", lambda task, trajectories: trajectories.lengths, unit="tokens")
    env = SpeechAnimationEnv(task=tiny_task, reward="zero")
    info = play(env)
    assert info["n_tokens"] == info["n_steps"] > 0
    assert {"lve", "eve"} <= set(info)
    assert env.metric_units == {"lve": "mm", "eve": "mm", "n_tokens": "tokens"}
    assert "n_tokens" not in play(SpeechAnimationEnv(task=tiny_task, reward="zero", metrics=False))


def test_the_vector_environment_and_its_sb3_view_have_it_too(tiny_task: AnimationTask) -> None:
    """Three environments that disagree about their infos cannot be swapped."""
    register_metric("one", lambda task, trajectories: np.ones(len(trajectories)))
    env = SpeechAnimationVectorEnv(2, task=tiny_task, reward="zero")
    env.reset(seed=0)
    found: list[float] = []
    for _ in range(int(tiny_task.lengths.max())):
        *_, infos = env.step(np.zeros(2, np.int64))
        last = infos.get("final_info", infos)
        if "one" in last:
            found += [float(value) for value in np.ravel(last["one"]) if value]
    assert found and set(found) == {1.0}
    assert make_sb3_vec_env(2, task=tiny_task, reward="zero").info_keywords == ("lve", "eve", "one")


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (lambda task, batch: 1 / 0, "metric 'bad' failed: ZeroDivisionError: division by zero"),
        (lambda task, batch: [1.0, 2.0], "metric 'bad' must return numbers of shape (1,), got"),
        (lambda task, batch: ["x"], "metric 'bad' must return numbers of shape (1,), got <U1 (1,)"),
    ],
)
def test_a_metric_that_fails_is_named(tiny_task: AnimationTask, function, rule: str) -> None:
    """A traceback out of somebody's function does not say that it is a metric."""
    register_metric("bad", function)
    with pytest.raises(MetricError, match=re.escape(rule)):
        play(SpeechAnimationEnv(task=tiny_task, reward="zero"))


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("lve", "`name` must be free, got 'lve', brought by esarm"),
        (
            "rewards",
            "`name` must be free, got 'rewards', which is the scores of the reward",
        ),
        ("two words", "`name` must be a text without spaces and colons, got 'two words'"),
    ],
)
def test_names_that_are_taken_are_refused(name: str, rule: str) -> None:
    """A metric over `rewards` would replace what trainers read."""
    with pytest.raises(InputError, match=re.escape(rule)):
        register_metric(name, lambda task, trajectories: [])


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"function": 3}, "`function` must be callable with (task, trajectories), got int"),
        ({"function": len, "unit": 3}, "`unit` must be a text such as 'mm', got 3"),
    ],
)
def test_what_is_no_metric_is_refused(arguments: dict, rule: str) -> None:
    """Found when the first episode ends, it costs a run."""
    with pytest.raises(InputError, match=re.escape(rule)):
        register_metric("mine", **arguments)


def test_ours_stand_first() -> None:
    """Tables and captions show them in this order."""
    register_metric("a_first", lambda task, trajectories: [])
    assert list(find_metrics()) == ["lve", "eve", "a_first"]


def test_the_names_of_ours_stand_in_one_file() -> None:
    """A literal elsewhere is what has to be found when a third metric comes."""
    literal = re.compile(r"""["'](lve|eve)["']""")
    found = [
        str(path.relative_to(ROOT))
        for package in ("esarm_env", "agents", "reward", "train")
        for path in sorted((ROOT / package).rglob("*.py"))
        if literal.search(path.read_text())
    ]
    assert found == ["esarm_env/task/episode_metrics.py"]


def other_emotion(task: AnimationTask, utterance: int) -> str:
    """Return an emotion that the recording does not show."""
    return "fear" if task.corpus.records[utterance].emotion != "fear" else "sad"


@pytest.mark.parametrize("label", ["emotion", "intensity", "speaker"])
def test_errors_are_nan_under_another_condition_than_recorded(
    tiny_task: AnimationTask, label: str
) -> None:
    """A sad face would be blamed for being far from the disgusted one that was recorded."""
    record = tiny_task.corpus.records[1]
    others = [s for s in tiny_task.conditions.speakers if s != record.speaker]
    other = {
        "emotion": other_emotion(tiny_task, 1),
        "intensity": record.intensity % 3 + 1,
        "speaker": others[0],
    }
    register_metric("steps", lambda task, batch: batch.lengths)
    env = SpeechAnimationEnv(task=tiny_task, reward="zero")
    for options, known in [
        ({}, True),
        ({"emotion": record.emotion, "speaker": record.speaker}, True),
        ({label: other[label]}, False),
    ]:
        env.reset(seed=0, options={"utterance": 1, **options})
        done = False
        while not done:
            _, _, done, _, info = env.step(0)
        assert np.isfinite([info["lve"], info["eve"]]).all() == known, options
        assert np.isnan([info["lve"], info["eve"]]).all() != known, options
        assert info["steps"] == tiny_task.lengths[1], "a metric that compares with nothing stays"


def test_vector_environments_say_nan_of_the_same_episodes(tiny_task: AnimationTask) -> None:
    """What is nan in one environment and a number in another cannot be told from a bug."""
    emotions = [tiny_task.corpus.records[1].emotion, other_emotion(tiny_task, 1)]
    options = {"utterance": [1, 1], "emotion": emotions}
    vector = SpeechAnimationVectorEnv(2, task=tiny_task, reward="zero", autoreset_mode="Disabled")
    vector.reset(seed=0, options=options)
    view = make_sb3_vec_env(2, task=tiny_task, reward="zero", monitor=False)
    view.seed(0)
    view.set_options([{"utterance": 1, "emotion": emotion} for emotion in emotions])
    view.reset()
    for _ in range(int(tiny_task.lengths[1])):
        *_, infos = vector.step(np.zeros(2, np.int64))
        _, _, _, seen = view.step(np.zeros(2, np.int64))
    for name in ("lve", "eve"):
        assert np.isnan(infos[name]).tolist() == [False, True]
        np.testing.assert_array_equal(infos[name], [info[name] for info in seen])


def test_a_metric_of_ones_own_may_need_the_recording(tiny_task: AnimationTask) -> None:
    """Who registers another error wants the same."""
    register_metric("own", lambda task, batch: batch.lengths, needs_recording=True)
    env = SpeechAnimationEnv(task=tiny_task, reward="zero")
    assert play(env)["own"] > 0
    env.reset(options={"utterance": 1, "emotion": other_emotion(tiny_task, 1)})
    done = False
    while not done:
        _, _, done, _, info = env.step(0)
    assert np.isnan(info["own"])
