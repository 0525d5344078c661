"""Metric tables, plain or Markdown, whose columns name variant and unit of each quantity."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.metrics.variant import Quantity

# One figure, or mean, low and high end of its interval; None and nan are printed as n/a.
Figure = float | tuple[float, float, float] | None

STYLES = ("markdown", "plain")
_HEADING_WIDTH = 68  # of the plain style
_SMALLEST, _LARGEST = 1e-3, 1e7  # outside, figures are printed with an exponent


def table(
    rows: Mapping[str, Mapping[str, Figure]],
    columns: Mapping[str, Quantity],
    *,
    first: str = "",
    style: str = "markdown",
    digits: int = 3,
) -> str:
    """Return figures as a table of text.

    Markdown has a row for each animation and a column for each quantity; the plain style, for
    terminals, has them the other way round. All figures of a quantity have the same number of
    decimals: as many as give its largest one `digits` digits that count.

    Args:
        rows: For each animation's label its figures, by the keys of `columns`; a figure that is
            absent, None or nan is printed as n/a.
        columns: What each key is; the heading tells name, variant, unit and direction.
        first: Heading of the labels.
        style: "markdown" or "plain".
        digits: At least 1.

    Returns:
        Lines without a final newline.

    Raises:
        InputError: If a row holds a key that is no column, or an option is unknown.
    """
    if style not in STYLES:
        raise InputError(f"`style` must be one of {STYLES}, got {style!r}")
    if digits < 1:
        raise InputError(f"`digits` must be at least 1, got {digits}")
    for label, figures in rows.items():
        unknown = [key for key in figures if key not in columns]
        if unknown:
            raise InputError(f"`rows[{label!r}]` must hold keys of `columns`, got {unknown}")
    cells = [[label] for label in rows]
    for key in columns:
        form = _format([figures.get(key) for figures in rows.values()], digits)
        for line, figures in zip(cells, rows.values(), strict=True):
            line.append(_cell(figures.get(key), form))
    headings = [first, *(quantity.heading for quantity in columns.values())]
    return _markdown(headings, cells) if style == "markdown" else _plain(headings, cells)


def _known(figure: Figure) -> tuple[float, ...]:
    """Return the numbers of a figure; none if it is missing or holds nan."""
    if figure is None:
        return ()
    numbers = figure if isinstance(figure, tuple) else (figure,)
    return () if any(math.isnan(number) for number in numbers) else numbers


def _format(column: Sequence[Figure], digits: int) -> str:
    """Return the format specification of a column's numbers."""
    sizes = [abs(n) for figure in column for n in _known(figure) if math.isfinite(n)]
    largest = max(sizes, default=0.0)
    if largest == 0:
        return f".{digits - 1}f"
    if not _SMALLEST <= largest < _LARGEST:
        return f".{digits - 1}e"
    return f".{max(0, digits - 1 - math.floor(math.log10(largest)))}f"


def _cell(figure: Figure, form: str) -> str:
    """Return a figure as text."""
    numbers = _known(figure)
    if not numbers:
        return "n/a"
    mean, *ends = (_number(number, form) for number in numbers)
    return f"{mean} [{', '.join(ends)}]" if ends else mean


def _number(number: float, form: str) -> str:
    """Return a number as text, without the sign of one that is rounded to zero."""
    text = format(number, form)
    return text.lstrip("-") if float(text) == 0 else text


def _markdown(headings: list[str], cells: list[list[str]]) -> str:
    """Return a GitHub table, figures to the right."""
    rule = "|---|" + "---:|" * (len(headings) - 1)
    lines = [_line(headings), rule, *(_line(row) for row in cells)]
    return "\n".join(lines)


def _line(row: list[str]) -> str:
    """Return one line of a GitHub table; a bar within a cell would end it."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _plain(headings: list[str], cells: list[list[str]]) -> str:
    """Return one quantity a line, since their headings are long, and the rows as columns."""
    columns = [[headings[0], *(row[0] for row in cells)]]
    for index, heading in enumerate(headings[1:], start=1):
        # A hard space keeps the arrow with the unit before it.
        glued = "\N{NO-BREAK SPACE}".join(heading.rsplit(" ", 1))
        wrapped = textwrap.wrap(glued, _HEADING_WIDTH, subsequent_indent="  ")
        *above, last = (line.replace("\N{NO-BREAK SPACE}", " ") for line in wrapped)
        columns += [[line, *("" for _ in cells)] for line in above]
        columns.append([last, *(row[index] for row in cells)])
    widths = [max(len(cell) for cell in line) for line in zip(*columns, strict=True)]
    lines = []
    for first, *figures in columns:
        aligned = [cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *aligned]).rstrip())
    lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(lines)
