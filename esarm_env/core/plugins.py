"""Plug-in registry: objects by name, from entry points of packages and from this process.

One registry per kind (rewards, algorithms, corpus layouts, exporters, metrics), all of one make.
Listing imports none of the packages; one that is broken is listed with its reason and stops nobody.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Generic, TypeVar

from esarm_env.core.errors import InputError, one_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

THIS_PROCESS = "this process"

T = TypeVar("T")
Check = Callable[[object], T]


@dataclass(frozen=True)
class Plugin(Generic[T]):
    """One entry of a registry: who brings it, and the object itself once somebody asks for it.

    `name`, `kind` and `package` import nothing. A plug-in that cannot be imported has an `error`,
    and only `load` raises.

    Attributes:
        name: What to ask for.
        package: The distribution that brings it, with version; "this process" if it was registered
            at run time.
        source: Imports and returns what the entry point names.
        check: Returns that if it is of the right kind; else raises.
        kind: Of its registry, for instance `reward`.
    """

    name: str
    package: str
    source: Callable[[], object] = field(repr=False, compare=False)
    check: Check[T] = field(repr=False, compare=False)
    kind: str = "plug-in"

    @cached_property
    def _loaded(self) -> T | _Failure:
        try:
            return self.check(self.source())
        except KeyboardInterrupt:
            raise  # for us
        except BaseException as error:  # an import runs anything, also `sys.exit()`
            return _Failure(error)

    def load(self) -> T:
        """Return the object that was registered.

        Raises:
            InputError: If its package cannot be imported or brings something else under the name,
                or two packages bring the name.
        """
        if isinstance(self._loaded, _Failure):
            raise InputError(
                f"{self.kind} {self.name!r} must be importable, got {self.error}; "
                f"mend or uninstall {self.package}"
            ) from self._loaded.error
        return self._loaded

    @property
    def error(self) -> str | None:
        """Why it cannot be loaded; None if it can."""
        if isinstance(self._loaded, _Failure):
            error = self._loaded.error
            return f"{type(error).__name__}: {_text(error)}"
        return None

    @property
    def description(self) -> str:
        """One line about it: its own `description`, else of its docstring; empty without either."""
        if isinstance(self._loaded, _Failure):
            return ""
        try:
            own = getattr(self._loaded, "description", None)
            text = own if isinstance(own, str) else inspect.getdoc(self._loaded)
        except Exception:  # a property of somebody else's
            return ""
        return text.splitlines()[0] if text else ""


def _text(error: BaseException) -> str:
    """Return what an error says, one of somebody else's, which may fail at that, too."""
    try:
        return str(error)
    except Exception:
        return "an error that cannot be shown"


@dataclass(frozen=True)
class _Failure:
    """Why a plug-in could not be loaded; of a type that no plug-in is."""

    error: BaseException


