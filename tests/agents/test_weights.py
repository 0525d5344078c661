"""Policy networks on disk: what is written comes back, from wherever a user points at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from agents import MotionTransformer, load_policy, save_policy
from agents.protocols import SequenceTask
from esarm_env.core.errors import InputError
from esarm_env.core.shipped import shipped_run


def same_weights(first: MotionTransformer, second: MotionTransformer) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return first.config == second.config and all(
        torch.equal(weight, theirs[name]) for name, weight in ours.items()
    )


def test_a_policy_comes_back_with_all_its_sizes(
    make_model, task: SequenceTask, tmp_path: Path
) -> None:
    """A size that is not written would be the default's, and the weights would not fit."""
    sizes = {"n_layers": 1, "n_heads": 4, "width": 24, "content_dim": 10, "style_dim": 6}
    model = make_model(task, emotion_dim=5, **sizes)
    save_policy(model, tmp_path / "own.safetensors")
    loaded = load_policy(tmp_path / "own.safetensors")
    assert loaded.config.content_dim == 10 and loaded.config.emotion_dim == 5
    assert same_weights(loaded, model) and not loaded.training


def test_other_weights_of_a_policy_can_be_written(model: MotionTransformer, tmp_path: Path) -> None:
    """A training that went too far writes its best weights, not its last."""
    best = {name: weight + 1 for name, weight in model.state_dict().items()}
    save_policy(model, str(tmp_path / "best.safetensors"), weights=best)
    loaded = load_policy(str(tmp_path / "best.safetensors")).state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in best.items())


@pytest.mark.parametrize("place", ["", "clone"])
def test_a_folder_stands_for_the_policy_in_it(
    model: MotionTransformer, tmp_path: Path, place: str
) -> None:
    """A run folder is what users have; where the file lies in it they should not need to know."""
    (tmp_path / "clone").mkdir()
    save_policy(model, tmp_path / place / "policy.safetensors")
    assert same_weights(load_policy(tmp_path), model)


@pytest.mark.parametrize("source", [None, "shipped", shipped_run()])
def test_the_clone_that_ships_is_loaded_without_a_path(source: str | Path | None) -> None:
    """A first try must not need a run of ten minutes."""
    shipped = load_policy(shipped_run() / "clone" / "policy.safetensors")
    assert same_weights(load_policy(source), shipped)


def test_a_folder_without_a_policy_is_refused(tmp_path: Path) -> None:
    """The message says which files were looked for."""
    rule = f"{tmp_path}: must hold policy.safetensors or clone/policy.safetensors, got neither"
    with pytest.raises(InputError, match=re.escape(rule)):
        load_policy(tmp_path)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """A typo in a path is no reason to take the shipped one."""
    rule = "`source` must be 'shipped', a policy file or a run folder, got"
    with pytest.raises(InputError, match=re.escape(rule)):
        load_policy(tmp_path / "none.safetensors")
