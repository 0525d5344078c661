"""What a sentence of the manual must be: whole, and true on every machine."""

from __future__ import annotations

import re

# What a reader of one line cannot complete: "Of sampling.", "By which, one that needs none."
FRAGMENT = re.compile(r"(Of|By|In|On|To|At which|Its|Their|Those|Likewise)\b")
# A figure of one machine at one time is wrong on the next.
DURATION = re.compile(r"\b(minutes?|hours?|an hour|seconds on)\b", re.IGNORECASE)


def is_fragment(text: str) -> bool:
    return bool(FRAGMENT.match(text))


def check_meaning(name: str, meaning: str) -> None:
    """Check that what is said of an option is there, is whole, and tells its default once."""
    assert meaning and meaning.endswith((".", ")", "?")), f"{name}: {meaning!r}"
    assert not is_fragment(meaning), f"{name}: {meaning}"
    assert len(re.findall(r"\(default:|by default", meaning)) <= 1, f"{name}: {meaning}"
