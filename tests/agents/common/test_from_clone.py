"""Starting from a clone: all its sizes are taken over, and what does not fit says why."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

from agents import (
    MotionTransformer,
    SequenceAlgorithm,
    SequenceGRPO,
    SequencePPO,
    SequenceReinforce,
    save_policy,
)
from agents.protocols import SequenceTask
from esarm_env.core.errors import InputError

Env = gymnasium.Env[Any, Any]
MakeModel = Callable[..., MotionTransformer]

ODD_SIZES = {
    "n_layers": 1,
    "n_heads": 4,
    "width": 24,
    "content_dim": 20,
    "emotion_dim": 12,
    "style_dim": 6,
}
all_kinds = pytest.mark.parametrize("kind", [SequencePPO, SequenceGRPO, SequenceReinforce])


class _Own(SequenceAlgorithm):
    def policy_loss(self, batch: Any, log_probs: torch.Tensor) -> torch.Tensor:
        return -log_probs


@pytest.fixture
def clone(make_model: MakeModel, task: SequenceTask) -> MotionTransformer:
    """Return a network none of whose sizes is a default."""
    return make_model(task, **ODD_SIZES, dropout=0.4)


def _file(clone: MotionTransformer, folder: Path) -> Path:
    save_policy(clone, folder / "own.safetensors")
    return folder / "own.safetensors"


def _run(clone: MotionTransformer, folder: Path) -> str:
    (folder / "clone").mkdir()
    save_policy(clone, folder / "clone" / "policy.safetensors")
    return str(folder)


@pytest.mark.parametrize("kind", [SequencePPO, SequenceGRPO, SequenceReinforce, _Own])
@pytest.mark.parametrize("given", [lambda clone, _: clone, _file, _run])
def test_an_algorithm_takes_over_all_sizes_and_weights(
    kind: type[SequenceAlgorithm],
    given: Callable[[MotionTransformer, Path], Any],
    clone: MotionTransformer,
    env: Env,
    tmp_path: Path,
) -> None:
    """Three of the sizes used to be copied by hand, and a clone with others did not load."""
    algorithm = kind.from_clone(given(clone, tmp_path), env, n_episodes=8, seed=3)
    assert {name: getattr(algorithm.model.config, name) for name in ODD_SIZES} == ODD_SIZES
    assert algorithm.model.config.dropout == 0
    for name, weight in clone.state_dict().items():
        assert torch.equal(algorithm.model.state_dict()[name], weight), name
        assert torch.equal(algorithm.reference.state_dict()[name], weight), name
    assert (algorithm.n_episodes, algorithm.seed) == (8, 3)
    before = {name: weight.clone() for name, weight in clone.state_dict().items()}
    algorithm.learn(1)  # a warning of random weights would be an error
    assert all(torch.equal(before[name], weight) for name, weight in clone.state_dict().items())


def test_other_policy_arguments_stay(clone: MotionTransformer, env: Env) -> None:
    """Only the sizes are the clone's business."""
    given = {"max_length": 9}
    algorithm = SequencePPO.from_clone(clone, env, policy_kwargs=given)
    assert algorithm.policy.max_length == 9 and given == {"max_length": 9}


def test_sizes_of_ones_own_beside_a_clone_are_refused(clone: MotionTransformer, env: Env) -> None:
    """One of the two would be ignored without a word."""
    rule = (
        "`policy_kwargs` must leave `network` out beside a clone, which has sizes of its own, "
        "got {'width': 64}"
    )
    with pytest.raises(InputError, match=re.escape(rule)):
        SequencePPO.from_clone(clone, env, policy_kwargs={"network": {"width": 64}})


def test_a_clone_of_another_task_is_refused(
    make_task: Any, make_model: MakeModel, env: Env
) -> None:
    """Tokens of another tokenizer mean nothing here; torch would speak of tensor shapes."""
    clone = make_model(make_task(n_tokens=6, tokens_per_chunk=2))
    rule = (
        "`clone` must have the sizes of the policy, got n_tokens 6 instead of 4, window_dim 10 "
        "instead of 8; it was cloned for another tokenizer, corpus or observation"
    )
    with pytest.raises(InputError, match=re.escape(rule)):
        SequencePPO.from_clone(clone, env)


@pytest.mark.parametrize(("size", "value"), [("n_layers", 2), ("width", 48), ("n_heads", 2)])
def test_a_network_of_other_sizes_is_refused_by_name(
    size: str, value: int, make_model: MakeModel, task: SequenceTask, env: Env
) -> None:
    """Other heads have weights of the same shapes: they used to load, and compute nonsense."""
    own = {"n_layers": 1, "n_heads": 4, "width": 24}
    algorithm = SequencePPO("MotionPolicy", env, policy_kwargs={"network": own})
    rule = (
        f"`clone` must have the sizes of the policy, got {size} {value} instead of {own[size]}; "
        "make the algorithm with `from_clone`, which takes the sizes over"
    )
    with pytest.raises(InputError, match=re.escape(rule)):
        algorithm.warm_start(make_model(task, **{**own, size: value}))


def test_weights_of_other_sizes_are_refused_by_name(
    make_model: MakeModel, task: SequenceTask, env: Env
) -> None:
    """A state dict used to fail with torch's list of missing keys."""
    own = {"n_layers": 2, "n_heads": 2, "width": 16}
    algorithm = SequencePPO("MotionPolicy", env, policy_kwargs={"network": own})
    smaller = make_model(task, **{**own, "n_layers": 1}).state_dict()
    rule = (
        r"`clone` must have the sizes of the policy, got blocks\.1\.\S+ left out instead of \(.*\) "
        r"and \d+ more; make the algorithm with `from_clone`"
    )
    with pytest.raises(InputError, match=rule):
        algorithm.warm_start(smaller)


@all_kinds
def test_a_divergence_from_random_weights_is_warned_of_once(
    kind: type[SequenceAlgorithm], env: Env, network: dict[str, Any]
) -> None:
    """Forgetting the warm start used to hold the policy near noise without a word."""
    algorithm = kind("MotionPolicy", env, n_episodes=8, seed=0, policy_kwargs=network)
    rule = "`kl_coef` is 0.3 and nothing was cloned: the divergence is that from the random weights"
    with pytest.warns(UserWarning, match=re.escape(rule)) as caught:
        algorithm.learn(1)
    assert caught[0].filename == __file__, "who forgot it is to blame"
    algorithm.learn(1, reset_num_timesteps=False)


def test_training_from_nothing_may_be_meant(
    env: Env, network: dict[str, Any], tmp_path: Path
) -> None:
    """Without a divergence, or once loaded, there is nothing to warn of."""
    settings = {"n_episodes": 8, "policy_kwargs": network}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        algorithm = SequencePPO("MotionPolicy", env, kl_coef=0.0, **settings).learn(1)
        algorithm.kl_coef = 0.1
        algorithm.save(tmp_path / "agent")
        SequencePPO.load(tmp_path / "agent", env=env).learn(1)
        other = SequencePPO("MotionPolicy", env, **settings)
        other.set_parameters(tmp_path / "agent")
        other.learn(1)
