"""Callbacks of Stable-Baselines3 see the steps of a vector environment, and fire when they say."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    StopTrainingOnMaxEpisodes,
)
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from agents import BehaviourCloning, EpisodeBatch, SequenceAlgorithm, SequencePPO
from agents.common.callback_frequencies import CallbackFrequencyWarning
from agents.protocols import SequenceTask
from agents.rollout.episodes import vec_env_steps

MakeEnv = Callable[..., gymnasium.Env[Any, Any]]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
PER_ITERATION = 192  # tokens of all 12 utterances, 4 times each


class Notes(BaseCallback):
    """Keeps what the locals tell of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[list[float], list[bool], list[dict[str, Any]]]] = []
        self.batches: list[EpisodeBatch] = []

    def _on_step(self) -> bool:
        rewards, dones = self.locals["rewards"].tolist(), self.locals["dones"].tolist()
        self.steps.append((rewards, dones, self.locals["infos"]))
        self.batches.append(self.locals["batch"])
        return True


def vectorised(make_env: MakeEnv, task: SequenceTask, n_envs: int) -> DummyVecEnv:
    return DummyVecEnv([lambda: Monitor(make_env(task)) for _ in range(n_envs)])


def test_one_environment_plays_the_episodes_one_after_the_other(make_batch: Any) -> None:
    """A score that came before its last token would pay for what was not written yet."""
    batch = make_batch(2, 3)
    steps = list(vec_env_steps(batch, n_envs=1))
    assert [rewards.tolist() for rewards, _, _ in steps] == [[0], [0], [0], [0], [0.125]]
    assert [dones.tolist() for _, dones, _ in steps] == [[False], [True], [False], [False], [True]]
    ends = {
        1: {"episode": {"r": 0.0, "l": 2, "t": 0.0}, "utterance": 100},
        4: {"episode": {"r": 0.125, "l": 3, "t": 0.0}, "utterance": 101},
    }
    assert [infos for _, _, infos in steps] == [[ends.get(number, {})] for number in range(5)]


def test_several_environments_play_side_by_side_until_each_is_through(make_batch: Any) -> None:
    """Environment 0 plays the episodes 0 and 2, environment 1 the episode 1 alone."""
    batch = make_batch(2, 5, 1)
    steps = list(vec_env_steps(batch, n_envs=2))
    shown = [dones.tolist() for _, dones, _ in steps]
    assert shown == [[False, False], [True, False], [True, False], [False], [True]]
    ended = [info["utterance"] for _, _, infos in steps for info in infos if info]
    assert ended == [100, 102, 101]
    assert sum(len(dones) for _, dones, _ in steps) == batch.lengths.sum()


@pytest.mark.parametrize("n_envs", [1, 4])
def test_the_locals_hold_rewards_dones_and_infos(
    make_env: MakeEnv, task: SequenceTask, make_algorithm: MakeAlgorithm, n_envs: int
) -> None:
    """Callbacks written for stock algorithms look there; they used to stop with a KeyError."""
    env, notes = vectorised(make_env, task, n_envs), Notes()
    algorithm = make_algorithm(SequencePPO, env, n_episodes=48)
    algorithm.learn(1, callback=notes)
    batch = algorithm.batch
    assert batch is not None and algorithm.num_timesteps == PER_ITERATION
    assert len(notes.steps) == notes.n_calls == PER_ITERATION // n_envs
    infos = [info for _, _, infos in notes.steps for info in infos if info]
    assert sum(sum(dones) for _, dones, _ in notes.steps) == len(infos) == 48
    np.testing.assert_allclose(
        sum(sum(rewards) for rewards, _, _ in notes.steps), batch.scores.sum(), rtol=1e-5
    )
    assert sorted(info["utterance"] for info in infos) == sorted(batch.utterances.tolist())
    assert all(len(each.scores) == 48 for each in notes.batches)


def test_training_stops_after_so_many_episodes(
    make_env: MakeEnv, task: SequenceTask, make_algorithm: MakeAlgorithm
) -> None:
    """SB3's `StopTrainingOnMaxEpisodes` counts `dones`, and asserted that there are some."""
    stop = StopTrainingOnMaxEpisodes(60)
    algorithm = make_algorithm(SequencePPO, make_env(task), n_episodes=48)
    algorithm.learn(10**6, callback=stop)
    assert stop.n_episodes == 60
    assert algorithm.n_iterations == 1, "the second is cut short after 12 of its episodes"