class PluginRegistry(Generic[T]):
    """Objects of one kind by name, from an entry-point group and from calls of `register`.

    Attributes:
        kind: One word for messages, for instance `layout`.
        group: Entry-point group that packages bring theirs under, for instance `esarm.layouts`.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        *,
        check: Check[T],
        reserved: Mapping[str, str] | None = None,
    ) -> None:
        """Make a registry in which nothing is registered yet.

        Args:
            kind: See the class.
            group: Likewise.
            check: Returns what an entry point gave if it is of the right kind, and raises a
                TypeError that says what it is else.
            reserved: Names that cannot be one, each with the reason.
        """
        self.kind, self.group = kind, group
        self._check, self._reserved = check, dict(reserved or {})
        self._registered: dict[str, T] = {}

    def find(self) -> dict[str, Plugin[T]]:
        """Return all plug-ins of this kind, sorted by name; imports nothing."""
        from importlib.metadata import entry_points  # gymnasium does without it

        points: dict[str, list[_Point]] = {}
        listed, unreadable = _listed(self.group, entry_points, _installation())
        for point in listed:
            points.setdefault(point.entry.name, []).append(point)
        found = {name: self._brought(name, same) for name, same in points.items()}
        for package, reason in unreadable.items():
            # A name with spaces is nobody's.
            name = f"all of {package}"
            found[name] = self._plugin(name, package, partial(_raise, LookupError(reason)))
        for name in self._registered:
            source = partial(self._registered.get, name)
            found[name] = self._plugin(name, THIS_PROCESS, source)
        return dict(sorted(found.items()))

    def names(self) -> tuple[str, ...]:
        """Return the names that can be asked for, sorted; imports nothing."""
        return tuple(self.find())

    def load(self, name: str, *, setting: str) -> T:
        """Return what is called `name`.

        Raises:
            InputError: If nothing is, with what there is; or if it cannot be loaded. The message
                names the `setting` that the name was given for.
        """
        known = self.find()
        if name not in known:
            raise InputError(unknown_name(name, known, setting=setting, kind=self.kind))
        return known[name].load()

    def register(self, name: str, value: T, *, replace: bool = False) -> None:
        """Let `name` stand for `value` in this process, beside what installed packages bring.

        Worker processes do not know it; a package registers one for good by an entry point.

        Args:
            name: Without spaces and colons.
            value: Of the right kind already.
            replace: Whether a name that is taken may be taken over, also from a package.

        Raises:
            InputError: If the name is taken or cannot be one.
        """
        if not isinstance(name, str) or not re.fullmatch(r"[^\s:]+", name):
            raise InputError(f"`name` must be a text without spaces and colons, got {name!r}")
        if name in self._reserved:
            raise InputError(f"`name` must be free, got {name!r}, which is {self._reserved[name]}")
        known = self.find()
        if name in known and not replace:
            raise InputError(
                f"`name` must be free, got {name!r}, brought by {known[name].package}; "
                "choose another, or take it over with `replace=True`"
            )
        self._registered[name] = value

    def _plugin(self, name: str, package: str, source: Callable[[], object]) -> Plugin[T]:
        return Plugin(name, package, source, self._check, self.kind)

    def _brought(self, name: str, points: list[_Point]) -> Plugin[T]:
        """Return what packages bring under one name; of two, which it is would be chance."""
        package = " and ".join(point.package for point in points)

        def source() -> object:
            if name in self._reserved:
                raise LookupError(f"the name is {self._reserved[name]}")
            if len(points) > 1:
                raise LookupError(f"the name is brought {len(points)} times")
            return points[0].entry.load()

        return self._plugin(name, package, source)


@dataclass(frozen=True)
class _Point:
    """An entry point, and the distribution that brings it, with version."""

    entry: EntryPoint
    package: str


def _installation() -> tuple[object, ...]:
    """Return what changes as a package comes or goes: the search path, each folder with its time.

    Packages whose files change in place, without a new name, are not noticed before the next start.
    """
    return (*map(id, sys.meta_path), *map(_folder, sys.path))


def _folder(path: str) -> tuple[object, ...]:
    """Return a place of the search path and when something was last put there or taken away."""
    try:
        found = os.stat(path or ".")
    except (OSError, TypeError, ValueError):
        return (path,)
    return path, found.st_dev, found.st_ino, found.st_mtime_ns


@lru_cache(maxsize=64)
def _listed(
    group: str, read: Callable[..., Iterable[EntryPoint]], installation: object
) -> tuple[tuple[_Point, ...], Mapping[str, str]]:
    """Return what `_entry_points` finds, read once for each state of the installation.

    Every environment and every setting asks; the files of all packages take tens of milliseconds.

    Args:
        group: Of the entry points.
        read: Python's reader.
        installation: As `_installation` returns it.
    """
    listed, unreadable = _entry_points(group, read)
    # Their names are read from a file of each package, anew every time.
    packages = {id(entry.dist): entry for entry in listed}
    names = {dist: _package(entry) for dist, entry in packages.items()}
    return tuple(_Point(entry, names[id(entry.dist)]) for entry in listed), unreadable


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def _entry_points(
    group: str, read: Callable[..., Iterable[EntryPoint]]
) -> tuple[list[EntryPoint], dict[str, str]]:
    """Return the entry points of a group, and of packages that may have some the error by name."""
    from importlib.metadata import distributions  # gymnasium does without it

    with contextlib.suppress(Exception):  # Python's reader ends at the first damaged file
        return list(read(group=group)), {}
    points: dict[str, list[EntryPoint]] = {}
    unreadable: dict[str, str] = {}
    for number, package in enumerate(distributions()):
        name = _text_of(partial(getattr, package, "name")) or f"package {number}"
        if name in points or name in unreadable:
            continue  # the first on the path is what is imported
        try:
            points[name] = [point for point in package.entry_points if point.group == group]
        except Exception as error:
            text = _text_of(partial(package.read_text, "entry_points.txt"))
            if text is None or "esarm." in text:
                unreadable[name] = f"its entry_points.txt cannot be read ({one_line(error)})"
    return [point for each in points.values() for point in each], unreadable


def _text_of(read: Callable[[], str | None]) -> str | None:
    """Return what damaged metadata say; None if even that fails."""
    try:
        return read()
    except Exception:
        return None


def _raise(error: Exception) -> object:
    raise error


def unknown_name(
    name: object,
    known: Mapping[str, object],
    *,
    setting: str,
    kind: str,
    given: object = None,
) -> str:
    """Return the message about a name that no plug-in has: those there are, and the nearest one.

    Args:
        name: That was asked for.
        known: Those there are.
        setting: What the name was given for.
        kind: Of plug-ins.
        given: What was written, if that is more than the name.
    """
    given = name if given is None else given
    if not known:
        return (
            f"`{setting}` must be the name of an installed {kind}, got {given!r}, and there is "
            "none; the package's metadata are out of date, so install it again: "
            "`pip install --upgrade --force-reinstall esarm`, or `pip install -e .` in a checkout"
        )
    hint = did_you_mean(str(name), known)
    return f"`{setting}` must be one of {', '.join(known)}, got {given!r}{hint}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message: the known name that is nearest to `name`, if one is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def need_class(kind: type[T], described: str) -> Check[T]:
    """Return a check that lets instances of `kind` pass; `described` says what that is.

    Raises:
        TypeError: The check does, for anything else.
    """

    def check(value: object) -> T:
        if isinstance(value, kind):
            return value
        raise TypeError(f"its entry point is a {type(value).__name__}, not {described}")

    return check
