"""Whoever writes the episodes, they are the same to the last bit, and so is what is learnt."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents import (
    RayCollector,
    SequenceDistillation,
    SequenceGRPO,
    SequencePPO,
    SequenceReinforce,
    TrainingFault,
)
from agents.collectors.collector import LOCAL
from agents.collectors.parts import joined_parts, rows_of_parts
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.network.acceleration import Acceleration
from agents.rollout.buffer import EpisodeBatch
from esarm_env.core.errors import InputError
from esarm_env.core.workers.pool import BY_VALUE, send_by_value

MakeCollector = Callable[[int], RayCollector]


@pytest.fixture
def make_collector(three_workers: Any, task: Any) -> Iterator[MakeCollector]:
    """Return a function that makes a collector of so many of the tests' workers."""
    modules = {__name__, type(task).__module__}  # workers cannot import tests
    for module in modules:
        send_by_value(module)

    def make(n_workers: int) -> RayCollector:
        made = RayCollector(n_workers)
        if n_workers:
            three_workers.n_workers = n_workers
            made._pool = three_workers
        return made

    yield make
    three_workers.n_workers = 3
    BY_VALUE.difference_update(modules)


def learnt(
    make_algorithm: Callable[..., SequenceAlgorithm],
    kind: Any,
    env: Any,
    collector: Any,
    **more: Any,
) -> tuple[EpisodeBatch, dict[str, torch.Tensor]]:
    """Return the second roll-out of an algorithm, and its weights after it."""
    algorithm = make_algorithm(kind, env, n_episodes=96, collector=collector, **more)
    algorithm.learn(400)
    assert algorithm.batch is not None and algorithm.n_iterations == 2
    return algorithm.batch, algorithm.model.state_dict()


def check_equal(ours: Any, theirs: Any) -> None:
    """Check that two roll-outs and the weights after them are the same to the last bit."""
    for name, array in vars(ours[0]).items():
        np.testing.assert_equal(array, getattr(theirs[0], name), err_msg=name)
    assert all(torch.equal(ours[1][name], theirs[1][name]) for name in ours[1])


@pytest.mark.parametrize(
    ("kind", "settings", "counts"),
    [
        (SequencePPO, {}, (1, 2, 3)),
        (SequenceReinforce, {"baseline": "greedy"}, (2,)),
        (SequenceGRPO, {}, (2,)),
        (SequenceDistillation, {"teacher": "best-of-n"}, (3,)),
    ],
)
def test_episodes_and_weights_do_not_depend_on_the_number_of_workers(
    make_algorithm: Any,
    make_collector: MakeCollector,
    env: gymnasium.Env[Any, Any],
    kind: type[SequenceAlgorithm],
    settings: dict[str, Any],
    counts: tuple[int, ...],
) -> None:
    """Else a run on a cluster is another experiment than the one on the desk."""
    expected = learnt(make_algorithm, kind, env, None, **settings)
    check_equal(learnt(make_algorithm, kind, env, make_collector(0), **settings), expected)
    for n_workers in counts:
        found = learnt(make_algorithm, kind, env, make_collector(n_workers), **settings)
        check_equal(found, expected)


class KillsOnce:
    """Scores 0.5, and kills the process that scores first."""

    def __init__(self, mark: Path) -> None:
        self.mark, self.driver = mark, os.getpid()

    def __call__(self, utterances: Any, tokens: Any, lengths: Any, condition: Any) -> Any:
        if os.getpid() != self.driver and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full(len(tokens), 0.5, dtype=np.float32)


def test_a_killed_worker_changes_nothing(
    make_algorithm: Any, make_collector: MakeCollector, env: Any, tmp_path: Path
) -> None:
    """The part is done again from the same seeds."""
    env.unwrapped.score_tokens = KillsOnce(tmp_path / "mark")
    expected = learnt(make_algorithm, SequencePPO, env, None)
    check_equal(learnt(make_algorithm, SequencePPO, env, make_collector(2)), expected)
    assert (tmp_path / "mark").exists()


def not_a_number(utterances: Any, tokens: Any, lengths: Any, condition: Any) -> Any:
    return np.where(utterances == 3, np.nan, 0.5).astype(np.float32)


def test_faults_of_scores_are_those_of_this_process(
    make_algorithm: Any,
    make_collector: MakeCollector,
    env: Any,
    monkeypatch: pytest.MonkeyPatch,
    three_workers: Any,
) -> None:
    """Who catches a `TrainingFault` must catch it from workers, too."""
    monkeypatch.setattr(three_workers, "close", lambda: None)
    env.unwrapped.score_tokens = not_a_number
    algorithm = make_algorithm(SequencePPO, env, n_episodes=48, collector=make_collector(2))
    rule = "scores must be finite, got nan for utterances [3], at step 0 (iteration 0); no"
    with pytest.raises(TrainingFault, match=re.escape(rule)):
        algorithm.learn(1)


