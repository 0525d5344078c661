"""Saved, loaded into a fresh object and continued: bit for bit the run that was never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.grpo import SequenceGRPO
from agents.network.transformer import MotionTransformer
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce

Env = gymnasium.Env[Any, Any]
MakeEnv = Callable[..., Env]
MakeModel = Callable[..., MotionTransformer]
MakeAlgorithm = Callable[..., SequenceAlgorithm]

PER_ITERATION = 96  # tokens: all 12 utterances of 2, 4 and 6 tokens, twice each
TOTAL = 4 * PER_ITERATION

variants = pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (SequencePPO, {"batch_tokens": 64, "n_epochs": 2}),
        (SequenceReinforce, {}),
        (SequenceReinforce, {"baseline": "moving_mean"}),
        (SequenceReinforce, {"baseline": "moving_mean", "stream_advantages": True}),
        (SequencePPO, {"batch_tokens": 64, "temperature": 0.7}),
        (SequencePPO, {"value_warmup": 1, "stream_advantages": True}),
        (SequencePPO, {"value_warmup": 3}),
        (SequencePPO, {"credit": "chunk", "stream_advantages": True}),
        (SequenceGRPO, {"batch_tokens": 64, "reference_kl_target": 0.01, "target_kl": 0.02}),
    ],
)


class Stop(BaseCallback):
    """Notes what every iteration logged, and ends the run when `tokens` are written.

    The algorithm is saved there, or with `between` before the roll-out that holds that token.
    """

    def __init__(
        self, tokens: int | None = None, *, path: Path | None = None, between: bool = False
    ) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self._tokens, self._path, self._between = tokens, path, between

    def _on_rollout_start(self) -> None:
        self._keep()
        if self._path is not None and self._between:
            self.model.save(self._path)

    def _on_training_end(self) -> None:
        self._keep()

    def _keep(self) -> None:
        row = dict(self.logger.name_to_value)
        row = {k: v for k, v in row.items() if k.startswith(("train/", "rollout/"))}
        if "train/policy_loss" in row:
            self.rows.append(row)
        self.logger.name_to_value.clear()

    def _on_step(self) -> bool:
        if self._tokens is None or self.num_timesteps < self._tokens:
            return True
        if self._path is not None and not self._between:
            self.model.save(self._path)
        return False


def _start(
    make_algorithm: MakeAlgorithm,
    env: Env,
    clone: MotionTransformer,
    kind: type[SequenceAlgorithm],
    **settings: Any,
) -> SequenceAlgorithm:
    twice = {"n_episodes": 24, "samples_per_utterance": 2}
    algorithm = make_algorithm(kind, env, kl_coef=0.1, **twice, **settings)
    algorithm.warm_start(clone.state_dict())
    return algorithm


def _run(algorithm: SequenceAlgorithm, total: int, callback: Stop, *, fresh: bool) -> Stop:
    algorithm.set_logger(Logger(folder=None, output_formats=[]))
    # An interval no run reaches: dumping would clear the figures before the callback sees them.
    algorithm.learn(total, callback=callback, reset_num_timesteps=fresh, log_interval=10**9)
    return callback


def _assert_same(one: Any, two: Any, where: str = "state") -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two), f"{where} differs"
    elif isinstance(one, dict):
        assert one.keys() == two.keys(), f"{where} has other keys"
        for key in one:
            _assert_same(one[key], two[key], f"{where}[{key}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two), f"{where} has another length"
        for number, (first, second) in enumerate(zip(one, two, strict=True)):
            _assert_same(first, second, f"{where}[{number}]")
    else:
        assert one == two, f"{where}: {one} and {two}"


def _state(algorithm: SequenceAlgorithm) -> dict[str, Any]:
    counters = ("n_iterations", "num_timesteps", "_n_updates", "kl_coef", "seed")
    assert algorithm.ep_info_buffer is not None
    return {
        "weights": algorithm.model.state_dict(),
        "optimizer": algorithm.policy.optimizer.state_dict(),
        "reference": algorithm.reference.state_dict(),
        "episodes": list(algorithm.ep_info_buffer),
        "remaining": algorithm._current_progress_remaining,
        **{name: getattr(algorithm, name) for name in counters},
    }


@pytest.fixture
def clone(task: SequenceTask, make_model: MakeModel, network: dict[str, Any]) -> MotionTransformer:
    """Return far-off weights to start from, as a clone's would be."""
    return make_model(task, seed=5, **network["network"])


