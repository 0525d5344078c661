"""Old spellings: they work for one version, and warn with the new one.

| renamed | goes through |
|---|---|
| a keyword of a function | `renamed_arguments`, a decorator |
| a field of a dataclass | `renamed_fields`, a decorator |
| an attribute | `renamed_attribute`, a property |
| names of settings in a dict | `renamed_keys` |
| one setting that became several | the same three, with a tuple of new names |
| a name in a module | `moved`, which makes the module's `__getattr__` |

A warning blames the first line outside of our packages, whose author can mend it: Python shows
deprecations of the main script alone.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from esarm_env.core.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")
Class = TypeVar("Class", bound=type)

# What an old name is called now: several names where one setting was split.
NewName = str | tuple[str, ...]

_ROOT = Path(__file__).parents[2]
_OURS = tuple(f"{_ROOT / package}/" for package in ("esarm_env", "agents", "reward", "train"))
_SKIPPED = (*_OURS, "<frozen importlib", str(Path(functools.__file__)))


def warn_renamed(old: str, *new: str) -> None:
    """Warn that `old` is now called `new`, one name or several."""
    frame = _users_frame(sys._getframe(1))
    names = " and ".join(f"`{name}`" for name in new)
    warnings.warn_explicit(
        f"`{old}` is deprecated and goes with the next version; use {names}",
        DeprecationWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__") or "<unknown>",
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _users_frame(frame: FrameType) -> FrameType:
    """Return the first frame from `frame` on that is not ours; the outermost if all are."""
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_SKIPPED):
        frame = frame.f_back
    return frame


def renamed_keys(
    values: Mapping[str, Any],
    names: Mapping[str, NewName],
    *,
    prefix: str = "",
    silent: bool = False,
) -> dict[str, Any]:
    """Return a copy of `values` with old names replaced by new ones, in their order.

    Args:
        values: Settings by name, for instance keyword arguments or a section of a configuration.
        names: New name by old name, or several, which all get the value.
        prefix: What messages put in front of a name, for instance `clone.`.
        silent: Whether to say nothing: what was saved by an older version is no mistake.

    Raises:
        InputError: If a setting is given under both names.
    """
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name not in names:
            made[name] = value
            continue
        news = _all_of(names[name])
        for new in news:
            if new in values:
                raise InputError(
                    f"`{prefix}{name}` must be left out beside `{prefix}{new}`, its new name, "
                    f"got {value!r} and {values[new]!r}"
                )
            made[new] = value
        if not silent:
            warn_renamed(prefix + name, *(prefix + new for new in news))
    return made


def _all_of(new: NewName) -> tuple[str, ...]:
    return (new,) if isinstance(new, str) else new


@functools.lru_cache(maxsize=256)  # asked for at every call
def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _check_known(function: Callable[..., Any], args: Sequence[Any], given: Iterable[str]) -> None:
    """Refuse a keyword that `function` lacks as Python does, with the nearest that there is.

    To a constructor belong those of derived classes, which hand on their `**kwargs`.
    """
    taken = _parameters(function)
    unknown = [name for name in given if name not in taken]
    if not unknown or any(each.kind is each.VAR_KEYWORD for each in taken.values()):
        return
    called, known = function.__name__, set(taken)
    if called == "__init__" and args:
        mro = type(args[0]).__mro__
        called = f"{mro[0].__name__}.__init__"
        made = [vars(kind)["__init__"] for kind in mro if "__init__" in vars(kind)]
        own = itertools.takewhile(lambda each: inspect.unwrap(each) is not function, made)
        known |= {name for each in own for name in inspect.signature(each).parameters}
    near = difflib.get_close_matches(unknown[0], known, n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    raise TypeError(f"{called}() got an unexpected keyword argument {unknown[0]!r}{hint}")


def renamed_arguments(**names: NewName) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that lets a function take keywords by their old names.

    One that it takes under no name is a `TypeError`, as ever, with the nearest that there is.

    Args:
        **names: New name by old name.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def renamed(*args: P.args, **kwargs: P.kwargs) -> R:
            if not names.keys().isdisjoint(kwargs):
                kwargs = renamed_keys(kwargs, names)  # type: ignore[assignment]
            _check_known(function, args, kwargs)
            return function(*args, **kwargs)

        return renamed

    return decorate


def renamed_attribute(old: str, new: NewName) -> Any:
    """Return a property for the attribute `old` of a class that is `new` now.

    Where it became several, it can be read while these are equal.
    """
    names = _all_of(new)

    def read(self: Any) -> Any:
        kind = type(self).__name__
        warn_renamed(f"{kind}.{old}", *(f"{kind}.{name}" for name in names))
        values = [getattr(self, name) for name in names]
        if any(value != values[0] for value in values):
            pairs = zip(names, values, strict=True)
            found = ", ".join(f"`{name}` is {value!r}" for name, value in pairs)
            raise AttributeError(f"{kind} has no single `{old}`: {found}")
        return values[0]

    def write(self: Any, value: Any) -> None:
        kind = type(self).__name__
        warn_renamed(f"{kind}.{old}", *(f"{kind}.{name}" for name in names))
        for name in names:
            setattr(self, name, value)

    return property(read, write, doc=f"Old name of {' and '.join(f'`{name}`' for name in names)}.")


def renamed_fields(**names: NewName) -> Callable[[Class], Class]:
    """Return a decorator that lets a dataclass know its fields by their old names, too.

    It stands above `@dataclass`. The constructor and attributes warn; what was pickled under the
    old names is taken without a word. `old_names_of` tells the names.

    Args:
        **names: New name by old name.
    """

    def decorate(kind: Class) -> Class:
        def set_state(self: Any, state: dict[str, Any]) -> None:
            self.__dict__.update(renamed_keys(state, names, silent=True))

        made: Any = kind
        made.__init__ = renamed_arguments(**names)(made.__init__)
        made.__setstate__ = set_state
        made._old_names = dict(names)
        for old, new in names.items():
            setattr(made, old, renamed_attribute(old, new))
        return kind

    return decorate


def old_names_of(kind: type[Any]) -> dict[str, NewName]:
    """Return the new name of each field of a dataclass by its old name; most have none."""
    return dict(getattr(kind, "_old_names", {}))


def moved(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's `__getattr__` that warns and takes names from their new places.

    Args:
        module: Name of the module that they have left.
        homes: `package.module:NAME` by old name; the warning names it.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = homes[name].partition(":")
        warn_renamed(f"{module}.{name}", f"{home}.{new}")
        return getattr(import_module(home), new)

    return find
