"""What a docstring says, in parts: summary, paragraphs, and a text for each name.

Help pages and the list of settings are made of docstrings, so that a meaning stands once.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
_ENTRY = re.compile(r" {4}\*{0,2}(\w+): ?(.*)$")


@dataclass(frozen=True)
class Documented:
    """A docstring in Google's style, taken apart.

    Attributes:
        summary: Its first line.
        paragraphs: What follows that, a line each; sections such as `Raises:` are not among them.
        meanings: Text by name, of the sections `Args:` and `Attributes:`.
    """

    summary: str
    paragraphs: tuple[str, ...]
    meanings: dict[str, str]


def documented(thing: Any) -> Documented:
    """Return what the docstring of a function or class says; all is empty where it has none."""
    prose: list[str] = []
    meanings: dict[str, list[str]] = {}
    section, name = "", ""
    for line in (inspect.getdoc(thing) or "").splitlines():
        if found := _SECTION.match(line):
            section, name = found[1], ""
        elif not section:
            prose.append(line)
        elif section in ("Args", "Attributes"):
            if found := _ENTRY.match(line):
                name = found[1]
                meanings[name] = [found[2]]
            elif name and line.strip():
                meanings[name].append(line.strip())
    paragraphs = [" ".join(part.split()) for part in "\n".join(prose).split("\n\n")]
    summary, *others = paragraphs or [""]
    return Documented(
        summary,
        tuple(other for other in others if other),
        {name: " ".join(lines) for name, lines in meanings.items()},
    )
