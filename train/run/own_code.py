"""Algorithms and rewards of one's own in a run: `file.py:Class` or `package.module:Class`.

A class is registered under its own name, by which settings, folders and tables know it; where it is
stands in `improve.code`. A run's folder may come from anybody, so code is run only where it was
named in this process (on the command line, or to `make_config`), never because a file says so.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from esarm_env.core.workers.pool import send_by_value

if TYPE_CHECKING:
    from types import ModuleType

    from train.run.settings.sections import ImproveConfig

_named: set[str] = set()
_registered: set[str] = set()
_WORD = re.compile(r"""[^\s\[\]{},"'=]+""")


def with_own_code(settings: ImproveConfig, overrides: Sequence[str]) -> ImproveConfig:
    """Return settings with own code under `code`, and its classes' names in its place.

    Args:
        settings: As they were written.
        overrides: `KEY=VALUE` that were given in this process; code named in them may be run.
    """
    given = {word.rstrip(":") for text in overrides for word in _WORD.findall(text)}
    places = [text for text in settings.algorithms if ":" in text]
    reward = settings.reward
    if isinstance(reward, str):
        places += [reward] if _is_file(reward) else []
        reward = _class_of(reward) if _is_file(reward) else reward
    else:
        places += [text for text in reward if _is_file(text)]
        reward = {_class_of(t) if _is_file(t) else t: weight for t, weight in reward.items()}
    code = tuple(dict.fromkeys((*settings.code, *places)))
    _named.update(text for text in code if text in given)
    return dataclasses.replace(
        settings,
        algorithms=tuple(_class_of(text) if ":" in text else text for text in settings.algorithms),
        reward=reward,
        code=code,
    )


def register_own_code(code: Sequence[str]) -> None:
    """Register the classes of `code` in this process: algorithms as such, others as rewards.

    Raises:
        InputError: If one was not named in this process, cannot be imported, is no class, or is
            called as another algorithm or reward.
    """
    for text in code:
        if text in _registered:
            continue
        if text not in _named:
            raise InputError(
                f"`improve.code` must be named where it is run, got {text!r} from a run's settings "
                "alone; give the command that named it again, or bring the class with a package "
                "(entry points `esarm.algorithms`, `esarm.rewards`)"
            )
        _register(_load(text))
        _registered.add(text)


def named_code() -> tuple[str, ...]:
    """Return the code that was named in this process, for workers that it starts."""
    return tuple(sorted(_named))


def trust_code(code: Sequence[str]) -> None:
    """Let a worker run the code that was named in the process that started it."""
    _named.update(code)


def trust_own_code(code: Sequence[str]) -> None:
    """Register classes that the main process of a training was given by name, and may be run."""
    trust_code(code)
    register_own_code(code)


def own_rewards(settings: ImproveConfig) -> tuple[str, ...]:
    """Return the code of those rewards that are one's own, which measuring needs as well."""
    reward = settings.reward
    names = [reward] if isinstance(reward, str) else list(reward)
    return tuple(text for text in settings.code if _class_of(text) in names)


def _register(kind: type[Any]) -> None:
    from agents import SequenceAlgorithm, register_algorithm
    from esarm_env.rewards import register_reward

    if issubclass(kind, SequenceAlgorithm):
        register_algorithm(kind.__name__, kind)
    else:
        register_reward(kind.__name__, kind)


def _load(text: str) -> type[Any]:
    """Return the class that `text` names.

    Raises:
        InputError: If it cannot be imported, or is no class.
    """
    place, _, name = text.rpartition(":")
    try:
        module = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
        found = getattr(module, name)
    except KeyboardInterrupt:
        raise  # for us
    except BaseException as error:  # an import runs anything, also `sys.exit()`
        raise InputError(
            f"own code must be `file.py:Class` or `package.module:Class` that can be imported, got "
            f"{text!r}: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if not inspect.isclass(found) or found.__name__ != name:
        raise InputError(
            f"own code must be a class under its own name, got {text!r}, {type(found).__name__}"
        )
    return found


def _module_of_file(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"esarm_own_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    send_by_value(spec.name)  # workers cannot import it by this name
    return module


def _module(name: str) -> ModuleType:
    """Import a module that is installed or in the working folder, as `python -m` does."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(here)


def _is_file(text: str) -> bool:
    return ".py:" in text


def _class_of(text: str) -> str:
    return text.rpartition(":")[2]
