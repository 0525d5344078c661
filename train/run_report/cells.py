"""Header, row and cell of the report's tables, and differences in words."""

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
NO_DIFFERENCE = "no difference told apart"


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
    scales: Mapping[str, float] | None = None,
) -> str:
    """Return a row of a table; what is not among its figures is n/a.

    Args:
        label: First cell.
        figures: Mean, low and high by key.
        keys: Of the columns.
        digits: After the point; differences need one more than means.
        scales: By key, what figures are multiplied by; 1 for those that are not named.
    """
    by_key = scales or {}
    cells = (
        cell(figures.get(key, UNKNOWN), digits=digits, scale=by_key.get(key, 1.0)) for key in keys
    )
    return "| " + " | ".join([label, *cells]) + " |"


def cell(figures: Sequence[float | None], *, digits: int = 2, scale: float = 1.0) -> str:
    """Return a mean with its interval, or n/a where it is not known."""
    mean, low, high = figures
    if mean is None or low is None or high is None:
        return "n/a"
    if digits == 2:
        return str(Interval(mean * scale, low * scale, high * scale))
    return f"{mean * scale:.{digits}f} [{low * scale:.{digits}f}, {high * scale:.{digits}f}]"


def told(figures: Mapping[str, Sequence[float | None]]) -> str:
    """Return in words what paired differences of LVE and EVE tell; empty where none is known.

    Better and worse are said where the whole interval lies on one side of zero, and nowhere else.
    """
    known = [(name, figures.get(name, UNKNOWN)) for name in (LVE, EVE)]
    parts = [
        (f"{name.upper()} {cell(triple).replace(' [', ' mm [')}", change(triple))
        for name, triple in known
        if None not in triple
    ]
    words = {word for _, word in parts}
    if len(words) == 1 and len(parts) > 1:
        return f"{words.pop()} ({', '.join(figure for figure, _ in parts)})"
    return ", ".join(f"{figure} ({word})" for figure, word in parts)


def change(figures: Sequence[float | None]) -> str:
    """Return in a word what the interval of an error's difference tells."""
    _, low, high = figures
    if low is None or high is None:
        return ""
    return "better" if high < 0 else "worse" if low > 0 else NO_DIFFERENCE
