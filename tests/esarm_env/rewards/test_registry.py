"""Rewards by name: found without importing anybody, and a broken one harms no other."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esarm_env.core.errors import InputError
from esarm_env.rewards import InstalledReward, find_rewards, register_reward, reward_names

OURS = ("accuracy", "eve", "learned", "lve")

THEIRS = '''
class Theirs:
    """Never shown."""

    needs_ground_truth = True

    def score(self, trajectories):
        return [0.0] * len(trajectories)


def open_theirs(task, run) -> Theirs:
    """What they like best.

    More about it.
    """
    return Theirs()
'''


class Listener:
    """How well it listens."""

    needs_ground_truth = False

    def __init__(self, task: Any, run: Path | None, argument: str = "") -> None:
        self.given = (task, run, argument)

    def score(self, trajectories: Any) -> Any:
        return [1.0] * len(trajectories)


def annotated(task: Any, run: Path | None, argument: str) -> Listener:
    return Listener(task, run, argument)


def bare(task: Any, run: Any, **settings: Any) -> Any:
    return Listener(task, run, **settings)


def found(factory: Any) -> InstalledReward:
    register_reward("mine", factory)
    return find_rewards()["mine"]


def test_our_rewards_are_found_with_the_package_that_brings_them() -> None:
    """A user must see whether a name is ours or somebody's."""
    rewards = find_rewards()
    assert set(OURS) <= set(rewards)
    assert reward_names() == tuple(sorted(rewards)) == tuple(rewards)
    for name in OURS:
        assert rewards[name].name == name
        assert re.fullmatch(r"esarm \d+\.\d+.*", rewards[name].package)


def test_another_packages_reward_is_found_without_importing_it(
    make_package: Callable[..., None],
) -> None:
    """Asking for one reward must not pay for the imports of all."""
    make_package("theirs", THEIRS, their_best="open_theirs")
    reward = find_rewards()["their-best"]
    assert reward.package == "theirs 1.2"
    assert "theirs" not in sys.modules
    assert reward.description == "What they like best."
    assert reward.needs_ground_truth is True
    assert reward.argument == "none"
    assert reward.usage == "their-best"
    assert reward.error is None
    assert reward.load() is sys.modules["theirs"].open_theirs


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("import no_such_module", "f", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise OSError('no licence')", "f", "OSError: no licence"),
        ("def f(:", "f", "SyntaxError: "),
        ("x = 1", "f", "AttributeError: module 'theirs' has no attribute 'f'"),
        ("f = 3", "f", "TypeError: its entry point is a int, not a factory"),
    ],
)
def test_a_broken_package_is_listed_with_its_error_and_harms_no_other(
    make_package: Callable[..., None], source: str, target: str, error: str
) -> None:
    """Somebody's forgotten plug-in would otherwise stop every environment on the machine."""
    make_package("theirs", source, theirs=target)
    reward = find_rewards()["theirs"]
    assert reward.error is not None
    assert reward.error.startswith(error)
    assert (reward.description, reward.needs_ground_truth, reward.usage) == ("", None, "theirs")
    message = f"reward 'theirs' must be importable, got {error}"
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        reward.load()
    assert str(caught.value).endswith("; mend or uninstall theirs 1.2")
    assert caught.value.__cause__ is not None
    assert find_rewards()["lve"].error is None


def test_an_interruption_while_a_package_is_imported_passes(
    make_package: Callable[..., None],
) -> None:
    """Ctrl+C during a slow import is no broken package."""
    make_package("theirs", "raise KeyboardInterrupt('by the test')", theirs="f")
    with pytest.raises(KeyboardInterrupt, match=r"^by the test$"):
        find_rewards()["theirs"].load()


