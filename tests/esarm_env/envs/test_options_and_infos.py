"""What the ends of many episodes tell: infos by row, scores deferred, and rewards that fail."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv

from esarm_env.core.types import Trajectories
from esarm_env.envs.options_and_infos import Infos, add_infos
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.rewards import RewardError
from esarm_env.task.animation_task import AnimationTask

NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED


class OneTrap:
    """The utterance over 8, but utterance 6 raises, or is worth `value`, until it is `mended`."""

    needs_ground_truth = False

    def __init__(self, value: float | None = None) -> None:
        self.mended, self.n_calls = False, 0
        self._value = value

    def score(self, trajectories: Trajectories) -> np.ndarray:
        self.n_calls += 1
        scores = trajectories.utterance / 8
        trapped = (trajectories.utterance == 6) & (not self.mended)
        if trapped.any() and self._value is None:
            raise ZeroDivisionError("no such face")
        return np.where(trapped, self._value or 0, scores).astype(np.float32)


def put(infos: Infos, values: dict[str, Any], *rows: int) -> None:
    mask = np.isin(np.arange(3), rows)
    add_infos(infos, values, np.array(rows), mask=mask)


def test_every_key_stands_beside_its_mask() -> None:
    """Rows without a value hold 0 or None, so only the mask tells them from values of 0."""
    infos: Infos = {}
    put(infos, {"score": np.array([0.5, 0.25]), "id": np.array(["c", "a"], object)}, 2, 0)
    put(infos, {"id": np.array(["b"], object), "tokens": np.array([[7, -1]])}, 1)
    assert {key: value.tolist() for key, value in infos.items()} == {
        "score": [0.25, 0.0, 0.5],
        "_score": [True, False, True],
        "id": ["a", "b", "c"],
        "_id": [True, True, True],
        "tokens": [[0, 0], [7, -1], [0, 0]],
        "_tokens": [False, True, False],
    }
    assert (infos["score"].dtype, infos["tokens"].dtype) == (np.float64, np.int64)


def test_dictionaries_have_masks_inside_and_outside() -> None:
    """Gymnasium's wrappers look for both."""
    infos: Infos = {}
    put(infos, {"rewards": {"lve": np.array([1.0])}}, 0)
    put(infos, {"rewards": {"lve": np.array([3.0]), "eve": np.array([4.0])}}, 2)
    rewards = infos["rewards"]
    assert infos["_rewards"].tolist() == rewards["_lve"].tolist() == [True, False, True]
    assert rewards["_eve"].tolist() == [False, False, True]
    assert (rewards["lve"].tolist(), rewards["eve"].tolist()) == ([1, 0, 3], [0, 0, 4])


def test_infos_share_nothing_with_what_they_were_made_of() -> None:
    """One mask for all keys would let a change of one change all."""
    infos: Infos = {}
    values, mask = np.array([1.0, 2.0, 3.0]), np.ones(3, np.bool_)
    add_infos(infos, {"a": values, "b": values}, np.arange(3), mask=mask)
    for array in infos.values():
        assert not np.shares_memory(array, values)
        assert not np.shares_memory(array, mask)
    assert not np.shares_memory(infos["_a"], infos["_b"])


def roll_out(env: VectorEnv[Any, Any, Any], n_steps: int) -> list[tuple[int, int, float, str]]:
    """Return step, environment, reward and id of every end under fixed actions."""
    ends = []
    for step in range(1, n_steps + 1):
        actions = (np.arange(env.num_envs) + step) % 16
        _, rewards, terminated, _, infos = env.step(actions)
        ids = infos.get("final_info", infos).get("utterance_id")
        for row in np.flatnonzero(terminated).tolist():
            ends.append((step, row, float(rewards[row]), ids[row]))
        if env.metadata["autoreset_mode"] is DISABLED and terminated.any():
            env.reset(options={"reset_mask": terminated})
    return ends


