"""Print a comparison: a table on the terminal, or Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from esarm_env.corpus.realism.comparison import FROM_TAKES, TOLERANCE_ERRORS, Comparison, Row
from esarm_env.corpus.realism.description import Description
from esarm_env.face.names import ARKIT_NAMES

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = ("figure", "synthetic", "real", "range", "verdict")
_COLOURS = {"inside": "green", "near": "yellow", "outside": "red", "n/a": "dim"}


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown: what was compared, one line per figure, the count."""
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---|--:|--:|--:|---|"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in _shown(comparison)]
    notes = [f"- {note}" for note in _notes(comparison)]
    return "\n".join([*_headings(comparison), "", *lines, "", *notes, "", summary(comparison), ""])


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print the comparison as a table.

    Args:
        comparison: From `compare` or `compare_corpora`.
        console: Where to; None is standard output.
    """
    from rich.console import Console
    from rich.table import Table

    console = console or Console()
    table = Table(box=None, pad_edge=False)
    for column in _COLUMNS:
        numeric = column in ("synthetic", "real", "range")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in _shown(comparison):
        colour = _COLOURS[row.verdict]
        *numbers, verdict = _cells(row)
        table.add_row(*numbers, f"[{colour}]{verdict}[/{colour}]")
    for line in _headings(comparison):
        console.print(line, highlight=False, markup=False)  # a folder may be called [like this]
    console.print(table)
    for line in (*_notes(comparison), summary(comparison)):
        console.print(line, highlight=False, markup=False)


def summary(comparison: Comparison) -> str:
    """Return how many figures lie in their range, and what the verdicts mean."""
    inside, near, outside = (comparison.count(v) for v in ("inside", "near", "outside"))
    return (
        f"{inside} of {inside + near + outside} figures inside the range, {near} near it "
        f"(within {TOLERANCE_ERRORS:g} standard errors), {outside} outside."
    )


def _headings(comparison: Comparison) -> tuple[str, str]:
    ours, theirs = comparison.synthetic, comparison.real
    return f"synthetic: {_told(ours)}", f"real: {_told(theirs)}"


def _told(description: Description) -> str:
    return (
        f"{description.corpus}, {description.n_utterances} utterances, "
        f"{description.duration_s:.0f} s, {len(description.groups)} takes or speakers, "
        f"emotions: {', '.join(description.emotions)}"
    )


def _notes(comparison: Comparison) -> list[str]:
    """Return where the ranges are from that the real takes do not give."""
    return [
        f"{row.figure}: {row.source}"
        for row in _shown(comparison)
        if row.source != FROM_TAKES and not math.isnan(row.low)
    ]


def _shown(comparison: Comparison) -> Iterator[Row]:
    """Yield the rows that say something: no channel that one side never measured."""
    for row in comparison.rows:
        whole_corpus = row.figure.split(":")[0] not in ARKIT_NAMES
        if not math.isnan(row.synthetic) and (whole_corpus or not math.isnan(row.real)):
            yield row


def _cells(row: Row) -> tuple[str, ...]:
    limits = "" if math.isnan(row.low) else f"{_number(row.low)} to {_number(row.high)}"
    return row.figure, _number(row.synthetic), _number(row.real), limits, row.verdict


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
