"""Registry of algorithms: ours, and those of other packages (entry points `esarm.algorithms`)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from esarm_env.core.plugins import PluginRegistry

if TYPE_CHECKING:
    from agents.common.sequence_algorithm import SequenceAlgorithm

ALGORITHM_GROUP = "esarm.algorithms"


def _what_else(value: object) -> str | None:
    """Return in words what `value` is; None if it is an algorithm."""
    from agents.common.sequence_algorithm import SequenceAlgorithm

    if not inspect.isclass(value):
        return f"a {type(value).__name__}"
    return None if issubclass(value, SequenceAlgorithm) else f"the class {value.__name__}"


def _check_algorithm(value: object) -> type[SequenceAlgorithm]:
    wrong = _what_else(value)
    if wrong is not None:
        raise TypeError(f"its entry point is {wrong}, not a subclass of `SequenceAlgorithm`")
    return value  # type: ignore[return-value]  # as was found out


# A run keeps the policy of each algorithm in a folder of its name, beside those of these names.
ALGORITHMS: PluginRegistry[type[SequenceAlgorithm]] = PluginRegistry(
    "algorithm",
    ALGORITHM_GROUP,
    check=_check_algorithm,
    reserved={
        "clone": "the policy that improvement begins with",
        "auto": "the best policy of a run",
    },
)


def register_algorithm(
    name: str, algorithm: type[SequenceAlgorithm], *, replace: bool = False
) -> None:
    """Let `name` stand for an algorithm in this process, as in the setting `improve.algorithms`.

    A package registers one for good through the entry-point group `esarm.algorithms`.

    Args:
        name: Without spaces and colons.
        algorithm: A subclass of `SequenceAlgorithm`, made as its base is.
        replace: Whether a name that is taken may be taken over, also from a package.

    Raises:
        InputError: If the name is taken or cannot be one, or `algorithm` is no such class.
    """
    wrong = _what_else(algorithm)
    if wrong is not None:
        raise InputError(f"`algorithm` must be a subclass of `SequenceAlgorithm`, got {wrong}")
    ALGORITHMS.register(name, algorithm, replace=replace)


def takes(algorithm: type[SequenceAlgorithm], setting: str) -> bool:
    """Return whether `algorithm` can be made with an argument called `setting`.

    Its constructor or one that it hands `**kwargs` on to names the argument, and the algorithm does
    not fix it itself.
    """
    if setting in algorithm.fixed_settings:
        return False
    for kind in algorithm.__mro__:
        if "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(vars(kind)["__init__"]).parameters
        if setting in parameters:
            return True
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            return False
    return False