@pytest.mark.parametrize("metrics", [True, False])
@pytest.mark.parametrize("mode", [NEXT, SAME, DISABLED])
def test_deferred_scores_equal_those_paid_at_once(
    tiny_task: AnimationTask, mode: AutoresetMode, metrics: bool
) -> None:
    """Paid to the wrong step or environment, they would still teach something."""
    settings: dict[str, Any] = {
        "task": tiny_task,
        "reward": {"accuracy": 1.0, "lve": -0.5},
        "autoreset_mode": mode,
        "metrics": metrics,
    }
    paid = SpeechAnimationVectorEnv(3, **settings)
    deferred = SpeechAnimationVectorEnv(3, **settings, defer_rewards=True)
    for env in (paid, deferred):
        env.reset(seed=6)
    expected, owed = roll_out(paid, 75), roll_out(deferred, 75)
    assert len(owed) >= 4
    assert [end[:2] for end in owed] == [end[:2] for end in expected]
    assert {end[2] for end in owed} == {0.0}
    finished = deferred.score_finished()
    places = zip(finished.step.tolist(), finished.env.tolist(), strict=True)
    assert list(places) == [end[:2] for end in expected]
    np.testing.assert_allclose(finished.outcome.total, [end[2] for end in expected], rtol=1e-5)
    assert set(finished.outcome.terms) == {"accuracy", "lve"}
    assert set(finished.outcome.errors) == ({"lve", "eve"} if metrics else set())


def test_finished_trajectories_are_what_was_written(tiny_task: AnimationTask) -> None:
    """A trainer computes its probabilities for these tokens, under this condition."""
    reward = OneTrap(0.75)
    env = SpeechAnimationVectorEnv(4, task=tiny_task, reward=reward, defer_rewards=True)
    env.reset(seed=6, options={"emotion": "fear", "utterance": [6, 4, 1, 6]})
    ends = roll_out(env, 110)
    finished = env.score_finished()
    written, lengths = finished.trajectories.tokens, finished.trajectories.lengths
    utterances = finished.trajectories.utterance
    assert [tiny_task.corpus.records[index].id for index in utterances] == [e[3] for e in ends]
    np.testing.assert_array_equal(lengths, tiny_task.lengths[utterances])
    begun: dict[int, int] = {}
    for row, (step, number, _, _) in enumerate(ends):
        first = begun.get(number, 0) + 1
        expected = (np.arange(first, step + 1) + number) % 16
        assert written[row, : lengths[row]].tolist() == expected.tolist()
        assert (written[row, lengths[row] :] == -1).all()
        begun[number] = step + 1  # the step after an end only begins
    emotion = finished.trajectories.condition[:, :9].argmax(axis=1)
    assert (emotion[:4] == 5).all(), "fear, as asked for"
    assert finished.outcome.total.tolist() == (utterances / 8).tolist()


@pytest.mark.parametrize("defer", [True, False])
def test_trajectories_hold_what_their_checks_ask_for(tiny_task: AnimationTask, defer: bool) -> None:
    """The environment leaves the checks out; rewards rely on them all the same."""
    seen: list[Trajectories] = []

    class Watching(OneTrap):
        def score(self, trajectories: Trajectories) -> np.ndarray:
            seen.append(trajectories)
            return super().score(trajectories)

    env = SpeechAnimationVectorEnv(
        4, task=tiny_task, reward=Watching(0.5), defer_rewards=defer, metrics=False
    )
    env.reset(seed=1, options={"utterance": [6, 2, 6, 4]})
    roll_out(env, 110)
    if defer:
        env.score_finished()
    assert max(len(batch) for batch in seen) >= 2
    for batch in seen:
        checked = Trajectories(batch.utterance, batch.tokens, batch.lengths, batch.condition)
        assert checked.tokens.shape[1] == checked.lengths.max(), "no wider than it must be"
        dtypes = [array.dtype for array in vars(batch).values()]
        assert dtypes == [np.int64, np.int64, np.int64, np.float32]
        assert len(batch[:1]) == 1
        assert len(Trajectories.concatenate([batch, batch])) == 2 * len(batch)


