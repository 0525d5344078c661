"""Options of a command, as its signature and docstrings tell them.

tyro reads the same signature when it parses; here it is read for whoever asks for help. What tyro
prints of an option that may be left out, `{None}|PATH` and `(default: None)`, tells a user nothing.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from train.manual.docstrings import documented

WHOLE, NUMBER, MANY, PAIRS = "N", "NUMBER", " ...", "NAME VALUE ..."
_VALUES = {Path: "PATH", str: "TEXT", int: WHOLE, float: NUMBER}
_SAYS_DEFAULT = re.compile(r"\b(by default|default[: ]|\(default\b)")


@dataclass(frozen=True)
class Option:
    """An option or a positional argument of a command.

    Attributes:
        names: Its spellings, the one to show last; of a positional argument its name in capitals.
        value: What stands behind it, such as `PATH`; empty for a switch.
        choices: The values there are, where they are few and known.
        meaning: What it does, with its default if it has one that can be told.
        required: Whether it must be given.
        positional: Whether it is given without a name.
    """

    names: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    meaning: str
    required: bool
    positional: bool

    @property
    def shown(self) -> str:
        """The option as it is written, such as `-o, --output PATH`."""
        names = ", ".join(self.names)
        return f"{names} {self.value}" if self.value and not self.positional else names

    @property
    def needed(self) -> str:
        """The option as a command line needs it: by one name, with its value."""
        if self.positional:
            return self.names[-1] + (MANY if self.value.endswith(MANY) else "")
        return f"{self.names[-1]} {self.value}".strip()

    @property
    def spellings(self) -> tuple[str, ...]:
        """All names that it is given by; none of a positional argument."""
        names = () if self.positional else self.names
        return tuple(name.strip() for shown in names for name in shown.split(","))

    @property
    def accepted(self) -> tuple[str, ...]:
        """All names that are understood; a switch that is off may also be switched off."""
        off = tuple(name.replace("--", "--no-", 1) for name in self.spellings)
        return self.spellings if self.value else tuple(dict.fromkeys((*self.spellings, *off)))


@dataclass(frozen=True)
class Group:
    """Options that stand together.

    Attributes:
        title: What they are about; empty for those of the command itself.
        options: In the order of the signature.
    """

    title: str
    options: tuple[Option, ...]


def options_of(command: Callable[..., None]) -> tuple[Group, ...]:
    """Return the options of a command: its own, then those of each class of settings it takes."""
    hints = get_type_hints(command, include_extras=True)
    meanings = documented(command).meanings
    own: list[Option] = []
    groups: list[Group] = []
    for name, parameter in inspect.signature(command).parameters.items():
        hint, marks = _unwrapped(hints[name])
        meaning = meanings.get(name, "")
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            bare = any(mark is tyro.conf.OmitArgPrefixes for mark in marks)
            prefix = "" if bare else f"{name}."
            groups.append(Group(meaning.rstrip("."), tuple(_fields(hint, prefix))))
            continue
        positional = parameter.kind is parameter.POSITIONAL_ONLY
        positional |= any(mark is tyro.conf.Positional for mark in marks)
        own.append(_option(name, hints[name], parameter.default, meaning, positional=positional))
    return (Group("", tuple(own)), *groups)


def _fields(kind: type[Any], prefix: str) -> Iterator[Option]:
    """Yield the options that the fields of a class of settings are."""
    hints = get_type_hints(kind, include_extras=True)
    meanings: dict[str, str] = {}
    for base in reversed(kind.__mro__):  # a class says what it adds to those that it is made of
        meanings |= documented(base).meanings if dataclasses.is_dataclass(base) else {}
    for field in dataclasses.fields(kind):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        meaning = meanings.get(field.name, "")
        yield _option(prefix + field.name, hints[field.name], default, meaning)


def _option(
    name: str, hint: Any, default: Any, meaning: str, *, positional: bool = False
) -> Option:
    plain, marks = _unwrapped(hint)
    repeated = any(mark is tyro.conf.UseAppendAction for mark in marks)
    required = default in (inspect.Parameter.empty, dataclasses.MISSING)
    value, choices = _value_of(plain, repeated=repeated)
    if positional:
        names = (name.upper().replace("_", "-"),)
    else:
        # `from` and `as` are words of Python's, so these options have another name in the code.
        named = [mark.name for mark in marks if getattr(mark, "name", None)]
        spelled = (named or [name])[0].replace("_", "-")
        aliases = [alias for mark in marks for alias in getattr(mark, "aliases", None) or ()]
        long = f"--{spelled}, --no-{spelled}" if default is True else f"--{spelled}"
        names = (*aliases, long)
    meaning = re.sub(r"\[(default: [^]]*)\]", r"(\1)", meaning)
    told = _told(plain, default, repeated=repeated)
    if not required and told and not _SAYS_DEFAULT.search(meaning):
        meaning = f"{meaning} (default: {told})".strip()
    return Option(names, value, choices, meaning, required, positional)


def _unwrapped(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without `Annotated` and without None, and what it was annotated with."""
    marks: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *annotations = get_args(hint)
        marks = tuple(annotations)
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        if len(kinds) == 1:
            inner, more = _unwrapped(kinds[0])
            return inner, (*marks, *more)
    return hint, marks


def _value_of(kind: Any, *, repeated: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return what stands behind an option of this type, and the choices if there are any."""
    if kind is bool:
        return "", ()
    if get_origin(kind) is Literal:
        choices = tuple(map(str, get_args(kind)))
        return "{" + ",".join(choices) + "}", choices
    if get_origin(kind) is tuple:
        one, choices = _value_of(get_args(kind)[0])
        return one if repeated else one + MANY, choices
    if get_origin(kind) in (dict, Mapping) or kind is Mapping:
        return PAIRS, ()
    return _VALUES.get(kind, "TEXT"), ()


def _told(kind: Any, default: Any, *, repeated: bool) -> str:
    """Return a default as a user would write it; empty for one that means `not given`."""
    if default is None or default == () or default == "" or repeated:
        return ""
    if kind is bool:
        return "on" if default is True else ""
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    if isinstance(default, Mapping):
        return " ".join(f"{name} {value}" for name, value in default.items())
    return str(default)