def test_a_name_that_two_packages_bring_is_nobodys(make_package: Callable[..., None]) -> None:
    """Which of them scores would depend on the order of folders, silently."""
    make_package("theirs", THEIRS, best="open_theirs")
    make_package("others", THEIRS, version="0.3", best="open_theirs", calm="open_theirs")
    rewards = find_rewards()
    assert set(rewards["best"].package.split(" and ")) == {"theirs 1.2", "others 0.3"}
    message = "reward 'best' must be importable, got LookupError: the name is brought 2 times"
    with pytest.raises(InputError, match=re.escape(message)):
        rewards["best"].load()
    assert rewards["calm"].error is None


def test_a_registered_reward_is_found_beside_the_installed_ones() -> None:
    """The way of notebooks and tests, which install nothing."""
    reward = found(Listener)
    assert reward.package == "this process"
    assert reward.load() is Listener
    assert reward.description == "How well it listens."
    assert reward.needs_ground_truth is False
    assert reward.usage == "mine[:ARGUMENT]"
    assert set(OURS) < set(reward_names())


def test_a_name_that_is_taken_is_refused_unless_it_is_replaced(
    make_package: Callable[..., None],
) -> None:
    """`lve` that means something else in one notebook makes its tables worthless."""
    make_package("theirs", THEIRS, theirs="open_theirs")
    register_reward("mine", Listener)
    for name, package in (("mine", "this process"), ("theirs", "theirs 1.2"), ("lve", "esarm")):
        message = f"`name` must be free, got {name!r}, brought by {package}"
        with pytest.raises(InputError, match=re.escape(message)):
            register_reward(name, annotated)
        register_reward(name, annotated, replace=True)
        assert find_rewards()[name].load() is annotated
        assert find_rewards()[name].package == "this process"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "tab\t", 3, None])
def test_a_name_that_could_not_be_asked_for_is_refused(name: Any) -> None:
    """What stands behind a colon is the argument."""
    message = f"`name` must be a text without spaces and colons, got {name!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        register_reward(name, Listener)


@pytest.mark.parametrize("name", ["a", "jerk-2", "lve@3", "größe"])
def test_any_other_name_is_allowed(name: str) -> None:
    """Names are keys of `info`, not identifiers."""
    register_reward(name, Listener)
    assert name in reward_names()


def test_an_object_in_the_place_of_a_factory_is_refused() -> None:
    """The most likely mistake; the message says what to do with the object."""
    message = (
        "`factory` must be callable with (task, run), got Listener; "
        "a finished reward needs no name: hand it over as `reward`"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        register_reward("mine", Listener(None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("factory", "argument", "usage", "needs"),
    [
        (Listener, "optional", "mine[:ARGUMENT]", False),
        (annotated, "required", "mine:ARGUMENT", False),
        (bare, "optional", "mine[:ARGUMENT]", None),
        (functools.partial(annotated, argument="x"), "optional", "mine[:ARGUMENT]", None),
        (lambda task, run: Listener(task, run), "none", "mine", None),
        (max, "none", "mine", None),
    ],
)
def test_a_factory_tells_how_it_is_used(
    factory: Any, argument: str, usage: str, needs: bool | None
) -> None:
    """`esarm rewards` shows it; making a reward just to ask it would need a task."""
    reward = found(factory)
    assert (reward.argument, reward.usage, reward.needs_ground_truth) == (argument, usage, needs)


def test_a_factory_without_a_docstring_has_no_description() -> None:
    """A lambda is a factory, too."""
    assert found(lambda task, run: Listener(task, run)).description == ""
    register_reward("other", annotated)
    assert find_rewards()["other"].description == ""


def test_describing_our_rewards_loads_nothing_heavy() -> None:
    """`esarm rewards` would take seconds, most of them torch's."""
    code = (
        "import sys; from esarm_env.rewards import find_rewards; "
        f"print([find_rewards()[name].description for name in {OURS}]); "
        "print(sorted({'torch', 'scipy', 'librosa', 'stable_baselines3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    descriptions, heavy = done.stdout.splitlines()
    assert "Minus the true error of the lips" in descriptions
    assert heavy == "[]"
