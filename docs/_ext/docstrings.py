"""Docstrings as they are written here, turned into reStructuredText.

Ours are plain text with single backticks around code; some have Markdown's headings, tables and
code blocks, as Gymnasium's do. In reStructuredText `*args`, `name_` and `|x|` outside backticks are
markup, and lists and code need marks of their own; without these changes a harmless docstring is a
warning, hence a failed build.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_CODE = re.compile(r"(``[^`]+``|:\w+:`[^`]+`|`[^`]+`)")
_MARKUP = re.compile(r"(\*|\||(?<=\w)_(?=\W|$))")
_ITEM = re.compile(r"^\s*(- |\d+\. )")
_HEADING = re.compile(r"^\s*#+ (.*)$")
_TABLE_ROW = re.compile(r"^\s*\|(.*)\|\s*$")
_FENCE = re.compile(r"^(\s*)```(\w*)\s*$")


def escaped(line: str) -> str:
    """Return `line` with its code in double backticks and stray markup elsewhere escaped."""
    parts = _CODE.split(line)
    parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"`{code}`" if code[0] == "`" != code[1] else code for code in parts[1::2]]
    return "".join(parts)


def table_to_rst(rows: list[str]) -> list[str]:
    """Return the rows of a Markdown table, its rule among them, as a `list-table`."""
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    lines = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in (cells[0], *cells[2:]):
        starts = ["   * - ", *["     - "] * (len(row) - 1)]
        lines += [start + escaped(cell) for start, cell in zip(starts, row, strict=True)]
    return [*lines, ""]


def indent(line: str) -> int:
    """Return how many spaces `line` starts with."""
    return len(line) - len(line.lstrip())


def code_apart(lines: list[str]) -> list[tuple[bool, str]]:
    """Return every line with whether it belongs to a block of code.

    Code stands between fences, or deeper than a text that ends in a colon and an empty line.
    """
    marked: list[tuple[bool, str]] = []
    fenced, deeper_than = False, -1
    text = ""
    for line in lines:
        fence = _FENCE.match(line)
        if fence:
            fenced = not fenced
            start = ["", f"{fence[1]}.. code-block:: {fence[2] or 'text'}", ""]
            marked += [(True, made) for made in (start if fenced else [""])]
        elif fenced:
            marked.append((True, f"    {line}"))
        else:
            after_colon = text.rstrip().endswith(":") and marked and not marked[-1][1].strip()
            if after_colon and line.strip() and indent(line) > indent(text):
                deeper_than = indent(text)
                marked += [(True, f"{' ' * deeper_than}.. code-block:: python"), (True, "")]
            if line.strip() and indent(line) <= deeper_than:
                deeper_than = -1
            marked.append((deeper_than >= 0, line))
        text = line if line.strip() else text
    return marked


def text_to_rst(lines: list[str]) -> list[str]:
    """Return lines of text with headings, tables, lists and stray markup as RST knows them."""
    made: list[str] = []
    for is_row, group in itertools.groupby(lines, key=lambda line: bool(_TABLE_ROW.match(line))):
        if is_row:
            made += table_to_rst(list(group))
            continue
        for line in group:
            heading = _HEADING.match(line)
            before = made[-1] if made else ""
            in_list = _ITEM.match(before) or indent(before) > indent(line)
            if _ITEM.match(line) and before.strip() and not in_list:
                made.append("")
            made += ["", f".. rubric:: {heading[1]}", ""] if heading else [escaped(line)]
    return made


def to_rst(lines: list[str]) -> list[str]:
    """Return the lines of one of our docstrings as reStructuredText."""
    made: list[str] = []
    for is_code, group in itertools.groupby(code_apart(lines), key=lambda pair: pair[0]):
        block = [line for _, line in group]
        made += block if is_code else text_to_rst(block)
    return made


def change_docstring(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Change a docstring's `lines` in place, before Napoleon reads its sections."""
    lines[:] = to_rst(lines)


_CLASSES_SEEN: set[int] = set()


def skip_second_time(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out a class that another package on an earlier page exports, too."""
    if skip or what != "module" or not isinstance(obj, type):
        return None
    if id(obj) in _CLASSES_SEEN:
        return True
    _CLASSES_SEEN.add(id(obj))
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Put `change_docstring` before Napoleon's own reader of docstrings."""
    app.connect("autodoc-process-docstring", change_docstring, priority=100)
    app.connect("autodoc-skip-member", skip_second_time)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
