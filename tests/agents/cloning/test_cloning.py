"""`BehaviourCloning` has Stable-Baselines3's manners, and its result is a warm start."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import CSVOutputFormat, Logger
from torch import Tensor

from agents.cloning import BehaviourCloning, Demonstrations
from agents.common.checked_algorithm import TokenProgressBar
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask

MakeTask = Callable[..., SequenceTask]
MakeEnv = Callable[..., gymnasium.Env[Any, Any]]
Env = gymnasium.Env[Any, Any]


def _cloning(env: Any, network: dict[str, Any], **settings: Any) -> BehaviourCloning:
    small = {"learning_rate": 5e-3, "n_epochs": 4, "seed": 0, "policy_kwargs": network}
    return BehaviourCloning("MotionPolicy", env, **small | settings)


def _assert_equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> None:
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]), f"{name} differs"


class _Stop(BaseCallback):
    """Stops training at epoch `last`."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self._last = last

    def _on_step(self) -> bool:
        return self.n_calls < self._last


def test_cloning_reaches_the_optimum(
    make_task: MakeTask, make_env: MakeEnv, network: dict[str, Any]
) -> None:
    """The recordings earn 1; by SB3's own evaluation, and with their dropout off."""
    env = make_env(make_task(24))
    cloning = _cloning(env, network, n_epochs=60, patience=20, learning_rate=1e-2)
    assert cloning.learn() is cloning
    mean, _ = evaluate_policy(cloning, make_env(make_task(24)), n_eval_episodes=24, warn=False)
    assert mean > 0.9


def test_the_policy_holds_the_best_weights(
    make_task: MakeTask, make_env: MakeEnv, network: dict[str, Any]
) -> None:
    """Recordings held out are of other classes: the last weights are the worst."""
    task = make_task(24, liars=range(16, 24))
    held_out = Demonstrations.recorded(task, np.arange(16, 24))
    cloning = _cloning(
        make_env(task, range(16)), network, validation=held_out, n_epochs=40, learning_rate=1e-2
    )
    losses, weights = [], []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            losses.append(self.locals["row"]["validation_loss"])
            assert cloning.trainer is not None
            state = cloning.trainer.model.state_dict()
            weights.append({name: value.clone() for name, value in state.items()})
            return True

    cloning.learn(callback=Watch())
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 4 < 40, "patience is 4"
    _assert_equal(cloning.best_weights, weights[best])


def test_the_result_warm_starts_reinforcement_learning(env: Env, network: dict[str, Any]) -> None:
    """Policy and reference of the KL term are both the clone."""
    cloning = _cloning(env, network).learn()
    ppo = SequencePPO("MotionPolicy", env, policy_kwargs=network, seed=1)
    ppo.warm_start(cloning.best_weights)
    _assert_equal(dict(ppo.model.state_dict()), cloning.best_weights)
    _assert_equal(dict(ppo.reference.state_dict()), cloning.best_weights)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_saved_cloning_goes_on_bit_for_bit(
    env: Env, network: dict[str, Any], tmp_path: Path, stop: int
) -> None:
    """Through SB3's own file: split, order, noise, optimiser, counters and best weights."""
    noise = {"token_noise": 0.1, "feature_noise": 0.1, "scheduled_sampling": 0.5}
    straight = _cloning(env, network, **noise).learn()
    stopped = _cloning(env, network, **noise).learn(callback=_Stop(stop))
    assert stopped.n_epochs_done == stop
    stopped.save(tmp_path / "clone")
    torch.manual_seed(99)
    resumed = BehaviourCloning.load(tmp_path / "clone", env=env)
    assert resumed.n_epochs_done == stop
    resumed.learn()
    assert resumed.n_epochs_done == straight.n_epochs_done == 4
    assert resumed.num_timesteps == straight.num_timesteps
    _assert_equal(resumed.best_weights, straight.best_weights)
    assert resumed.trainer is not None and straight.trainer is not None
    _assert_equal(resumed.trainer.model.state_dict(), straight.trainer.model.state_dict())


def test_learning_twice_is_learning_once(env: Env, network: dict[str, Any]) -> None:
    """A budget of one epoch's tokens stops after one epoch, and the next call goes on."""
    straight = _cloning(env, network).learn()
    halting = _cloning(env, network).learn(1)
    assert halting.n_epochs_done == 1
    halting.learn(halting.num_timesteps + 1)
    assert halting.n_epochs_done == 3
    halting.learn()
    assert halting.n_epochs_done == 4
    _assert_equal(straight.best_weights, halting.best_weights)


def test_a_finished_cloning_learns_nothing_more(env: Env, network: dict[str, Any]) -> None:
    """Epochs beyond `n_epochs` would run at the lowest rate, unasked."""
    cloning = _cloning(env, network).learn()
    before = {name: value.clone() for name, value in cloning.best_weights.items()}
    cloning.learn()
    assert cloning.n_epochs_done == 4
    _assert_equal(cloning.best_weights, before)