# What a run ends with that nobody stops, by its settings: one for both places to stop another at.
_STRAIGHT: dict[tuple[str, str, bool], tuple[dict[str, Any], list[dict[str, Any]]]] = {}


@variants
@pytest.mark.parametrize("rate", [5e-3, lambda progress: 1e-2 * progress], ids=["fixed", "linear"])
@pytest.mark.parametrize("between", [True, False], ids=["between", "within"])
def test_four_iterations_are_two_saved_loaded_and_two(
    make_env: MakeEnv,
    task: SequenceTask,
    tmp_path: Path,
    make_algorithm: MakeAlgorithm,
    clone: MotionTransformer,
    kind: type[SequenceAlgorithm],
    settings: dict[str, Any],
    rate: Any,
    between: bool,
) -> None:
    """A resumed run that drifts makes two results of one seed, and nobody can say which is right.

    The run is stopped between two iterations, or within the third roll-out, which is then written
    again. The rest of the total is what `learn` is asked for, so that schedules see one run.
    """
    options = settings | {"learning_rate": rate}
    key = (kind.__name__, str(settings), callable(rate))
    if key not in _STRAIGHT:
        straight = _start(make_algorithm, make_env(task), clone, kind, **options)
        expected = _run(straight, TOTAL, Stop(), fresh=True)
        _STRAIGHT[key] = (_state(straight), expected.rows)
    state, rows = _STRAIGHT[key]

    interrupted = _start(make_algorithm, make_env(task), clone, kind, **options)
    stop = Stop(2 * PER_ITERATION + 48, path=tmp_path / "agent", between=between)
    first = _run(interrupted, TOTAL, stop, fresh=True)
    torch.manual_seed(99)
    np.random.seed(99)  # SB3 seeds it; what follows must not depend on it
    # A function is given again: a file that held it would have to be unpickled.
    given = {"learning_rate": rate} if callable(rate) else None
    resumed = kind.load(tmp_path / "agent", env=make_env(task), custom_objects=given)
    assert resumed.num_timesteps == 2 * PER_ITERATION + (0 if between else 48)
    rest = TOTAL - resumed.num_timesteps
    second = _run(resumed, rest, Stop(), fresh=False)

    assert state["n_iterations"] == 4
    _assert_same(state, _state(resumed))
    assert len(rows) == 4
    _assert_same(rows, first.rows + second.rows, "logged")


def test_a_run_stopped_within_a_rollout_goes_on_in_one_object(
    env: Env, make_algorithm: MakeAlgorithm, clone: MotionTransformer
) -> None:
    """Tokens of the roll-out that was thrown away would count twice on every x-axis."""
    straight = _start(make_algorithm, env, clone, SequencePPO)
    _run(straight, TOTAL, Stop(), fresh=True)
    stopped = _start(make_algorithm, env, clone, SequencePPO)
    _run(stopped, TOTAL, Stop(PER_ITERATION + 50), fresh=True)
    assert stopped.num_timesteps > PER_ITERATION
    _run(stopped, TOTAL - stopped.num_timesteps, Stop(), fresh=False)
    _assert_same(_state(straight), _state(stopped))


def test_a_new_run_counts_from_nothing(
    env: Env, make_algorithm: MakeAlgorithm, clone: MotionTransformer
) -> None:
    """What a stopped run left over must not be taken off the next one's count."""
    algorithm = _start(make_algorithm, env, clone, SequencePPO)
    _run(algorithm, TOTAL, Stop(50), fresh=True)
    before = algorithm.n_iterations
    _run(algorithm, PER_ITERATION, Stop(), fresh=True)
    assert algorithm.num_timesteps == PER_ITERATION
    assert algorithm.n_iterations == before + 1