@pytest.mark.parametrize("n_envs", [1, 4])
def test_frequencies_count_tokens_per_environment(
    make_env: MakeEnv,
    task: SequenceTask,
    make_algorithm: MakeAlgorithm,
    n_envs: int,
    tmp_path: Path,
) -> None:
    """Counted in columns of tokens, a frequency of thousands was never reached, without a word."""
    env = vectorised(make_env, task, n_envs)
    watch = EvalCallback(
        vectorised(make_env, task, 1),
        eval_freq=100 // n_envs,
        n_eval_episodes=2,
        log_path=str(tmp_path),
        verbose=0,
    )
    keep = CheckpointCallback(100 // n_envs, str(tmp_path / "kept"), "agent")
    make_algorithm(SequencePPO, env, n_episodes=48).learn(2 * PER_ITERATION, callback=[watch, keep])
    evaluated = np.load(tmp_path / "evaluations.npz")["timesteps"].tolist()
    assert evaluated == [100, 200, 300]
    names = {path.name for path in (tmp_path / "kept").iterdir()}
    assert names == {f"agent_{n}_steps.zip" for n in evaluated}


def test_every_n_timesteps_counts_the_tokens_of_all_environments(
    make_env: MakeEnv, task: SequenceTask, make_algorithm: MakeAlgorithm
) -> None:
    """It looks at `num_timesteps`, not at calls: dividing by environments would be wrong here."""
    seen: list[int] = []

    class Note(BaseCallback):
        def _on_step(self) -> bool:
            seen.append(self.num_timesteps)
            return True

    env = vectorised(make_env, task, 4)
    algorithm = make_algorithm(SequencePPO, env, n_episodes=48)
    algorithm.learn(PER_ITERATION, callback=EveryNTimesteps(60, Note()))
    assert seen == [60, 120, 180]


def told(algorithm: Any, total: int | None, callback: BaseCallback) -> list[str]:
    """Return what is warned of before the first step; nothing is trained."""
    stop = CallbackList([callback, StopTrainingOnMaxEpisodes(1)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CallbackFrequencyWarning)
        algorithm.learn(total, callback=stop)
    return [str(each.message) for each in caught if each.category is CallbackFrequencyWarning]


def test_a_frequency_that_never_fires_warns(
    make_env: MakeEnv, task: SequenceTask, make_algorithm: MakeAlgorithm, tmp_path: Path
) -> None:
    """Folders stayed empty after hours, without a message; whole iterations count."""

    def warned(callback: BaseCallback, total: int, n_envs: int = 1) -> list[str]:
        env = vectorised(make_env, task, n_envs)
        return told(make_algorithm(SequencePPO, env, n_episodes=48), total, callback)

    def keep(every: int) -> CheckpointCallback:
        return CheckpointCallback(every, str(tmp_path))

    assert warned(keep(5000), 200) == [
        "`save_freq` of CheckpointCallback is 5000 calls (one per token) and this call of `learn` "
        "makes about 384: it never fires; lower it, or raise `total_timesteps`"
    ]
    assert warned(keep(384), 200) == [], "the second iteration is not cut"
    (four,) = warned(keep(100), 200, n_envs=4)
    assert "is 100 calls (one per token in each of 4 environments) and" in four
    assert "makes about 96: it" in four
    (steps,) = warned(EveryNTimesteps(385, keep(1)), 384)
    assert "`n_steps` of EveryNTimesteps is 385 steps and this call of `learn` makes about 384" in (
        steps
    )
    (inner,) = warned(EveryNTimesteps(100, keep(9)), 384)
    assert (
        "`save_freq` of CheckpointCallback is 9 calls (one per event of EveryNTimesteps)" in inner
    )
    assert "makes about 3: it" in inner
    used = keep(5000)
    used.n_calls = 4700
    assert warned(used, 384) == [], "a callback goes on counting from one `learn` to the next"
    used.n_calls = 4600
    assert "is 5000 calls (one per token), of which 400 are left, and" in warned(used, 384)[0]
    evaluation = EvalCallback(vectorised(make_env, task, 1), eval_freq=0)
    assert warned(evaluation, 384) == [], "0 switches it off"


def test_cloning_calls_back_once_an_epoch(
    make_env: MakeEnv, task: SequenceTask, tmp_path: Path
) -> None:
    """A frequency in tokens, as one knows it from the other algorithms, is thousands of epochs."""
    clone = BehaviourCloning("MotionPolicy", make_env(task), n_epochs=2, seed=0)
    rule = re.escape("is 1000 calls (one per epoch) and this call of `learn` makes about 2: it ne")
    with pytest.warns(CallbackFrequencyWarning, match=rule):
        clone.learn(callback=CheckpointCallback(1000, str(tmp_path)))