def test_a_saved_policy_predicts_without_an_environment(
    env: Env, network: dict[str, Any], tmp_path: Path
) -> None:
    """Deployment has no corpus; learning does need one, and says so."""
    cloning = _cloning(env, network).learn()
    cloning.save(tmp_path / "clone")
    loaded = BehaviourCloning.load(tmp_path / "clone")
    _assert_equal(loaded.best_weights, cloning.best_weights)
    obs, _ = env.reset(seed=0)
    ours, _ = loaded.predict(obs, deterministic=True)
    assert ours == cloning.predict(obs, deterministic=True)[0]
    with pytest.raises(ValueError, match=re.escape("`env` must be set before `learn`")):
        loaded.learn()
    loaded.set_env(env)
    assert loaded.learn().n_epochs_done == 4


def test_callbacks_of_stable_baselines3_work(
    env: Env, make_env: MakeEnv, task: SequenceTask, network: dict[str, Any], tmp_path: Path
) -> None:
    """Evaluation draws random numbers between epochs; the training must not feel it."""
    calm = _cloning(env, network).learn()
    watched = _cloning(env, network)
    evaluation = EvalCallback(
        make_env(task), n_eval_episodes=2, eval_freq=1, deterministic=False, verbose=0, warn=False
    )
    checkpoints = CheckpointCallback(save_freq=2, save_path=str(tmp_path))
    watched.learn(callback=[evaluation, checkpoints])
    _assert_equal(calm.best_weights, watched.best_weights)
    assert np.isfinite(evaluation.best_mean_reward)
    assert len(list(tmp_path.glob("*.zip"))) == 2


@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_the_bar_of_progress_counts_tokens(
    env: Env, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SB3's counts one step an epoch: it would stand at nothing until the end."""
    seen: list[tuple[float, float]] = []
    end = TokenProgressBar._on_training_end
    monkeypatch.setattr(
        TokenProgressBar,
        "_on_training_end",
        lambda bar: (seen.append((bar.pbar.n, bar.pbar.total)), end(bar)),
    )
    cloning = _cloning(env, network, patience=4)
    cloning.learn(progress_bar=True)
    assert seen == [(cloning.num_timesteps, cloning.num_timesteps)]


def test_figures_are_logged_per_epoch(env: Env, network: dict[str, Any], tmp_path: Path) -> None:
    """Without a row per epoch, early stopping cannot be judged."""
    cloning = _cloning(env, network)
    path = tmp_path / "progress.csv"
    cloning.set_logger(Logger(folder=None, output_formats=[CSVOutputFormat(str(path))]))
    cloning.learn()
    cloning.logger.close()
    header, *rows = path.read_text().splitlines()
    assert {"clone/train_loss", "clone/validation_loss", "clone/validation_accuracy"} <= set(
        header.split(",")
    )
    assert len(rows) == 4


def test_timesteps_are_tokens_learnt_from(
    env: Env, task: SequenceTask, network: dict[str, Any]
) -> None:
    """Comparisons over tokens need the held-out ones left out."""
    everything = Demonstrations.recorded(task, np.arange(12))
    cloning = _cloning(env, network, demonstrations=everything, validation=everything, patience=9)
    cloning.learn()
    assert cloning.num_timesteps == 4 * int(task.lengths.sum())


def test_only_the_utterances_of_the_environment_are_cloned(
    task: SequenceTask, make_env: MakeEnv, network: dict[str, Any]
) -> None:
    """Test utterances in a clone would make every later figure too good."""
    cloning = _cloning(make_env(task, [1, 2, 5, 7]), network)
    assert cloning.demonstrations is not None and cloning.validation is not None
    shown = [*cloning.demonstrations.utterances, *cloning.validation.utterances]
    assert sorted(shown) == [1, 2, 5, 7]


def test_demonstrations_that_do_not_fit_are_rejected(
    env: Env, make_task: MakeTask, network: dict[str, Any]
) -> None:
    """At once, not when `learn` gets there; in either of the two."""
    foreign = Demonstrations.recorded(make_task(12, n_tokens=6), np.arange(12))
    with pytest.raises(ValueError, match=r"`tokens` must be below 4, got 5|`lengths` must be"):
        _cloning(env, network, demonstrations=foreign)
    with pytest.raises(ValueError, match=r"`tokens` must be below 4, got 5|`lengths` must be"):
        _cloning(env, network, validation=foreign)


def test_an_environment_without_a_task_is_rejected(network: dict[str, Any]) -> None:
    """Stock environments have no recordings to clone."""
    with pytest.raises(ValueError, match=r"`env` must offer|`observation_space` must have"):
        _cloning("CartPole-v1", network)


def test_settings_out_of_range_are_rejected(env: Env, network: dict[str, Any]) -> None:
    """The constructor is where the mistake was made."""
    with pytest.raises(ValueError, match=re.escape("`patience` must be at least 1")):
        _cloning(env, network, patience=0)
