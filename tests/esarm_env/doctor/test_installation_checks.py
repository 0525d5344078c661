"""The checks of an installation: versions, extras, rewards of other packages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError, NotInRunError
from esarm_env.core.types import Trajectories
from esarm_env.doctor import INSTALLATION_CHECKS, Result, Subject, run_checks
from esarm_env.rewards import register_reward, registry
from esarm_env.task.animation_task import AnimationTask


def look(name: str) -> Result:
    """Run one check of the installation."""
    (check,) = (check for check in INSTALLATION_CHECKS if check.name == name)
    (result,) = run_checks([check], Subject())
    return result


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Return a dictionary of versions that stand instead of the installed ones; None is none."""
    instead: dict[str, str | None] = {}
    installed = importlib.metadata.version

    def version(name: str) -> str:
        found = instead.get(name, "")
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found or installed(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    return instead


@pytest.mark.parametrize("name", ["python", "packages", "extras", "head", "registration"])
def test_this_installation_is_healthy(name: str) -> None:
    """The tests run in one; a check that fails here fails everywhere."""
    result = look(name)
    assert result.status == "ok", result


def test_the_versions_of_the_main_packages_are_told() -> None:
    """A bug report begins with them."""
    import torch

    text = look("packages").text
    assert f"torch {torch.__version__}" in text
    for name in ("gymnasium", "stable-baselines3", "numpy", "transformers"):
        assert f"{name} {importlib.metadata.version(name)}" in text


def test_packages_out_of_range_are_named_with_their_range(
    versions: dict[str, str | None],
) -> None:
    """All of them at once: an installation is not mended package by package."""
    versions |= {"gymnasium": "0.29.1", "librosa": None, "torch": "2.13.0+cpu"}
    result = look("packages")
    assert result.status == "FAIL"
    assert "gymnasium must be <2,>=1.1, got 0.29.1" in result.text
    assert "librosa must be installed, got none" in result.text
    assert "torch" not in result.text, "a local version is in the range of its release"


def test_a_package_that_only_an_extra_needs_is_no_fault(versions: dict[str, str | None]) -> None:
    """A bare installation is a healthy one."""
    versions |= {"pygltflib": None, "sb3-contrib": "1.0"}
    assert look("packages").status == "ok"
    result = look("extras")
    assert result.status == "ok"
    absent = result.text.split("; not installed: ")[1].split(", ")
    assert {"heads", "contrib"} <= set(absent)


def test_another_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip would refuse it; a checkout on the path is not asked."""
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    result = look("python")
    assert (result.status, result.text) == ("FAIL", "Python must be >=3.10, got 3.9.1")


def test_a_package_without_metadata_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied folder imports, but finds neither rewards nor versions."""

    def nothing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", nothing)
    result = look("packages")
    assert result.status == "FAIL"
    assert "No package metadata was found for esarm" in result.text


def test_a_head_that_stays_still_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every metric would be 0, which looks like a triumph."""
    deltas = np.ones((52, 3, 3), dtype=np.float32)
    deltas[7] = 0
    head = SimpleNamespace(vertices=np.zeros((3, 3)), deltas=deltas)
    monkeypatch.setattr("esarm_env.face.head.load_head", lambda: head)
    assert look("head").text == "shapes that do not move the head: 1"


def test_a_registration_without_vectors_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make_vec` would go on, a hundred times slower."""
    import gymnasium

    spec = gymnasium.spec("ESARM-v0")
    monkeypatch.setattr(spec, "vector_entry_point", None)
    assert "must have a scalar and a vector entry point" in look("registration").text
    monkeypatch.setattr(spec, "vector_entry_point", "esarm_env.nowhere:make")
    assert "No module named 'esarm_env.nowhere'" in look("registration").text


class Scores:
    """A reward that is what it is made with."""

    needs_ground_truth = False

    def __init__(self, value: float) -> None:
        self._value = value

    def score(self, trajectories: Trajectories) -> np.ndarray:
        return np.full(len(trajectories), self._value, dtype=np.float32)


@pytest.fixture
def own_rewards(monkeypatch: pytest.MonkeyPatch, tiny_task: AnimationTask) -> None:
    """Only what a test registers, and a task that needs no shipped file."""
    monkeypatch.setattr(registry.REWARDS, "_registered", {})
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ())
    monkeypatch.setattr("esarm_env.task.opening.open_problem", lambda: (tiny_task, None))


def test_every_installed_reward_is_imported() -> None:
    """Those of the package are listed as they are asked for."""
    result = look("reward plug-ins")
    assert result.status == "ok"
    for usage in ("accuracy", "eve", "learned[:ARGUMENT]", "lve"):
        assert usage in result.text.split(", ")


def test_a_broken_plug_in_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, own_rewards: None
) -> None:
    """Its user learns whom to tell; the others still work."""

    def fail() -> Any:
        raise ImportError("no module 'theirs'\nand more")

    broken = {"theirs": registry.InstalledReward("theirs", "their-package 1.2", fail)}
    monkeypatch.setattr("esarm_env.rewards.find_rewards", lambda: broken)
    result = look("reward plug-ins")
    assert result.status == "FAIL"
    assert "'theirs' of their-package 1.2 (ImportError: no module 'theirs')" in result.text


def test_no_rewards_at_all_are_a_fault(own_rewards: None) -> None:
    """As where the metadata of the installation are of an old version."""
    assert look("reward plug-ins").status == "FAIL"


def test_every_reward_is_made_and_scores(own_rewards: None) -> None:
    """Importing proves little; one that needs an argument can only be imported."""

    def with_argument(task: AnimationTask, run: Path | None, argument: str) -> Scores:
        raise AssertionError("it must not be called")

    register_reward("half", lambda task, run: Scores(0.5))
    register_reward("ensemble", with_argument)
    result = look("rewards")
    assert (result.status, result.text) == ("ok", "half 0.5")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (lambda task, run: Scores(np.nan), "reward 'bad' must be finite, got nan"),
        (lambda task, run: Scores("much"), "could not convert string"),  # type: ignore[arg-type]
        (lambda task, run: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_reward_that_cannot_score_is_named(
    own_rewards: None, factory: Callable[..., Any], message: str
) -> None:
    """The others are tried all the same."""
    register_reward("bad", factory)
    register_reward("worse", lambda task, run: Scores(np.inf))
    result = look("rewards")
    assert result.status == "FAIL"
    assert "'bad' of this process (" in result.text and message in result.text
    assert "'worse' of this process" in result.text


def test_a_reward_without_its_model_is_told(own_rewards: None) -> None:
    """The factory's own message, with its remedy."""

    def refuse(task: AnimationTask, run: Path | None) -> Scores:
        raise InputError("`run` must hold a reward, got none; run `esarm reward` first")

    register_reward("learned", refuse)
    assert "run `esarm reward` first" in look("rewards").text


def test_a_part_that_a_run_does_without_is_no_fault(own_rewards: None) -> None:
    """What ships has no naturalness head, and is sound."""

    def without(task: AnimationTask, run: Path | None) -> Scores:
        raise NotInRunError("the run must hold a naturalness model, got none")

    register_reward("naturalness", without)
    register_reward("half", lambda task, run: Scores(0.5))
    result = look("rewards")
    assert (result.status, result.text) == ("ok", "half 0.5, naturalness not in this run")
