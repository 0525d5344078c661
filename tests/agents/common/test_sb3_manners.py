"""Stable-Baselines3's own callbacks, loggers and evaluation, on our trainers as on its own."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import (
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.common.checked_algorithm import TokenProgressBar
from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.decoding import Decoding
from agents.rollout.episodes import write_episodes
from esarm_env.core.seeds import sequence_seeds

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeAlgorithm = Callable[..., SequenceAlgorithm]

PER_ITERATION = 192  # tokens of all 12 utterances, 4 times each
every = pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce, SequenceGRPO])


@pytest.fixture
def make(env: Env, make_algorithm: MakeAlgorithm) -> MakeAlgorithm:
    """Return a maker of algorithms of 48 episodes an iteration: `make(kind, **settings)`."""

    def made(kind: type[SequenceAlgorithm], **settings: Any) -> SequenceAlgorithm:
        return make_algorithm(kind, env, n_episodes=48, **settings)

    return made


@pytest.fixture
def evaluation_env(make_env: MakeEnv, task: SequenceTask) -> DummyVecEnv:
    """Return an environment of each of three utterances."""
    return DummyVecEnv([lambda each=each: Monitor(make_env(task, [each])) for each in range(3)])


@every
def test_checkpoints_are_written_and_load(
    make: MakeAlgorithm, tmp_path: Path, kind: type[SequenceAlgorithm]
) -> None:
    """One call per token, with the count of tokens in the name of the file."""
    algorithm = make(kind)
    algorithm.learn(
        3 * PER_ITERATION, callback=CheckpointCallback(PER_ITERATION, str(tmp_path), "agent")
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"agent_{n * PER_ITERATION}_steps.zip" for n in (1, 2, 3)]
    loaded = kind.load(tmp_path / names[1])
    assert loaded.num_timesteps == 2 * PER_ITERATION
    assert loaded.n_iterations == 1, "the second was written, not yet trained on"


@every
def test_a_reward_threshold_stops_the_training(
    make: MakeAlgorithm, evaluation_env: DummyVecEnv, tmp_path: Path, kind: type[SequenceAlgorithm]
) -> None:
    """Through `EvalCallback`, which steps the policy while it is being trained."""
    stop = StopTrainingOnRewardThreshold(0.8)
    watch = EvalCallback(
        evaluation_env,
        callback_on_new_best=stop,
        n_eval_episodes=3,
        eval_freq=PER_ITERATION,
        best_model_save_path=str(tmp_path),
        log_path=str(tmp_path),
        verbose=0,
    )
    algorithm = make(kind, learning_rate=1e-2)
    algorithm.learn(60 * PER_ITERATION, callback=CallbackList([watch]))
    assert algorithm.num_timesteps < 60 * PER_ITERATION
    assert watch.best_mean_reward >= 0.8
    logged = np.load(tmp_path / "evaluations.npz")
    assert logged["timesteps"].tolist() == [
        PER_ITERATION * (n + 1) for n in range(len(logged["timesteps"]))
    ]
    best = kind.load(tmp_path / "best_model.zip")
    assert evaluate_policy(best, evaluation_env, 3)[0] == pytest.approx(watch.best_mean_reward)


@every
@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_the_bar_of_progress_counts_tokens(
    make: MakeAlgorithm, monkeypatch: pytest.MonkeyPatch, kind: type[SequenceAlgorithm]
) -> None:
    """SB3's counts an environment's step a call, and would stand at 12 of 300 when all is done."""
    seen: list[tuple[float, float]] = []
    refresh = TokenProgressBar._on_training_end
    monkeypatch.setattr(
        TokenProgressBar,
        "_on_training_end",
        lambda bar: (seen.append((bar.pbar.n, bar.pbar.total)), refresh(bar)),
    )
    algorithm = make(kind)
    algorithm.learn(300, progress_bar=True)
    algorithm.learn(100, progress_bar=True, reset_num_timesteps=False)
    assert seen == [(300, 300), (100, 100)]
    assert algorithm.num_timesteps == 3 * PER_ITERATION


@every
def test_figures_reach_csv_and_tensorboard(
    make: MakeAlgorithm, tmp_path: Path, kind: type[SequenceAlgorithm]
) -> None:
    """A figure under another name, or at another step, is missing from every plot."""
    algorithm = make(kind, kl_coef=0.1)
    algorithm.set_logger(configure(str(tmp_path), ["csv", "tensorboard"]))
    algorithm.learn(4 * PER_ITERATION)
    algorithm.logger.close()
    with open(tmp_path / "progress.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["time/total_timesteps"]) for row in rows] == [
        PER_ITERATION * n for n in (1, 2, 3, 4)
    ]
    names = {"rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/score", "train/policy_loss"}
    names |= {"train/kl", "train/entropy", "train/approx_kl", "train/kl_coef", "time/fps"}
    assert names <= set(rows[0])
    events = EventAccumulator(str(tmp_path)).Reload()
    assert names <= set(events.Tags()["scalars"])
    # SB3 dumps after the next roll-out: the first row has no training yet.
    in_csv = [float(row["train/policy_loss"]) for row in rows[1:]]
    in_events = [each.value for each in events.Scalars("train/policy_loss")]
    np.testing.assert_allclose(in_events, in_csv, rtol=1e-6)


def test_a_folder_for_tensorboard_is_all_it_takes(make: MakeAlgorithm, tmp_path: Path) -> None:
    """`tensorboard_log` and `tb_log_name`, as everybody's scripts have them."""
    algorithm = make(SequencePPO, tensorboard_log=str(tmp_path))
    algorithm.learn(PER_ITERATION, tb_log_name="faces")
    algorithm.logger.close()
    assert list((tmp_path / "faces_1").glob("events.out.tfevents.*"))


