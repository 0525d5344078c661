"""The parts of an update: means, divergence controller, early stop, all against hand-made cases."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.common.update import (
    adapted_kl_coef,
    has_moved_too_far,
    mean_of_tokens,
    ratio_figures,
)
from agents.grpo import SequenceGRPO
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from agents.reinforce import SequenceReinforce
from agents.rollout.buffer import EpisodeBatch

Env = gymnasium.Env[Any, Any]
MakeTask = Callable[..., SequenceTask]
MakeEnv = Callable[..., Env]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
MakeBatch = Callable[..., EpisodeBatch]
Learn = Callable[..., dict[str, float]]

every = pytest.mark.parametrize("kind", [SequencePPO, SequenceReinforce, SequenceGRPO])


@pytest.mark.parametrize(("loss_mean", "expected"), [("token", 3.0), ("sequence", 2.5)])
def test_means_count_tokens_or_sequences(
    make_batch: MakeBatch, loss_mean: str, expected: float
) -> None:
    """Tokens 1 and 3, 4, 4 (or 4, 4, 4): nan in padding must reach neither mean."""
    batch = make_batch(1, 3)
    per_token = torch.tensor([[1.0, float("nan"), 100.0], [4.0, 4.0, 4.0]])
    if loss_mean == "token":
        per_token[1] = torch.tensor([3.0, 4.0, 4.0])
    result = mean_of_tokens(per_token, batch, loss_mean=loss_mean)
    assert result.item() == pytest.approx(expected)


def test_padding_has_no_gradient_in_a_mean_over_sequences(make_batch: MakeBatch) -> None:
    """nan times 0 is nan: a sum that masks by multiplying would poison every weight."""
    per_token = torch.zeros(2, 3, requires_grad=True)
    mean_of_tokens(per_token, make_batch(1, 3), loss_mean="sequence").backward()
    assert per_token.grad is not None
    np.testing.assert_allclose(per_token.grad.numpy(), [[1 / 2, 0, 0], [1 / 6, 1 / 6, 1 / 6]])


def test_the_estimate_of_the_divergence_is_that_of_sb3(make_batch: MakeBatch) -> None:
    """Ratios 2 and 1/2: ((2-1) - ln 2 + (1/2-1) + ln 2) / 2 = 1/4, the largest distance 1."""
    batch = make_batch(2, 1, log_probs=np.zeros((2, 2), np.float32))
    log_probs = torch.tensor([[np.log(2), np.log(0.5)], [0.0, 50.0]], dtype=torch.float32)
    figures = ratio_figures(batch, log_probs)
    assert figures["approx_kl"] == pytest.approx(0.5 / 3)
    assert figures["ratio_error"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("kl", "factor"), [(0.1, 1.0), (0.11, 1.01), (0.09, 0.99), (5.0, 1.02), (0.0, 0.98)]
)
def test_the_controller_changes_the_coefficient_by_at_most_two_per_cent(
    kl: float, factor: float
) -> None:
    """The other sign lets a policy that has run away run on."""
    assert adapted_kl_coef(0.5, kl=kl, target=0.1) == pytest.approx(0.5 * factor)


@pytest.mark.parametrize(
    ("approx_kl", "target_kl", "stops"),
    [(0.0151, 0.01, True), (0.0149, 0.01, False), (9.0, None, False)],
)
def test_the_limit_is_one_and_a_half_times_the_target(
    approx_kl: float, target_kl: float | None, stops: bool
) -> None:
    """Users bring their `target_kl` from SB3, where it means this."""
    assert has_moved_too_far(approx_kl, target_kl) is stops


@every
def test_the_coefficient_follows_the_divergence_and_is_saved(
    env: Env,
    tmp_path: Path,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    kind: type[SequenceAlgorithm],
) -> None:
    """A resumed run that starts from the first coefficient again is another run."""
    algorithm = make_algorithm(kind, env, kl_coef=0.1, reference_kl_target=1e-9)
    expected = 0.1
    for _ in range(3):
        logged = learn(algorithm)
        assert logged["train/kl_coef"] == pytest.approx(expected)
        expected = adapted_kl_coef(expected, kl=logged["train/kl"], target=1e-9)
    assert 0.1 < expected == algorithm.kl_coef
    algorithm.save(tmp_path / "agent")
    loaded = kind.load(tmp_path / "agent", env=env)
    assert loaded.kl_coef == algorithm.kl_coef
    assert learn(loaded) == learn(algorithm)
    for one, two in zip(loaded.model.parameters(), algorithm.model.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("kind", [SequencePPO, SequenceGRPO])
def test_an_iteration_ends_early_before_the_step_that_is_too_far(
    make_env: MakeEnv,
    make_task: MakeTask,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    kind: type[SequenceAlgorithm],
) -> None:
    """The minibatch that shows the excess must not be stepped on, as in SB3."""
    env = make_env(make_task(max_chunks=1))  # 16 episodes of 2 tokens, in minibatches of 16 tokens
    whole = make_algorithm(kind, env, n_epochs=3, batch_tokens=16)
    assert learn(whole)["train/n_minibatches"] == 6
    cut = make_algorithm(kind, env, n_epochs=3, batch_tokens=16, target_kl=1e-7)
    logged = learn(cut)
    steps = {int(state["step"]) for state in cut.policy.optimizer.state.values()}
    assert logged["train/n_minibatches"] < 6
    assert steps == {logged["train/n_minibatches"] - 1}
    assert cut.n_iterations == 1


@every
def test_the_mean_over_sequences_is_another_loss(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn, kind: type[SequenceAlgorithm]
) -> None:
    """An option that is taken and ignored gives one curve under two names."""
    # One minibatch of episodes of unequal length: among equals the two means are one.
    extra = {} if kind is SequenceReinforce else {"batch_tokens": None}
    entropies = [
        learn(
            make_algorithm(kind, env, loss_mean=loss_mean, n_episodes=48, **extra), n_iterations=3
        )["train/entropy"]
        for loss_mean in ("token", "sequence")
    ]
    assert abs(entropies[0] - entropies[1]) > 1e-4


@every
def test_the_first_ratio_is_one_and_dropout_never_acts(
    env: Env,
    make_algorithm: MakeAlgorithm,
    learn: Learn,
    kind: type[SequenceAlgorithm],
) -> None:
    """Cached and full passes are one policy; the network's dropout of 0.5 would show at once."""
    algorithm = make_algorithm(kind, env)
    modes: list[bool] = []
    assert algorithm.model.config.dropout == 0.5
    algorithm.model.blocks[0].register_forward_pre_hook(
        lambda module, _: modes.append(module.training)
    )
    for _ in range(3):
        algorithm.policy.set_training_mode(True)
        assert learn(algorithm)["train/first_ratio_error"] <= 1e-6
    assert modes and not any(modes)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"kl_coef": -0.1}, "`kl_coef` must be at least 0, got -0.1"),
        ({"kl_coef": float("nan")}, "`kl_coef` must be at least 0, got nan"),
        (
            {"reference_kl_target": 0.0, "kl_coef": 0.1},
            "`reference_kl_target` must be above 0 or None, got 0.0",
        ),
        ({"target_kl": -1.0}, "`target_kl` must be above 0 or None, got -1.0"),
        (
            {"reference_kl_target": 0.1, "kl_coef": 0.0},
            "`kl_coef` must be above 0 where `reference_kl_target`",
        ),
        ({"loss_mean": "word"}, "`loss_mean` must be one of token, sequence, got 'word'"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_rejected(
    env: Env, make_algorithm: MakeAlgorithm, settings: dict[str, Any], rule: str
) -> None:
    """A negative weight pushes away from the reference; 0 times anything never adapts."""
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_algorithm(SequencePPO, env, **settings)