def test_deferred_infos_lack_the_scores(tiny_task: AnimationTask) -> None:
    """A 0 under `rewards` would be averaged by every logger."""
    reward = OneTrap()
    env = SpeechAnimationVectorEnv(
        2, task=tiny_task, reward=reward, defer_rewards=True, autoreset_mode=SAME
    )
    env.reset(seed=0, options={"utterance": 6})
    for _ in range(20):
        infos = env.step([1, 1])[4]
    known = {key for key in infos["final_info"] if not key.startswith("_")}
    assert known == {"tokens", "utterance_id"}
    assert reward.n_calls == 0


def test_finished_episodes_are_scored_once(tiny_task: AnimationTask) -> None:
    """Handed out twice, an episode would count twice in an update."""
    env = SpeechAnimationVectorEnv(2, task=tiny_task, reward=OneTrap(), defer_rewards=True)
    empty = "no episode has ended since the last call of `score_finished` or `reset`; call `step`"
    with pytest.raises(RuntimeError, match=re.escape(empty)):
        env.score_finished()
    env.reset(options={"utterance": [2, 0]})  # 24 and 36 steps
    roll_out(env, 24)
    assert env.score_finished().step.tolist() == [24]
    with pytest.raises(RuntimeError, match=re.escape(empty)):
        env.score_finished()
    roll_out(env, 12)
    finished = env.score_finished()
    assert (finished.env.tolist(), finished.step.tolist()) == ([1], [36])
    env.reset(options={"utterance": [2, 0]})
    roll_out(env, 24)
    env.reset()
    with pytest.raises(RuntimeError, match=re.escape(empty)):
        env.score_finished()


def test_a_reset_of_some_keeps_what_the_others_finished(tiny_task: AnimationTask) -> None:
    """Without autoreset every end is followed by one, so every score would be lost."""
    env = SpeechAnimationVectorEnv(
        2, task=tiny_task, reward=OneTrap(), defer_rewards=True, autoreset_mode=DISABLED
    )
    env.reset(options={"utterance": [2, 0]})
    roll_out(env, 40)
    finished = env.score_finished()
    assert finished.env.tolist()[:2] == [0, 1]
    assert finished.step.tolist()[:2] == [24, 36]


def test_scores_that_are_not_deferred_cannot_be_asked_for(tiny_task: AnimationTask) -> None:
    """They were paid; to pay them again would double them."""
    env = SpeechAnimationVectorEnv(2, task=tiny_task, reward=OneTrap())
    env.reset(options={"utterance": 2})
    roll_out(env, 24)
    message = (
        "`score_finished` needs an environment made with `defer_rewards=True`, "
        "this one was made with False"
    )
    with pytest.raises(RuntimeError, match=re.escape(message)):
        env.score_finished()


def test_a_deferred_reward_that_fails_can_be_asked_again(tiny_task: AnimationTask) -> None:
    """An hour of roll-outs must not be lost to a server that was away."""
    reward = OneTrap()
    env = SpeechAnimationVectorEnv(3, task=tiny_task, reward=reward, defer_rewards=True)
    env.reset(options={"utterance": [6, 2, 6]})
    ends = roll_out(env, 24)
    for _ in range(2):
        with pytest.raises(RewardError, match="'cleo-06'"):
            env.score_finished()
    reward.mended = True
    finished = env.score_finished()
    assert finished.env.tolist() == [end[1] for end in ends] == [0, 2, 1]
    assert finished.outcome.total.tolist() == [0.75, 0.75, 0.25]


FAILURES = [
    (None, "reward 'OneTrap' must not raise, got ZeroDivisionError for 'cleo-06': no such face"),
    (np.nan, "reward 'OneTrap' must be finite, got nan for 'cleo-06'"),
    (-np.inf, "reward 'OneTrap' must be finite, got -inf for 'cleo-06'"),
]


