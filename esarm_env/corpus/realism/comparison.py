"""Comparison of a generated corpus with a captured one: which statistics lie in the real range.

Ranges come from real takes, or from the literature for what the captured corpus did not measure.
The result prints as a table on the terminal or as Markdown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from esarm_env.corpus.realism.description import Description, describe
from esarm_env.face.names import ARKIT_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from esarm_env.core.types import Corpus

TOLERANCE_ERRORS = 2.0
FROM_TAKES = "takes"
_COLUMNS = ("figure", "synthetic", "real", "range", "verdict")
_COLOURS = {"inside": "green", "near": "yellow", "outside": "red", "n/a": "dim"}


@dataclass(frozen=True)
class Published:
    """Published human range of a statistic, with its source."""

    low: float
    high: float
    source: str


# Rates of brow raises and sizes of gaze shifts are missing: we know of no published figure.
PUBLISHED: Mapping[str, Published] = {
    "blinks: rate (1/min)": Published(
        10.5, 32.5, "95 % of adults in conversation: Doughty 2001, Optom Vis Sci 78:712"
    ),
    "blinks: duration (s)": Published(0.1, 0.4, "Schiffman 2001, Sensation and Perception"),
    # Speakers look at the listener for 93.9 frames and away for 27.8, at 30 fps; in free viewing
    # eyes jump three times a second.
    "gaze shifts: rate (1/min)": Published(
        29.6, 180.0, "speaking: Lee et al. 2002 (Eyes Alive); free viewing: Rayner 1998"
    ),
}


@dataclass(frozen=True)
class Row:
    """One statistic of both corpora with its verdict.

    Attributes:
        figure: Its name.
        synthetic: Of the corpus under test; nan where undefined.
        real: Of the captured corpus; nan where it did not measure that.
        low: Lower end of the range.
        high: Upper end of the range.
        verdict: `inside` the range, `near` it (within two standard errors of one take's own
            value), `outside`, or `n/a` where either side has no figure.
        source: Where the range is from: `takes` for the real corpus, else a publication.
    """

    figure: str
    synthetic: float
    real: float
    low: float
    high: float
    verdict: str
    source: str


@dataclass(frozen=True)
class Comparison:
    """Comparison table of two corpora.

    Attributes:
        synthetic: Description of the corpus under test.
        real: Description of the captured one.
        rows: One per figure.
    """

    synthetic: Description
    real: Description
    rows: tuple[Row, ...]

    def count(self, verdict: str) -> int:
        """Return the number of rows with this verdict."""
        return sum(row.verdict == verdict for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything printed as plain values, nan as None."""
        sides = {}
        for side in ("synthetic", "real"):
            description: Description = getattr(self, side)
            sides[side] = {
                "corpus": description.corpus,
                "emotions": list(description.emotions),
                "n_utterances": description.n_utterances,
                "duration_s": round(description.duration_s, 2),
                "groups": list(description.groups),
            }
        counts = {verdict: self.count(verdict) for verdict in ("inside", "near", "outside")}
        rows = [{key: _plain(value) for key, value in asdict(row).items()} for row in self.rows]
        return {**sides, "counts": counts, "rows": rows}


def compare(synthetic: Description, real: Description) -> Comparison:
    """Compare two descriptions.

    The range of a figure goes from the least to the greatest of the real corpus's groups and of all
    of them together. Where the real corpus did not measure a figure, the range is the published
    one, if there is any.
    """
    rows = []
    for name, ours in synthetic.figures.items():
        theirs = real.figures[name]
        low, high, error, source = theirs.low, theirs.high, theirs.error, FROM_TAKES
        if math.isnan(theirs.value) and name in PUBLISHED:
            known = PUBLISHED[name]
            low, high, error, source = known.low, known.high, 0.0, known.source
        verdict = _verdict(ours.value, low, high, tolerance=TOLERANCE_ERRORS * error)
        rows.append(Row(name, ours.value, theirs.value, low, high, verdict, source))
    return Comparison(synthetic, real, tuple(rows))


def compare_corpora(
    synthetic: Corpus, real: Corpus, *, sample: int = 400, seed: int = 0
) -> Comparison:
    """Describe both corpora and compare them, on the emotions that the real one has.

    Args:
        synthetic: The corpus under test.
        real: The captured one.
        sample: How many utterances of each are looked at, at most.
        seed: Of the draw.

    Raises:
        InputError: If the corpora share no emotion, or `sample` is below 1.
    """
    described = describe(real, sample=sample, seed=seed)
    ours = describe(synthetic, sample=sample, seed=seed, emotions=described.emotions)
    return compare(ours, described)


def _verdict(value: float, low: float, high: float, *, tolerance: float) -> str:
    if math.isnan(value) or math.isnan(low):
        return "n/a"
    if low <= value <= high:
        return "inside"
    return "near" if low - tolerance <= value <= high + tolerance else "outside"


def _plain(value: Any) -> Any:
    """Convert nan to None, for JSON."""
    return None if isinstance(value, float) and math.isnan(value) else value


def comparison_markdown(comparison: Comparison) -> str:
    """Format the comparison as Markdown: corpora, one line per statistic, count of verdicts."""
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---|--:|--:|--:|---|"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in _shown(comparison)]
    notes = [f"- {note}" for note in _notes(comparison)]
    return "\n".join([*_headings(comparison), "", *lines, "", *notes, "", summary(comparison), ""])


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print the comparison as a table.

    Args:
        comparison: From `compare` or `compare_corpora`.
        console: Where to; None is standard output, where it is Markdown if `rich` (extra
            `progress`) is not installed.
    """
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(comparison_markdown(comparison))
        return

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
    """Summarise how many statistics lie in range, and what the verdicts mean."""
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
    """List the sources of published ranges."""
    return [
        f"{row.figure}: {row.source}"
        for row in _shown(comparison)
        if row.source != FROM_TAKES and not math.isnan(row.low)
    ]


def _shown(comparison: Comparison) -> Iterator[Row]:
    """Yield the rows of channels that both sides measured."""
    for row in comparison.rows:
        whole_corpus = row.figure.split(":")[0] not in ARKIT_NAMES
        if not math.isnan(row.synthetic) and (whole_corpus or not math.isnan(row.real)):
            yield row


def _cells(row: Row) -> tuple[str, ...]:
    limits = "" if math.isnan(row.low) else f"{_number(row.low)} to {_number(row.high)}"
    return row.figure, _number(row.synthetic), _number(row.real), limits, row.verdict


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
