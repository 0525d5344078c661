"""Docstrings of public names: every argument is in them."""

from __future__ import annotations

import inspect
import re
from typing import Any, is_typeddict

import pytest

import agents
import esarm_env
from esarm_env.envs.registration import make_env, make_vector_env

PUBLIC = [(package, name) for package in (esarm_env, agents) for name in package.__all__]
_NOT_OURS = {"self", "args", "kwargs", "_init_setup_model"}


def documented(thing: Any) -> str:
    """Return the docstrings that `help` shows: of a class also its constructor's and its bases'."""
    if not inspect.isclass(thing):
        return inspect.getdoc(thing) or ""
    owners = [base for base in thing.__mro__ if base is not object]
    return "\n".join(f"{base.__doc__}\n{base.__init__.__doc__}" for base in owners)


def arguments_of(thing: Any) -> list[str]:
    """Return the names of the arguments; of a dictionary of options, its keys."""
    if is_typeddict(thing):
        return list(thing.__annotations__)
    return list(inspect.signature(thing).parameters)


@pytest.mark.parametrize(
    ("package", "name"), PUBLIC, ids=[f"{package.__name__}.{name}" for package, name in PUBLIC]
)
def test_help_tells_every_argument(package: Any, name: str) -> None:
    """An argument that `help` does not name is found by whoever reads the code alone."""
    thing = getattr(package, name)
    if not callable(thing) or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return
    text = documented(thing)
    arguments = set(arguments_of(thing)) - _NOT_OURS
    assert not [each for each in arguments if not re.search(rf"\b{each}\b", text)]


def test_help_of_the_environment_tells_what_make_takes() -> None:
    """`observation` is of `gymnasium.make`, and stood in no docstring that `help` shows."""
    text = documented(esarm_env.SpeechAnimationEnv)
    for maker in (make_env, make_vector_env):
        ours = set(inspect.signature(maker).parameters) - _NOT_OURS - {"num_envs"}
        assert not [
            each for each in ours - {"max_episode_steps"} if not re.search(rf"`{each}`", text)
        ]
