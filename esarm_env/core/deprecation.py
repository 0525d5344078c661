"""Old spellings: they work for one version and warn with the new one.

A renamed keyword goes through `renamed_argument`, names of a settings dict through `renamed_keys`,
and a module or package that only forwards to the new place through `moved`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from esarm_env.core.errors import InputError


def warn_renamed(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Warn that `old` is now called `new`; by default the caller's caller is to blame."""
    warnings.warn(
        f"`{old}` is deprecated and goes with the next version; use `{new}`",
        DeprecationWarning,
        stacklevel=stacklevel,
    )


def renamed_keys(
    values: Mapping[str, Any],
    names: Mapping[str, str],
    *,
    prefix: str = "",
    silent: bool = False,
    stacklevel: int = 2,
) -> dict[str, Any]:
    """Return a copy of `values` with old names replaced by new ones, in their order.

    Args:
        values: Settings by name, for instance keyword arguments or a section of a configuration.
        names: New name by old name.
        prefix: What messages put in front of a name, for instance `clone.`.
        silent: Whether to say nothing: what was saved by an older version is no mistake.
        stacklevel: Whom the warning blames: 1 the caller, 2 the caller's caller, and so on.

    Raises:
        InputError: If a setting is given under both names.
    """
    made: dict[str, Any] = {}
    for name, value in values.items():
        new = names.get(name, name)
        if new != name:
            if new in values:
                raise InputError(
                    f"`{prefix}{name}` must be left out beside `{prefix}{new}`, its new name, "
                    f"got {value!r} and {values[new]!r}"
                )
            if not silent:
                warn_renamed(prefix + name, prefix + new, stacklevel=stacklevel + 2)
        made[new] = value
    return made


def moved(module: str, homes: Mapping[str, str], *, stacklevel: int = 3) -> Callable[[str], Any]:
    """Return a module's `__getattr__` that warns and takes names from their new places.

    Args:
        module: Name of the module that they have left.
        homes: `package.module:NAME` by old name; the warning names it.
        stacklevel: One more where a `__getattr__` of the module's own calls this one.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = homes[name].partition(":")
        warn_renamed(f"{module}.{name}", f"{home}.{new}", stacklevel=stacklevel)
        return getattr(import_module(home), new)

    return find
