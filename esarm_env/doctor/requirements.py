"""Requirements of an installed package, as its metadata write them: name, range and extra.

The part of PEP 440 and PEP 508 that `setup.cfg` uses, so that looking at an installation needs no
package: ranges of `>=` and `<`, and no marker but `extra`. Anything else is refused, not guessed.
Apart from `installation` because it knows nothing of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(\[[\w,-]+\])?\s*(?P<range>[^;]*?)"
    r"\s*(;\s*extra == [\"'](?P<extra>[\w-]+)[\"'])?"
)
_BOUND = re.compile(r"(>=|<)\s*(\d+(?:\.\d+)*)")
_RELEASE = re.compile(r"v?(\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Requirement:
    """A package that another one needs.

    Attributes:
        name: Of the distribution.
        range: Bounds between commas such as `<3,>=2.8`; empty allows all.
        extra: Which extra needs it; empty for what is always needed.
    """

    name: str
    range: str
    extra: str = ""

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Read a line of `Requires-Dist`.

        Raises:
            ValueError: If it has another form, such as a marker that is no extra.
        """
        found = _REQUIREMENT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"`text` must be NAME RANGE; extra == 'EXTRA', got {text!r}")
        return cls(found["name"], found["range"], found["extra"] or "")


def is_within(version: str, bounds: str) -> bool:
    """Return whether a version lies in a range; one before a release counts as that release.

    Raises:
        ValueError: If `bounds` holds more than `>=` and `<`, or `version` begins with no number.
    """
    release = _RELEASE.match(version)
    if release is None:
        raise ValueError(f"`version` must begin with a number, got {version!r}")
    ours = _key(release[1])
    for bound in filter(None, (part.strip() for part in bounds.split(","))):
        found = _BOUND.fullmatch(bound)
        if found is None:
            raise ValueError(f"`bounds` must be of >= and <, got {bound!r}")
        if (ours >= _key(found[2])) != (found[1] == ">="):
            return False
    return True


def _key(numbers: str) -> tuple[int, ...]:
    """Return what versions are ordered by: 2 and 2.0 are the same."""
    parts = [int(part) for part in numbers.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