def test_a_run_is_named_after_its_algorithm(make: MakeAlgorithm, tmp_path: Path) -> None:
    """`OnPolicyAlgorithm_7` would tell nobody what was trained."""
    make(SequencePPO, tensorboard_log=str(tmp_path)).learn(PER_ITERATION)
    assert [path.name for path in tmp_path.iterdir()] == ["SequencePPO_1"]


@every
@pytest.mark.parametrize("deterministic", [True, False])
def test_evaluation_pays_what_the_score_function_does(
    make: MakeAlgorithm,
    evaluation_env: DummyVecEnv,
    task: SequenceTask,
    kind: type[SequenceAlgorithm],
    deterministic: bool,
) -> None:
    """Stepped by SB3, with its vectors and resets, the policy must be the one that was trained."""
    algorithm = make(kind)
    algorithm.learn(4 * PER_ITERATION)
    torch.manual_seed(0)
    rewards, lengths = evaluate_policy(
        algorithm, evaluation_env, 6, deterministic=deterministic, return_episode_rewards=True
    )
    assert isinstance(lengths, list)
    assert sorted(lengths) == sorted(task.lengths[[0, 0, 1, 1, 2, 2]].tolist())
    assert all(0 <= reward <= 1 for reward in rewards)
    if deterministic:
        rows = np.arange(3)
        seeds = sequence_seeds(run_seed=0, iteration=0, utterances=rows, samples=rows)
        greedy = write_episodes(
            algorithm.model, algorithm.env, rows, decoding=Decoding(), seeds=seeds
        )
        np.testing.assert_allclose(sorted(rewards), sorted([*greedy.scores] * 2), rtol=1e-6)


def test_learning_goes_on_in_another_environment(
    make_env: MakeEnv, make_algorithm: MakeAlgorithm, task: SequenceTask
) -> None:
    """`set_env` between two calls of `learn`, counters running on."""
    algorithm = make_algorithm(SequencePPO, make_env(task, [0, 4, 8]), n_episodes=12)
    algorithm.learn(1)
    n_first = algorithm.num_timesteps
    algorithm.set_env(Monitor(make_env(task, [1, 5, 9])))
    algorithm.learn(1, reset_num_timesteps=False)
    assert algorithm.batch is not None
    assert set(algorithm.batch.utterances.tolist()) == {1, 5, 9}
    assert algorithm.num_timesteps == n_first + algorithm.batch.lengths.sum()