def halves(utterances: Any, tokens: Any, lengths: Any, condition: Any) -> Any:
    return np.full(len(tokens), 0.5, dtype=np.float32)


def test_another_reward_reaches_the_workers(
    make_algorithm: Any, make_collector: MakeCollector, env: Any
) -> None:
    """Workers keep what they were sent, and would go on with the old one."""
    algorithm = make_algorithm(SequencePPO, env, n_episodes=8, collector=make_collector(2))
    algorithm.learn(1)
    env.unwrapped.score_tokens = halves
    algorithm.learn(1)
    assert algorithm.batch is not None and set(algorithm.batch.scores.tolist()) == {0.5}


class Louder(gymnasium.RewardWrapper[Any, Any]):
    """Must be played: it changes rewards."""

    def reward(self, reward: Any) -> float:
        return 2 * float(reward)


def test_wrappers_are_honoured_or_refused_by_name(
    make_algorithm: Any, make_collector: MakeCollector, make_env: Any, task: Any
) -> None:
    """A wrapper that is passed over without a word trains on another reward."""
    played = make_algorithm(
        SequencePPO, Louder(make_env(task)), n_episodes=8, collector=make_collector(2)
    )
    with pytest.raises(InputError, match=r"`collector` must be local .* and `Louder`"):
        played.learn(1)
    seen = []
    for collector in (None, make_collector(2)):
        env = VecNormalize(DummyVecEnv([lambda: Monitor(make_env(task))]), norm_obs=False)
        algorithm = make_algorithm(SequencePPO, env, n_episodes=64, collector=collector)
        algorithm.learn(1)
        seen.append((algorithm.batch, env.venv.envs[0].get_episode_rewards()))
    assert np.array_equal(seen[0][0].scores, seen[1][0].scores) and seen[0][1] == seen[1][1]
    assert len(seen[1][1]) == 64, "the monitor must note all episodes"


def test_what_a_collector_cannot_do_is_refused(
    make_algorithm: Any, make_collector: MakeCollector, env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings are honoured or refused."""
    with pytest.raises(InputError, match="`n_workers` must be a whole number of at least 0"):
        RayCollector(-1)
    with pytest.raises(InputError, match=re.escape("`collector` must be None or have `collect`")):
        make_algorithm(SequencePPO, env, collector=3)
    algorithm = make_algorithm(SequencePPO, env, collector=make_collector(1))
    algorithm.acceleration = Acceleration(bf16=True)
    with pytest.raises(InputError, match="`acceleration` must be plain with workers"):
        algorithm.learn(1)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'esarm[ray]'")):
        RayCollector(1)


def test_a_saved_algorithm_has_no_collector(
    make_algorithm: Any, make_collector: MakeCollector, env: Any, tmp_path: Path
) -> None:
    """A file says nothing of the machine it is loaded on."""
    collector = make_collector(1)
    make_algorithm(SequencePPO, env, collector=collector).save(tmp_path / "agent")
    assert SequencePPO.load(tmp_path / "agent", env=env).collector is LOCAL
    loaded = SequencePPO.load(tmp_path / "agent", env=env, collector=collector)
    assert loaded.collector is collector


def test_parts_rest_on_lengths_alone_and_join_again(make_batch: Any) -> None:
    """Rows that come back in another order give every episode another's score."""
    lengths = np.tile([4, 2, 8], 25)
    rows = rows_of_parts(lengths, 32)
    assert [len(each) for each in rows] == [32, 32, 11]
    assert sorted(np.concatenate(rows).tolist()) == list(range(75))
    assert lengths[rows[0]].max() <= lengths[rows[1]].min()
    assert all((np.diff(each) > 0).all() for each in rows), "within a part, as they came"
    batch = make_batch(*lengths.tolist())
    parts = [
        EpisodeBatch(
            **{
                name: getattr(batch, name)[each][:, : lengths[each].max()]
                for name in ("tokens", "log_probs", "values", "advantages", "returns")
            },
            **{
                name: getattr(batch, name)[each]
                for name in ("utterances", "condition", "lengths", "scores")
            },
        )
        for each in rows
    ]
    joined = joined_parts(parts[::-1], rows[::-1])
    for name in ("tokens", "log_probs", "utterances", "condition", "lengths", "scores"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(batch, name))
