"""The directive `module-map`: every module of a package with the first line of its docstring.

It is read from the files when the pages are built, so it cannot go stale. As a script,
`python docs/_ext/module_map.py [PACKAGE ...]` prints the same map in a terminal.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import Directive

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
PACKAGES = ("esarm_env", "reward", "agents", "train")


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring.

    Raises:
        ValueError: If the module has no docstring.
    """
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise ValueError(f"{path}: a module must say in its docstring what it is, got none")
    return text.splitlines()[0]


def folders(package: str) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder of a package with its modules, `__init__.py` apart, all sorted."""
    for init in sorted((ROOT / package).rglob("__init__.py")):
        yield init.parent, sorted(init.parent.glob("[!_]*.py"))


def as_text(package: str) -> str:
    """Return the map of a package for a terminal."""
    lines = []
    for folder, modules in folders(package):
        lines += ["", f"{folder.relative_to(ROOT)}/  {first_line(folder / '__init__.py')}"]
        lines += [f"    {path.name:<26} {first_line(path)}" for path in modules]
    return "\n".join(lines)


def _inline(text: str) -> list[nodes.Node]:
    """Return `text` with what stands in backticks as code."""
    parts = re.split(r"`([^`]+)`", text)
    return [
        nodes.literal(text=part) if number % 2 else nodes.Text(part)
        for number, part in enumerate(parts)
        if part
    ]


def _row(name: str, path: Path) -> nodes.row:
    cells = (nodes.literal(text=name), *_inline(first_line(path)))
    row = nodes.row()
    for content in (cells[:1], cells[1:]):
        row += nodes.entry("", nodes.paragraph("", "", *content))
    return row


def _table(modules: list[Path]) -> nodes.table:
    body = nodes.tbody("", *(_row(path.name, path) for path in modules))
    columns = [nodes.colspec(colwidth=width) for width in (25, 75)]
    return nodes.table("", nodes.tgroup("", *columns, body, cols=2), classes=["module-map"])


class ModuleMap(Directive):
    """`module-map` with a package's name: a heading and a table for each of its folders."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections of the package named."""
        environment = self.state.document.settings.env
        made: list[nodes.Node] = []
        for folder, modules in folders(self.arguments[0]):
            init = folder / "__init__.py"
            for path in (init, *modules):
                environment.note_dependency(str(path))
            name = f"{folder.relative_to(ROOT)}/"
            title = nodes.rubric("", "", nodes.literal(text=name))
            made += [title, nodes.paragraph("", "", *_inline(first_line(init)))]
            made += [_table(modules)] if modules else []
        return made


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("module-map", ModuleMap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    for name in sys.argv[1:] or PACKAGES:
        print(as_text(name))