@pytest.mark.parametrize("mode", [NEXT, SAME, DISABLED])
@pytest.mark.parametrize(("value", "message"), FAILURES)
def test_a_reward_that_fails_stops_all_cleanly(
    tiny_task: AnimationTask, value: float | None, message: str, mode: AutoresetMode
) -> None:
    """Half a step must neither be continued nor leave anything behind for the next episode."""
    reward = OneTrap(value)
    settings: dict[str, Any] = {"task": tiny_task, "autoreset_mode": mode, "metrics": False}
    env = SpeechAnimationVectorEnv(3, reward=reward, **settings)
    env.reset(seed=0, options={"utterance": [3, 6, 0]})
    roll_out(env, 19)
    with pytest.raises(RewardError, match=re.escape(message)):
        env.step([1, 2, 3])
    stopped = "or whose last step failed"
    for _ in range(2):
        with pytest.raises(ResetNeeded, match=re.escape(stopped)):
            env.step([1, 2, 3])
    some = np.array([False, True, False])
    with pytest.raises(ResetNeeded, match=re.escape("`reset_mask` must follow a reset of all")):
        env.reset(options={"reset_mask": some})
    reward.mended = True
    fresh = SpeechAnimationVectorEnv(3, reward=reward, **settings)
    for each in (env, fresh):
        each.reset(seed=3)
    assert roll_out(env, 80) == roll_out(fresh, 80)


@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_a_reward_that_fails_beside_a_beginning_stops_cleanly(
    tiny_task: AnimationTask, mode: AutoresetMode
) -> None:
    """One environment begins anew in the very step in which another one fails."""
    reward = OneTrap()
    settings: dict[str, Any] = {"task": tiny_task, "autoreset_mode": mode, "metrics": False}
    env = SpeechAnimationVectorEnv(2, reward=reward, split="validation", **settings)
    env.reset(seed=0, options={"utterance": [9, 8]})
    roll_out(env, 13)
    one = np.array([True, False])
    env.reset(options={"reset_mask": one, "utterance": 6})  # ends at step 33, after the other
    with pytest.raises(RewardError, match="cleo-06"):
        roll_out(env, 20)
    reward.mended = True
    fresh = SpeechAnimationVectorEnv(2, reward=reward, split="validation", **settings)
    for each in (env, fresh):
        each.reset(seed=3)
    assert roll_out(env, 80) == roll_out(fresh, 80)


@pytest.mark.parametrize(("value", "message"), FAILURES)
def test_a_reward_that_fails_stops_the_scalar_one_cleanly(
    tiny_task: AnimationTask, value: float | None, message: str
) -> None:
    """The episode has ended, though nobody was paid."""
    reward = OneTrap(value)
    env = SpeechAnimationEnv(task=tiny_task, reward=reward, metrics=False)
    env.reset(seed=0, options={"utterance": 6})
    for _ in range(19):
        env.step(1)
    with pytest.raises(RewardError, match=re.escape(message)):
        env.step(1)
    with pytest.raises(ResetNeeded, match=re.escape("`step` must follow `reset`")):
        env.step(1)
    reward.mended = True
    obs, _ = env.reset(options={"utterance": 6})
    assert obs["last_tokens"].tolist() == [-1] * 4
    for step in range(20):
        _, paid, terminated, _, info = env.step(step % 16)
    assert (paid, terminated) == (0.75, True)
    assert info["tokens"][:20].tolist() == [step % 16 for step in range(20)]


def test_infos_of_all_environments_are_copies() -> None:
    """Scores that are not known yet share one array of zeros: who writes into one finds all."""
    unknown, every = np.zeros(3), np.ones(3, dtype=np.bool_)
    infos: Infos = {}
    add_infos(infos, {"a": unknown, "b": unknown}, np.arange(3), mask=every)
    infos["a"][1] = 7
    assert infos["b"].tolist() == unknown.tolist() == [0, 0, 0]
    assert infos["a"].tolist() == [0, 7, 0]
    assert infos["_a"].tolist() == [True] * 3
