"""Advantages by stream: each half of the face answers for its own score, in every algorithm."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.common.advantages import filled_by_stream, terminal_gae
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer

Env = gymnasium.Env[Any, Any]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
MakeBatch = Callable[..., EpisodeBatch]
Learn = Callable[..., dict[str, float]]

BASELINES = ("leave_one_out", "mean", "none", "moving_mean")
VARIANTS: list[tuple[type[SequenceAlgorithm], dict[str, Any]]] = [
    (SequencePPO, {}),
    (SequencePPO, {"samples_per_utterance": 1, "gae_lambda": 0.9, "gamma": 0.9}),
    (SequenceGRPO, {}),
    *((SequenceReinforce, {"baseline": name}) for name in BASELINES),
]
GREEDY = (SequenceReinforce, {"baseline": "greedy"})


def _with_streams(batch: EpisodeBatch, **scores: list[float]) -> EpisodeBatch:
    arrays = {name: np.array(each, np.float32) for name, each in scores.items()}
    return replace(batch, stream_scores=arrays, scores=sum(arrays.values()))


def test_advantages_run_along_the_tokens_of_a_stream(make_batch: MakeBatch) -> None:
    """Slots mouth, mouth, upper: columns 0, 1, 3, 4 and 2, 5 are two episodes, each with its end.

    Bootstrapped across streams, the mouth would learn from what the brows are worth.
    """
    batch = _with_streams(make_batch(6, 3), mouth=[1.0, 2.0], upper=[-3.0, 5.0])
    columns = {"mouth": [0, 1, 3, 4], "upper": [2, 5]}
    lengths = {"mouth": np.array([4, 2]), "upper": np.array([2, 1])}
    seen: list[str | None] = []

    def fill(part: EpisodeBatch) -> EpisodeBatch:
        seen.append(part.stream)
        advantages, returns = terminal_gae(
            part.scores, part.values, part.lengths, gamma=0.9, gae_lambda=0.8
        )
        return replace(part, advantages=advantages, returns=returns)

    filled = filled_by_stream(batch, ("mouth", "mouth", "upper"), fill)
    assert seen == ["mouth", "upper"]
    for name, places in columns.items():
        advantages, returns = terminal_gae(
            batch.stream_scores[name],
            batch.values[:, places],
            lengths[name],
            gamma=0.9,
            gae_lambda=0.8,
        )
        np.testing.assert_array_equal(filled.advantages[:, places], advantages)
        np.testing.assert_array_equal(filled.returns[:, places], returns)
    assert filled.stream is None
    for name in ("tokens", "lengths", "scores", "values"):
        assert getattr(filled, name) is getattr(batch, name), name


@pytest.mark.parametrize(("kind", "settings"), [*VARIANTS, GREEDY])
def test_a_stream_does_not_hear_of_the_other(
    env: Env, make_algorithm: MakeAlgorithm, kind: type[SequenceAlgorithm], settings: dict[str, Any]
) -> None:
    """That is all there is to it, and a sum of both scores anywhere would undo it."""
    algorithm = make_algorithm(kind, env, stream_advantages=True, n_episodes=24, **settings)
    batch = algorithm._write_episodes()
    np.testing.assert_allclose(sum(batch.stream_scores.values()), batch.scores, atol=1e-6)
    rng = np.random.default_rng(0)
    other = rng.random(24).astype(np.float32)
    changed = replace(batch, stream_scores={**batch.stream_scores, "upper": other})
    one, two = algorithm._filled(batch), algorithm._filled(changed)
    mouth = np.arange(batch.tokens.shape[1]) % 2 == 0
    for name in ("advantages", "returns"):
        first, second = getattr(one, name), getattr(two, name)
        np.testing.assert_array_equal(first[:, mouth], second[:, mouth])
        assert not np.array_equal(first[:, ~mouth], second[:, ~mouth])
        assert (first[~batch.inside] == 0).all()


@pytest.mark.parametrize(("kind", "settings"), VARIANTS)
def test_a_stream_is_filled_as_an_episode_of_its_own(
    env: Env,
    make_algorithm: MakeAlgorithm,
    kind: type[SequenceAlgorithm],
    settings: dict[str, Any],
) -> None:
    """Values must be fitted to the return of their own stream, baselines to its scores."""
    algorithm = make_algorithm(kind, env, stream_advantages=True, n_episodes=24, **settings)
    batch = algorithm._write_episodes()
    filled = algorithm._filled(batch)
    plain = make_algorithm(kind, env, n_episodes=24, **settings)
    for start, name in enumerate(("mouth", "upper")):
        every_second = slice(start, None, 2)
        alone = EpisodeBatch(
            utterances=batch.utterances,
            condition=batch.condition,
            tokens=batch.tokens[:, every_second],
            lengths=batch.lengths // 2,
            log_probs=batch.log_probs[:, every_second],
            values=batch.values[:, every_second],
            scores=batch.stream_scores[name],
            advantages=batch.advantages[:, every_second],
            returns=batch.returns[:, every_second],
        )
        expected = plain.compute_advantages(alone)
        np.testing.assert_array_equal(filled.advantages[:, every_second], expected.advantages)
        np.testing.assert_array_equal(filled.returns[:, every_second], expected.returns)


def test_a_moving_mean_is_kept_by_stream(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """The mean of the whole score taken off a half of it leaves every advantage negative."""
    algorithm = make_algorithm(
        SequenceReinforce, env, baseline="moving_mean", stream_advantages=True, n_episodes=48
    )
    learn(algorithm)
    first = algorithm.batch
    learn(algorithm)
    second = algorithm.batch
    assert first is not None and second is not None
    for column, name in enumerate(("mouth", "upper")):
        expected = second.stream_scores[name] - first.stream_scores[name].mean()
        np.testing.assert_allclose(second.advantages[:, column], expected, atol=1e-6)


def test_scores_by_stream_are_logged_and_kept(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """Which half gets better is what one wants to see."""
    algorithm = make_algorithm(SequencePPO, env, stream_advantages=True)
    logged = learn(algorithm)
    buffer = algorithm.rollout_buffer
    assert isinstance(buffer, EpisodeBuffer)
    for name in ("mouth", "upper"):
        assert logged[f"rollout/score_{name}"] == pytest.approx(buffer.stream_scores[name].mean())
    assert logged["rollout/score"] == pytest.approx(
        logged["rollout/score_mouth"] + logged["rollout/score_upper"]
    )
    chosen = buffer.episodes(np.array([3, 1]))
    np.testing.assert_array_equal(
        chosen.stream_scores["upper"], buffer.stream_scores["upper"][[3, 1]]
    )


def test_scores_of_other_episodes_are_rejected(make_batch: MakeBatch) -> None:
    """The half-scores of other episodes would train this policy."""
    batch = make_batch(3, 2)
    rule = "`stream_scores[mouth]` must have 2 rows, got 3"
    with pytest.raises(ValueError, match=re.escape(rule)):
        replace(batch, stream_scores={"mouth": np.zeros(3, np.float32)})


@pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce, SequenceGRPO])
def test_a_reward_without_streams_is_refused_at_once(
    env: Env,
    make_algorithm: MakeAlgorithm,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[SequenceAlgorithm],
) -> None:
    """Quietly taking the whole score instead is believed to have been the better method."""
    monkeypatch.delattr(type(env.unwrapped), "reward_streams")
    rule = "`stream_advantages` must have a reward that gives streams (`streams`), got "
    with pytest.raises(ValueError, match=re.escape(rule) + ".*leave `stream_advantages` False"):
        make_algorithm(kind, env, stream_advantages=True)
    make_algorithm(kind, env)


def test_a_task_without_streams_is_refused_at_once(
    env: Env, task: SequenceTask, make_algorithm: MakeAlgorithm
) -> None:
    """Nobody could say whose token it is."""
    del task.token_streams  # type: ignore[attr-defined]
    rule = "`stream_advantages` must have a task with `token_streams`, got "
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_algorithm(SequencePPO, env, stream_advantages=True)


def test_streams_that_no_token_belongs_to_are_refused(make_batch: MakeBatch) -> None:
    """Their score would be paid to nobody."""
    batch = _with_streams(make_batch(4, 2), mouth=[1.0, 2.0], brows=[1.0, 1.0])
    rule = (
        "`score_streams` must score the streams ['mouth', 'upper'] of the task, "
        "got ['brows', 'mouth']"
    )
    with pytest.raises(ValueError, match=re.escape(rule)):
        filled_by_stream(batch, ("mouth", "upper"), lambda part: part)
