"""Spread of samples as a part of the reward: its gradient is that of minus the energy score."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.spread import with_spread
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.reinforce import SequenceReinforce
from esarm_env.core.errors import InputError

Env = gymnasium.Env[Any, Any]
Make = Callable[..., Any]
Learn = Callable[..., dict[str, float]]

N_SEQUENCES = 8  # of three binary tokens, each drawn for itself


@pytest.mark.parametrize("n_samples", [3, 4])
@pytest.mark.parametrize("credit", ["terminal", "chunk"])
def test_the_expected_gradient_is_that_of_minus_the_energy_score(
    rng: np.random.Generator,
    make_task: Make,
    make_env: Make,
    make_algorithm: Make,
    make_batch: Make,
    credit: str,
    n_samples: int,
) -> None:
    """Over every group of samples there is. The reward is minus an error, by token.

    Credited with half the distances, or with a baseline that holds the sample's own, it would be
    another objective, whose optimum is too narrow: the factor is seen by this test.
    """
    sequences = np.array(list(itertools.product((0, 1), repeat=3)))
    ones = rng.uniform(0.2, 0.8, size=3)  # probability of a 1, by place
    probability = np.where(sequences, ones, 1 - ones).prod(1)
    errors = rng.uniform(size=(3, 2))[np.arange(3), sequences]  # (8, 3)
    apart = (sequences[:, None] != sequences) * rng.uniform(0.5, 1.5, size=3)  # (8, 8, 3)
    score_function = sequences - ones  # gradient by the logit of each place
    expected = np.einsum("n,n,np->p", probability, -errors.sum(1), score_function)
    pairs = probability[:, None] * probability
    both = score_function[:, None] + score_function
    expected += np.einsum("nm,nm,nmp->p", pairs, apart.sum(2) / 2, both)

    groups = np.array(list(itertools.product(range(N_SEQUENCES), repeat=n_samples)))
    rows = groups.ravel()
    distances = apart[groups[:, :, None], groups[:, None]].sum(2) / (n_samples - 1)
    batch = make_batch(
        *[3] * len(rows),
        utterances=np.repeat(np.arange(len(groups)), n_samples),
        tokens=sequences[rows],
        scores=-errors[rows].sum(1).astype(np.float32),
        chunk_scores=-errors[rows].astype(np.float32)[:, :, None],
        chunk_streams=("whole",),
        distances=distances.reshape(len(rows), 3, 1).astype(np.float32),
    )
    algorithm = make_algorithm(
        SequenceReinforce,
        make_env(make_task(4, tokens_per_chunk=1)),
        n_episodes=4 * n_samples,
        samples_per_utterance=n_samples,
        spread_coef=1.0,
        credit=credit,
        chunk_discount=1.0,
        look_ahead_chunks=0,
    )
    filled = algorithm._filled(batch)
    weights = probability[groups].prod(1).repeat(n_samples) / n_samples
    found = np.einsum("n,np,np->p", weights, filled.advantages, score_function[rows])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected).min() > 1e-3, "the test needs a gradient"
    for name in ("scores", "chunk_scores", "chunk_streams", "stream_scores"):
        assert getattr(filled, name) is getattr(batch, name), name


def test_the_spread_is_added_to_the_stream_that_it_is_of(make_batch: Make) -> None:
    """Four samples of an utterance: with a weight of 2, distances count 2 * 3 / 2 times."""
    distances = np.zeros((4, 2, 2), np.float32)
    distances[0] = [[1, 10], [2, 20]]
    batch = make_batch(
        *[4] * 4,
        utterances=np.full(4, 7),
        scores=np.ones(4, np.float32),
        stream_scores={"upper": np.ones(4, np.float32), "whole": np.zeros(4, np.float32)},
        chunk_scores=np.zeros((4, 2, 2), np.float32),
        chunk_streams=("upper", "whole"),
        distances=distances,
    )
    paid = with_spread(batch, ("mouth", "upper"), spread_coef=2.0)
    np.testing.assert_array_equal(paid.scores, [1 + 3 * 33, 1, 1, 1])
    np.testing.assert_array_equal(paid.stream_scores["upper"], [1 + 3 * 30, 1, 1, 1])
    np.testing.assert_array_equal(paid.stream_scores["whole"], np.zeros(4))
    assert paid.chunk_streams == ("upper", "whole", "mouth", "upper")
    np.testing.assert_array_equal(paid.chunk_scores[0], [[0, 0, 3, 30], [0, 0, 6, 60]])


@pytest.mark.parametrize("kind", [SequencePPO, SequenceGRPO, SequenceReinforce])
@pytest.mark.parametrize("settings", [{}, {"stream_advantages": True}, {"credit": "chunk"}])
def test_every_algorithm_is_told_of_the_spread(
    env: Env,
    make_algorithm: Make,
    learn: Learn,
    kind: type[SequenceAlgorithm],
    settings: dict[str, Any],
) -> None:
    """The score that is logged stays the reward's, and the spread stands beside it."""
    algorithm = make_algorithm(kind, env, spread_coef=0.5, **settings)
    logged = learn(algorithm)
    batch = algorithm.batch
    assert batch is not None and batch.distances is not None
    assert batch.distances.shape == (16, batch.tokens.shape[1] // 2, 2)
    assert logged["rollout/spread"] == pytest.approx(batch.distances.sum((1, 2)).mean())
    assert logged["rollout/score"] == pytest.approx(batch.scores.mean())
    plain = make_algorithm(kind, env, **settings)._filled(batch)
    told = algorithm._filled(batch)
    assert not np.array_equal(told.advantages, plain.advantages)
    chosen = algorithm.rollout_buffer.episodes(np.array([5, 2]))
    np.testing.assert_array_equal(chosen.distances, batch.distances[[5, 2]])
    with pytest.raises(ValueError, match=re.escape("`distances` must have 2 rows, got 16")):
        replace(chosen, distances=batch.distances)


def test_it_is_saved_and_older_files_load_without(
    env: Env, make_algorithm: Make, tmp_path: Path
) -> None:
    """A run that is resumed without it is another run."""
    algorithm = make_algorithm(SequencePPO, env, spread_coef=0.5)
    algorithm.save(tmp_path / "new")
    assert SequencePPO.load(tmp_path / "new", env=env).spread_coef == 0.5
    algorithm.save(tmp_path / "old", exclude=["spread_coef"])
    assert SequencePPO.load(tmp_path / "old", env=env).spread_coef == 0


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (SequencePPO, {"spread_coef": -1}, "`spread_coef` must be finite and at least 0, got -1"),
        (SequencePPO, {"spread_coef": float("nan")}, "must be finite and at least 0, got nan"),
        (
            SequenceGRPO,
            {"spread_coef": 1, "samples_per_utterance": 2},
            "`samples_per_utterance` must be at least 3 with `spread_coef`, got 2",
        ),
        (
            SequenceReinforce,
            {"spread_coef": 1, "baseline": "mean"},
            "`baseline` must be leave_one_out with `spread_coef`, got 'mean'",
        ),
    ],
)
def test_settings_out_of_range_are_refused(
    env: Env, make_algorithm: Make, kind: type[SequenceAlgorithm], settings: Any, message: str
) -> None:
    """At once, before anything is written."""
    with pytest.raises(ValueError, match=re.escape(message)):
        make_algorithm(kind, env, **settings)


class Scaled(gymnasium.RewardWrapper):  # type: ignore[type-arg]
    """Pays another unit."""

    def reward(self, reward: Any) -> Any:
        return 10 * reward


def test_environments_without_distances_or_of_another_unit_are_refused(
    env: Env, make_algorithm: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum of an error in one unit and a distance in another is proper for nothing."""
    message = "`spread_coef` must be 0 where wrappers may change the score, whose unit is no longer"
    with pytest.raises(InputError, match=re.escape(message) + ".*got `Scaled`"):
        make_algorithm(SequencePPO, Scaled(env), spread_coef=1)
    monkeypatch.delattr(type(env.unwrapped.sequence_task), "sample_distances")
    with pytest.raises(InputError, match="must be 0 where the task has no `sample_distances`"):
        make_algorithm(SequencePPO, env, spread_coef=1)
