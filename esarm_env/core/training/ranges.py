"""Ranges of settings, stated once beside their class, for whoever reads them: trainer or run.

Whole numbers are counts, at least 1, and other numbers at least 0 and finite, unless the class
says otherwise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from esarm_env.core.errors import InputError

_LARGEST = 2**31 - 1  # of whole numbers: torch and numpy refuse larger seeds and sizes in their way
_RANGES = "__ranges__"
Settings = TypeVar("Settings", bound=type)


@dataclass(frozen=True)
class Range:
    """Which numbers a setting may be.

    Attributes:
        least: The lower end.
        most: The upper end.
        above: Whether the lower end itself is out.
        below: Whether the upper end itself is out.
    """

    least: float = 0
    most: float = math.inf
    above: bool = False
    below: bool = False

    def broken_rule(self, value: float) -> str:
        """Return the rule that `value` breaks, in words; empty if it is within."""
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        lower = f"{'above' if self.above else 'at least'} {self.least:g}"
        if isinstance(value, int):
            most = min(self.most, _LARGEST)
            return lower if not low else "" if value <= most else f"at most {int(most)}"
        if low and high and math.isfinite(value):
            return ""
        upper = f"{'below' if self.below else 'at most'} {self.most:g}"
        return f"{lower} and {'finite' if self.most == math.inf else upper}"


MAY_BE_0 = Range()  # of whole numbers, where 0 means none, or all
AT_LEAST_2 = Range(2)
ABOVE_0 = Range(above=True)
SHARE = Range(0, 1)
BELOW_1 = Range(0, 1, below=True)
ABOVE_0_TO_1 = Range(0, 1, above=True)
BETWEEN_0_AND_1 = Range(0, 1, above=True, below=True)


def ranges(**by_name: Range) -> Callable[[Settings], Settings]:
    """Return a decorator of a dataclass of settings: ranges of those that are not the usual ones.

    Raises:
        TypeError: If the class has no such field.
    """

    def note(settings: Settings) -> Settings:
        unknown = set(by_name) - {field.name for field in dataclasses.fields(settings)}
        if unknown:
            raise TypeError(f"ranges must be of fields of {settings.__name__}, got {unknown}")
        setattr(settings, _RANGES, by_name)
        return settings

    return note


def check_ranges(settings: Any) -> None:
    """Check the numbers of a dataclass of settings.

    Raises:
        InputError: If one is out of its range.
    """
    known: dict[str, Range] = getattr(type(settings), _RANGES, {})
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        usual = Range(1 if isinstance(value, int) else 0)
        rule = known.get(field.name, usual).broken_rule(value)
        if rule:
            raise InputError(f"`{field.name}` must be {rule}, got {value}")
