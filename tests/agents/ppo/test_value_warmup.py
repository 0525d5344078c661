"""Value warm-up: the value head learns, and not a bit of the policy moves."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import gymnasium
import pytest
import torch

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.ppo import SequencePPO

Env = gymnasium.Env[Any, Any]
MakeAlgorithm = Callable[..., SequenceAlgorithm]
Learn = Callable[..., dict[str, float]]


def _changed(algorithm: SequenceAlgorithm, before: dict[str, torch.Tensor]) -> set[str]:
    after = algorithm.model.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_only_the_value_head_learns_while_warming_up(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """A bit of the policy that moves is a policy that nobody cloned."""
    algorithm = make_algorithm(SequencePPO, env, value_warmup=3, kl_coef=0.1, ent_coef=0.1)
    before = copy.deepcopy(algorithm.model.state_dict())
    values = {name for name in before if name.startswith("to_value.")}
    rows = [learn(algorithm) for _ in range(3)]
    # The first layer gets a gradient once the last one, which starts at 0, has moved.
    assert _changed(algorithm, before) == values
    assert all(row["train/ratio_error"] < 1e-5 for row in rows)
    learn(algorithm)
    assert _changed(algorithm, before) == {name for name, _ in algorithm.model.named_parameters()}


def test_the_value_head_really_learns(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """Frozen with the rest it would be no warm-up but a pause.

    Without other samples to compare with, values must find the mean score.
    """
    algorithm = make_algorithm(
        SequencePPO, env, value_warmup=30, samples_per_utterance=1, n_episodes=48
    )
    first = learn(algorithm)["train/value_loss"]
    last = learn(algorithm, n_iterations=29)["train/value_loss"]
    assert last < 0.8 * first


def test_without_a_warm_up_all_learn_at_once(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """The default must be what it was."""
    algorithm = make_algorithm(SequencePPO, env)
    before = copy.deepcopy(algorithm.model.state_dict())
    learn(algorithm)
    assert "to_logits" in _changed(algorithm, before)


def test_the_coefficient_waits_for_the_policy(
    env: Env, make_algorithm: MakeAlgorithm, learn: Learn
) -> None:
    """A policy that stands still has no divergence: adapted to it, the coefficient would melt."""
    algorithm = make_algorithm(
        SequencePPO, env, value_warmup=2, kl_coef=0.1, reference_kl_target=0.01
    )
    learn(algorithm, n_iterations=2)
    assert algorithm.kl_coef == 0.1
    learn(algorithm)
    assert algorithm.kl_coef != 0.1


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"value_warmup": -1}, "`value_warmup` must be at least 0, got -1"),
        (
            {"value_warmup": 1, "vf_coef": 0.0},
            "`vf_coef` must be above 0 where `value_warmup` trains the values, got 0.0",
        ),
    ],
)
def test_a_warm_up_that_cannot_be_meant_is_rejected(
    env: Env, make_algorithm: MakeAlgorithm, settings: dict[str, Any], rule: str
) -> None:
    """With no weight on the values, a warm-up is iterations in which nothing learns."""
    with pytest.raises(ValueError, match=re.escape(rule)):
        make_algorithm(SequencePPO, env, **settings)
