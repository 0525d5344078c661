"""What README and docs show: Python blocks, and the command lines of console blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/howto").glob("*.md"))]
PAGES += [ROOT / "examples" / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/RESULTS.md"]


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes:
        page: Name of the page, without its suffix.
        line: Number of its first line there.
        kind: What stands behind the opening fence; "" if nothing does.
        text: What stands between the fences.
    """

    page: str
    line: int
    kind: str
    text: str

    @property
    def name(self) -> str:
        """Page and line, for messages."""
        return f"{self.page}-{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a console block, comments and line breaks taken out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [
            line for line in (" ".join(re.split(r"\s#", each)[0].split()) for each in lines) if line
        ]


def blocks(*kinds: str) -> list[Block]:
    """Return the blocks of these kinds; one that stands on several pages comes once."""
    found: dict[str, Block] = {}
    for block in _all():
        if block.kind in kinds:
            found.setdefault(block.text, block)
    return list(found.values())


def _all() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```([^\n`]*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 2
            name = page.stem if page.parent != ROOT / "examples" else "examples"
            yield Block(name, line, match[1].strip(), match[2])


def inline_commands() -> list[str]:
    """Return every `esarm ...` in backticks, line breaks taken out; one that repeats comes once."""
    found: dict[str, None] = {}
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
        for command in re.findall(r"`(esarm [^`]+)`", text):
            found[" ".join(command.split())] = None
    return list(found)
