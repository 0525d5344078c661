"""Weights between a clone and what was trained from it, and anchors that are averages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from agents.common.sequence_algorithm import SequenceAlgorithm
from agents.interpolation import interpolated, move_towards
from agents.network.transformer import MotionTransformer
from agents.ppo import SequencePPO
from agents.protocols import SequenceTask
from esarm_env.core.errors import InputError

MakeModel = Callable[..., MotionTransformer]


@pytest.fixture
def pair(task: SequenceTask, make_model: MakeModel) -> tuple[MotionTransformer, MotionTransformer]:
    """Return two networks of one shape and different weights."""
    return make_model(task, seed=1), make_model(task, seed=2)


def test_interpolation_ends_in_either_network_bit_for_bit(
    pair: tuple[MotionTransformer, MotionTransformer],
) -> None:
    """A curve whose ends are not the two policies compares them with a third."""
    before = {name: weight.clone() for name, weight in pair[0].state_dict().items()}
    for share, end in ((0.0, pair[0]), (1.0, pair[1])):
        made = interpolated(*pair, share=share)
        for name, weight in made.state_dict().items():
            assert torch.equal(weight, end.state_dict()[name]), name
    for name, weight in pair[0].state_dict().items():
        assert torch.equal(weight, before[name]), f"{name} of the clone was changed"


def test_a_quarter_of_the_way_is_three_quarters_clone(
    pair: tuple[MotionTransformer, MotionTransformer],
) -> None:
    """Turned round, the curve would run backwards and the choice with it."""
    made = interpolated(*pair, share=0.25)
    expected = 0.75 * pair[0].to_logits + 0.25 * pair[1].to_logits
    torch.testing.assert_close(made.to_logits, expected)
    assert not made.training


def test_networks_of_other_shapes_are_refused_by_name(
    task: SequenceTask, make_model: MakeModel
) -> None:
    """Weights of as many numbers can mean something else: heads change no shape."""
    clone, other = make_model(task, width=16, n_heads=2), make_model(task, width=16, n_heads=4)
    message = "`improved` must have the sizes of `clone`, got `n_heads` 4 instead of 2;"
    with pytest.raises(InputError, match=re.escape(message)):
        interpolated(clone, other, share=0.5)
    with pytest.raises(InputError, match=re.escape("`share` must be in [0, 1], got 1.5")):
        interpolated(clone, clone, share=1.5)


def test_a_moving_anchor_is_the_weighted_mean_of_past_policies(
    pair: tuple[MotionTransformer, MotionTransformer], task: SequenceTask, make_model: MakeModel
) -> None:
    """1/4 of the start, 1/4 of the first, 1/2 of the second policy."""
    start, first = pair
    second = make_model(task, seed=3)
    expected = 0.25 * start.to_logits + 0.25 * first.to_logits + 0.5 * second.to_logits
    move_towards(start, first, share=0.5)
    move_towards(start, second, share=0.5)
    torch.testing.assert_close(start.to_logits, expected)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_the_reference_follows_the_policy_if_so_asked_for(
    env: Any,
    make_algorithm: Callable[..., SequenceAlgorithm],
    learn: Callable[..., dict[str, float]],
    share: float,
) -> None:
    """By default it stands still: the divergence is that from the clone."""
    algorithm = make_algorithm(SequencePPO, env, kl_coef=0.1, reference_averaging=share)
    clone = algorithm.reference.to_logits.clone()
    learn(algorithm)
    expected = clone.lerp(algorithm.model.to_logits.detach(), share)
    torch.testing.assert_close(algorithm.reference.to_logits, expected, rtol=0, atol=1e-7)
    assert not algorithm.reference.to_logits.requires_grad
    assert not torch.equal(algorithm.model.to_logits, clone)


def test_a_reference_that_runs_backwards_is_refused(
    env: Any, make_algorithm: Callable[..., SequenceAlgorithm]
) -> None:
    """Before the roll-out, under the name that was set."""
    with pytest.raises(ValueError, match=re.escape("`reference_averaging` must be in [0, 1]")):
        make_algorithm(SequencePPO, env, reference_averaging=-0.1)
