"""Header, row and cell of the report's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from esarm_env.core.intervals import Interval
from esarm_env.task.episode_metrics import EVE, LVE
from train.stages.measures import EVE_WITHOUT_LIDS

ARROWS = {
    LVE: "LVE (mm) ↓",
    EVE: "EVE (mm) ↓",
    EVE_WITHOUT_LIDS: "EVE without eyelids (mm) ↓",
    "score": "learned score",
}
UNKNOWN = [None, None, None]  # a column that the version which evaluated a run did not measure


def header(first: str, columns: Iterable[str] = tuple(ARROWS.values())) -> str:
    """Return the two lines that a table begins with."""
    titles = [first, *columns]
    return "| " + " | ".join(titles) + " |\n|" + "---|" * len(titles)


def line(
    label: str,
    figures: Mapping[str, Any],
    keys: Iterable[str] = tuple(ARROWS),
    *,
    digits: int = 2,
) -> str:
    """Return a row of a table; what is not among its figures is n/a.

    Args:
        label: First cell.
        figures: Mean, low and high by key.
        keys: Of the columns.
        digits: After the point; differences need one more than means.
    """
    cells = (cell(figures.get(key, UNKNOWN), digits=digits) for key in keys)
    return "| " + " | ".join([label, *cells]) + " |"


def cell(figures: Sequence[float | None], *, digits: int = 2) -> str:
    """Return a mean with its interval, or n/a where it is not known."""
    mean, low, high = figures
    if mean is None or low is None or high is None:
        return "n/a"
    if digits == 2:
        return str(Interval(mean, low, high))
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
