"""Which rewards there are: those that installed packages bring, and those registered here.

Finding them imports none of the packages; only asking for more than name and package does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from esarm_env.core.errors import InputError
from esarm_env.core.types import RewardFunction

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

REWARD_GROUP = "esarm.rewards"
THIS_PROCESS = "this process"

# Called as `factory(task, run)`, or with `argument=` where `NAME:ARGUMENT` was asked for.
RewardFactory = Callable[..., RewardFunction]

_registered: dict[str, RewardFactory] = {}


@dataclass(frozen=True)
class InstalledReward:
    """A reward that can be asked for by name.

    All but `name` and `package` import the package that brings it. One that cannot be imported is
    listed like the others; its `error` says why, and only `load` raises.

    Attributes:
        name: What to ask for.
        package: The distribution that brings it, with version; "this process" if it came from
            `register_reward`.
    """

    name: str
    package: str
    _source: Callable[[], Any] = field(repr=False, compare=False)

    @cached_property
    def _loaded(self) -> RewardFactory | Exception:
        try:
            found = self._source()
            if not callable(found):
                raise TypeError(f"its entry point is a {type(found).__name__}, not a factory")
        except Exception as error:  # an import runs anything
            return error
        factory: RewardFactory = found
        return factory

    def load(self) -> RewardFactory:
        """Return the factory.

        Raises:
            InputError: If the package that brings it cannot be imported, or two bring the name.
        """
        if isinstance(self._loaded, Exception):
            raise InputError(
                f"reward {self.name!r} must be importable, got {self.error}; "
                f"mend or uninstall {self.package}"
            ) from self._loaded
        return self._loaded

    @property
    def error(self) -> str | None:
        """Why it cannot be loaded; None if it can."""
        if isinstance(self._loaded, Exception):
            return f"{type(self._loaded).__name__}: {self._loaded}"
        return None

    @property
    def description(self) -> str:
        """First line of the factory's docstring; empty without one."""
        text = None if isinstance(self._loaded, Exception) else inspect.getdoc(self._loaded)
        return text.splitlines()[0] if text else ""

    @property
    def needs_ground_truth(self) -> bool | None:
        """Whether it looks at the recorded motion; None where that shows only once it is made.

        It shows where the factory is the reward's class, or is annotated to return one, and the
        class says so.
        """
        made: Any = self._loaded
        if not inspect.isclass(made):
            made = getattr(made, "__annotations__", {}).get("return")
        if isinstance(made, str):  # as under `from __future__ import annotations`
            made = getattr(self._loaded, "__globals__", {}).get(made)
        needs = getattr(made, "needs_ground_truth", None)
        return needs if isinstance(needs, bool) else None

    @property
    def argument(self) -> Literal["none", "optional", "required"]:
        """Whether the name may or must be followed by `:ARGUMENT`."""
        if isinstance(self._loaded, Exception):
            return "none"
        try:
            parameters = inspect.signature(self._loaded).parameters
        except (TypeError, ValueError):  # as of functions written in C
            return "none"
        if "argument" in parameters:
            required = parameters["argument"].default is inspect.Parameter.empty
            return "required" if required else "optional"
        kinds = {parameter.kind for parameter in parameters.values()}
        return "optional" if inspect.Parameter.VAR_KEYWORD in kinds else "none"

    @property
    def usage(self) -> str:
        """The name as it is given, for instance `learned[:ARGUMENT]`."""
        suffix = {"none": "", "optional": "[:ARGUMENT]", "required": ":ARGUMENT"}
        return self.name + suffix[self.argument]


def register_reward(name: str, factory: RewardFactory, *, replace: bool = False) -> None:
    """Let `name` stand for a reward in this process, beside those of installed packages.

    Worker processes do not know it; a package registers one for good through the entry-point
    group `esarm.rewards`.

    Args:
        name: Without spaces and colons.
        factory: Called with the task and the run folder (a path or None); returns the reward. If
            it has a parameter `argument`, the name may be given as `NAME:ARGUMENT`. The class of
            the reward may be its own factory.
        replace: Whether a name that is taken may be taken over, also from a package.

    Raises:
        InputError: If the name is taken or cannot be one, or the factory cannot be called.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[^\s:]+", name):
        raise InputError(f"`name` must be a text without spaces and colons, got {name!r}")
    if not callable(factory):
        raise InputError(
            f"`factory` must be callable with (task, run), got {type(factory).__name__}; "
            "a finished reward needs no name: hand it over as `reward`"
        )
    known = find_rewards()
    if name in known and not replace:
        raise InputError(
            f"`name` must be free, got {name!r}, brought by {known[name].package}; "
            "choose another, or take it over with `replace=True`"
        )
    _registered[name] = factory


def reward_names() -> tuple[str, ...]:
    """Return the names that can be asked for, sorted; imports nothing."""
    return tuple(find_rewards())


def find_rewards() -> dict[str, InstalledReward]:
    """Return what can be asked for by name, sorted by it; imports nothing."""
    from importlib.metadata import entry_points  # gymnasium does without it when imported

    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=REWARD_GROUP):
        points.setdefault(point.name, []).append(point)
    found = {name: _brought(name, same) for name, same in points.items()}
    for name in _registered:
        found[name] = InstalledReward(name, THIS_PROCESS, partial(_registered.get, name))
    return dict(sorted(found.items()))


def _brought(name: str, points: list[EntryPoint]) -> InstalledReward:
    """Return what packages bring under one name; with two of them, which it is would be chance."""
    package = " and ".join(
        f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
        for point in points
    )

    def source() -> Any:
        if len(points) > 1:
            raise LookupError(f"the name is brought {len(points)} times")
        return points[0].load()

    return InstalledReward(name, package, source)
