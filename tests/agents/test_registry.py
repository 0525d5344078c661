"""Algorithms by name: ours and other packages', and which settings each one takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import agents
from agents import (
    EpisodeAlgorithm,
    SequenceAlgorithm,
    SequenceDiffReward,
    SequenceDistillation,
    SequenceGRPO,
    SequencePPO,
    SequenceReinforce,
    register_algorithm,
)
from agents.registry import ALGORITHM_GROUP, ALGORITHMS, takes
from esarm_env.core.errors import InputError

THEIRS = '''
from agents import SequencePPO


class Mild(SequencePPO):
    """PPO of others."""

    def __init__(self, policy, env, *, clip_range=0.1):
        super().__init__(policy, env, clip_range=clip_range)
'''


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registered."""
    monkeypatch.setattr(ALGORITHMS, "_registered", {})


def test_our_algorithms_are_found_by_name() -> None:
    """GRPO stood in the package for months, and no run could ask for it."""
    ours = {
        "ppo": SequencePPO,
        "reinforce": SequenceReinforce,
        "grpo": SequenceGRPO,
        "distillation": SequenceDistillation,
        "diff-reward": SequenceDiffReward,
    }
    for name, kind in ours.items():
        assert ALGORITHMS.load(name, setting="improve.algorithms") is kind
        assert re.fullmatch(r"esarm \S+", ALGORITHMS.find()[name].package)
    assert agents.register_algorithm is register_algorithm


def test_what_help_refers_to_is_imported_from_where_it_says() -> None:
    """`help` of `compute_advantages` named a class that `agents` did not offer."""
    assert "`agents.EpisodeAlgorithm`" in str(SequenceAlgorithm.compute_advantages.__doc__)
    assert issubclass(SequencePPO, EpisodeAlgorithm)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"klcoef": 0.3}, "'klcoef'; did you mean `kl_coef`?"),
        ({"cliprange": 0.3}, "'cliprange'; did you mean `clip_range`?"),
        ({"zzz": 0.3}, "'zzz'"),
    ],
)
def test_a_misspelt_keyword_is_told_the_nearest(given: dict[str, float], said: str) -> None:
    """Python's own error leaves one to look through two docstrings."""
    message = f"SequencePPO.__init__() got an unexpected keyword argument {said}"
    with pytest.raises(TypeError, match=re.escape(message) + "$"):
        SequencePPO("MotionPolicy", "ESARM-v0", **given)  # type: ignore[arg-type]  # the point


def test_an_algorithm_of_another_package_is_found(make_package: Callable[..., None]) -> None:
    """What a paper's authors publish is tried by its name alone."""
    make_package("theirs", THEIRS, group=ALGORITHM_GROUP, mild="Mild")
    found = ALGORITHMS.find()["mild"]
    assert (found.package, found.description) == ("theirs 1.2", "PPO of others.")
    assert issubclass(found.load(), SequencePPO)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
        (
            "class Mild: pass",
            "TypeError: its entry point is the class Mild, not a subclass of `SequenceAlgorithm`",
        ),
        (
            "Mild = 3",
            "TypeError: its entry point is a int, not a subclass of `SequenceAlgorithm`",
        ),
    ],
)
def test_a_broken_algorithm_is_listed_with_its_reason(
    make_package: Callable[..., None], source: str, error: str
) -> None:
    """Ours must go on training beside it."""
    make_package("theirs", source, group=ALGORITHM_GROUP, mild="Mild")
    assert ALGORITHMS.find()["mild"].error == error
    message = f"algorithm 'mild' must be importable, got {error}; mend or uninstall theirs 1.2"
    with pytest.raises(InputError, match=re.escape(message)):
        ALGORITHMS.load("mild", setting="improve.algorithms")
    assert ALGORITHMS.load("ppo", setting="improve.algorithms") is SequencePPO


def test_a_registered_algorithm_is_found() -> None:
    """The way of notebooks."""

    class Mine(SequencePPO):
        """Mine."""

    register_algorithm("mine", Mine)
    assert ALGORITHMS.load("mine", setting="improve.algorithms") is Mine
    assert ALGORITHMS.find()["mine"].package == "this process"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mine", dict, "`algorithm` must be a subclass of `SequenceAlgorithm`, got the class dict"),
        ("mine", 3, "`algorithm` must be a subclass of `SequenceAlgorithm`, got a int"),
        ("ppo", SequencePPO, "`name` must be free, got 'ppo', brought by esarm"),
        (
            "clone",
            SequencePPO,
            "`name` must be free, got 'clone', which is the policy that improvement begins with",
        ),
        ("auto", SequencePPO, "`name` must be free, got 'auto', which is the best policy of a run"),
    ],
)
def test_what_cannot_be_registered_is_refused(name: str, value: Any, message: str) -> None:
    """A run keeps its policies by these names: one called `clone` would overwrite the clone."""
    with pytest.raises(InputError, match=re.escape(message)):
        register_algorithm(name, value)


class Strict(SequencePPO):
    """Hands nothing on."""

    def __init__(self, policy: Any, env: Any, *, clip_range: float = 0.1) -> None:
        super().__init__(policy, env, clip_range=clip_range)


@pytest.mark.parametrize(
    ("algorithm", "setting", "taken"),
    [
        (SequencePPO, "value_warmup", True),
        (SequencePPO, "batch_tokens", True),
        (SequencePPO, "seed", True),
        (SequencePPO, "no_such_setting", False),
        (SequenceGRPO, "batch_tokens", True),
        (SequenceGRPO, "value_warmup", False),
        (SequenceGRPO, "gamma", False),
        (SequenceReinforce, "batch_tokens", False),
        (SequenceReinforce, "value_warmup", False),
        (SequenceReinforce, "n_episodes", True),
        (Strict, "clip_range", True),
        (Strict, "batch_tokens", False),
    ],
)
def test_an_algorithm_tells_which_settings_it_takes(
    algorithm: Any, setting: str, taken: bool
) -> None:
    """One that it does not know would end its making with a TypeError about keywords."""
    assert takes(algorithm, setting) is taken
