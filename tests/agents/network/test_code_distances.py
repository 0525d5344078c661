"""Distances of codes in a network: they go wherever its weights go, and older weights have none."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents import (
    BehaviourCloning,
    CloneConfig,
    CloneTrainer,
    MotionPolicy,
    MotionTransformer,
    SequenceGRPO,
    SequencePPO,
    load_policy,
    save_policy,
)
from agents.protocols import FloatArray, SequenceTask
from agents.weights import check_fits
from esarm_env import InputError

Env = gymnasium.Env[Any, Any]
MakeModel = Callable[..., MotionTransformer]

_CONFIG = CloneConfig(n_layers=1, n_heads=2, width=16, epochs=3, batch_sequences=8)
_SPLITS = {"train": np.arange(8), "validation": np.arange(8, 12)}


@pytest.fixture
def table(task: SequenceTask) -> FloatArray:
    """Return recognisable distances."""
    shape = (task.tokens_per_chunk, task.n_tokens, task.n_tokens)
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.fixture
def clone(model: MotionTransformer, table: FloatArray) -> MotionTransformer:
    """Return a network that knows them."""
    model.set_code_distances(table)
    return model


def _holds(model: MotionTransformer, table: FloatArray) -> bool:
    return bool(np.array_equal(model.code_distances.cpu().numpy(), table))


def _older(model: MotionTransformer) -> dict[str, torch.Tensor]:
    """Return the weights of `model` as a version without distances had them."""
    return {k: v for k, v in model.state_dict().items() if k != "code_distances"}


def test_they_are_no_weights(model: MotionTransformer, clone: MotionTransformer) -> None:
    """An optimiser that decayed them would change the decoding while training."""
    assert "code_distances" not in dict(clone.named_parameters())
    assert "code_distances" in clone.state_dict()


def test_a_fresh_network_knows_none(make_model: MakeModel, task: SequenceTask) -> None:
    """Zeros stand for unknown."""
    assert not make_model(task).knows_distances


def test_files_carry_them(clone: MotionTransformer, table: FloatArray, tmp_path: Path) -> None:
    """`esarm animate` has the file alone: the corpus they were measured on may be gone."""
    save_policy(clone, tmp_path / "p.safetensors")
    assert _holds(load_policy(tmp_path / "p.safetensors"), table)


def test_older_files_are_read_without_them(clone: MotionTransformer, tmp_path: Path) -> None:
    """Finished runs are hours of work."""
    save_policy(clone, tmp_path / "p.safetensors", weights=_older(clone))
    read = load_policy(tmp_path / "p.safetensors")
    assert not read.knows_distances
    assert torch.equal(read.to_logits, clone.to_logits)


def test_older_weights_put_into_a_network_are_not_measured_by_its_distances(
    clone: MotionTransformer, table: FloatArray
) -> None:
    """They may be of another tokenizer. A part of the weights leaves the distances alone."""
    clone.load_state_dict({"norm.weight": clone.norm.weight}, strict=False)
    assert _holds(clone, table)
    clone.load_state_dict(_older(clone))
    assert not clone.knows_distances


@pytest.mark.parametrize("kind", [SequencePPO, SequenceGRPO])
def test_algorithms_keep_them_through_training_and_files(
    kind: Any, clone: MotionTransformer, table: FloatArray, env: Env, tmp_path: Path
) -> None:
    """A policy improved by a reward is decoded as the clone was, or they cannot be compared."""
    algorithm = kind.from_clone(clone, env, n_episodes=8, seed=0)
    assert _holds(algorithm.model, table) and _holds(algorithm.reference, table)
    algorithm.learn(1)
    algorithm.save(tmp_path / "a.zip")
    assert _holds(kind.load(tmp_path / "a.zip", env=env).model, table)
    algorithm.policy.save(tmp_path / "policy.zip")
    assert _holds(MotionPolicy.load(tmp_path / "policy.zip").transformer, table)


def test_training_on_a_reward_is_the_same_with_and_without_them(
    model: MotionTransformer, table: FloatArray, env: Env
) -> None:
    """Roll-outs are sampled: whoever decodes them by distance learns from another policy."""
    trained = []
    for distances in (np.zeros_like(table), table):
        model.set_code_distances(distances)
        algorithm = SequencePPO.from_clone(model, env, n_episodes=8, seed=0)
        algorithm.learn(1)
        trained.append(_older(algorithm.model))
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_older_weights_start_an_algorithm(clone: MotionTransformer, env: Env) -> None:
    """State dicts are how other tools hand weights over."""
    algorithm = SequencePPO.from_clone(clone, env, n_episodes=8, seed=0)
    check_fits(_older(clone), algorithm.model)
    algorithm.warm_start(_older(clone))
    assert not algorithm.model.knows_distances


def test_distances_of_another_size_do_not_fit(clone: MotionTransformer) -> None:
    """What is there must be of the same codes as the rest."""
    wrong = dict(clone.state_dict()) | {"code_distances": torch.zeros(1, 2, 2)}
    message = "code_distances (1, 2, 2) instead of (2, 4, 4)"
    with pytest.raises(InputError, match=re.escape(message)):
        check_fits(wrong, clone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[:1], "`distances` must have shape (2, 4, 4), got (1, 4, 4)"),
        (lambda table: -1 - table, "`distances` must be finite and at least 0, got -1.0"),
        (lambda table: table * np.nan, "`distances` must be finite and at least 0, got nan"),
    ],
)
def test_what_is_no_distance_is_refused(
    model: MotionTransformer, table: FloatArray, change: Any, message: str
) -> None:
    """A least of nan is token 0, and a negative distance draws every choice to it."""
    with pytest.raises(ValueError, match=re.escape(message)):
        model.set_code_distances(change(table))
    assert not model.knows_distances


def _trainer(task: SequenceTask, **options: Any) -> CloneTrainer:
    settings = {"config": _CONFIG, "speaker_start": 3, "seed": 0, **options}
    return CloneTrainer(task, **_SPLITS, **settings)


def test_cloning_takes_them_from_the_task(task: SequenceTask, table: FloatArray) -> None:
    """The best weights are what is saved, also where no epoch beat the first."""
    task.code_distances = table  # type: ignore[attr-defined]
    trainer = _trainer(task)
    assert _holds(trainer.learn(), table)
    np.testing.assert_array_equal(trainer.best_weights["code_distances"], table)


def test_a_task_without_them_clones_as_before(task: SequenceTask, table: FloatArray) -> None:
    """Toy tasks have no face; and what is learnt depends on the distances in its start alone."""
    plain = _trainer(task).learn()
    assert not plain.knows_distances
    task.code_distances = table  # type: ignore[attr-defined]
    unmoved = _trainer(task, config=replace(_CONFIG, start_from_looks=False)).learn()
    assert all(torch.equal(a, b) for a, b in zip(
        plain.parameters(), unmoved.parameters(), strict=True
    ))  # fmt: skip
    moved = _trainer(task).model
    assert not torch.equal(moved.to_logits, unmoved.to_logits)


def test_an_interrupted_training_of_an_older_version_goes_on(
    task: SequenceTask, table: FloatArray
) -> None:
    """Its checkpoint has none, and the clone at its end must have them all the same."""
    task.code_distances = table  # type: ignore[attr-defined]
    trainer = _trainer(task)
    trainer.advance()
    state = copy.deepcopy(trainer.state_dict())
    for part in ("model", "best"):
        del state[part]["code_distances"]
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    resumed = _trainer(task)
    resumed.load_state_dict(torch.load(buffer))
    assert _holds(resumed.model, table)
    assert _holds(resumed.learn(), table)


def test_behaviour_cloning_of_an_environment_knows_them(tiny_task: Any) -> None:
    """The front door to cloning hands the environment's task on."""
    from esarm_env import SpeechAnimationEnv

    env = SpeechAnimationEnv(task=tiny_task, reward="accuracy")
    kwargs = {"network": {"n_layers": 1, "n_heads": 2, "width": 16}}
    cloning = BehaviourCloning("MotionPolicy", env, n_epochs=1, policy_kwargs=kwargs, seed=0)
    cloning.learn()
    assert _holds(cloning.policy.transformer, tiny_task.code_distances)
