"""Picture of Table I: bars of LVE and EVE with their intervals, methods by corpora.

A module of its own, since it alone needs `matplotlib` (extra `plots`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.cache import new_file
from esarm_env.task.episode_metrics import EVE, LVE
from train.pictures import missing_matplotlib

if TYPE_CHECKING:
    from train.tables.table1.statistics import CorpusTable, MethodRow

_COLOURS = {"floor": "#999999", "plain": "#bbbbbb", "rival": "#4c78a8", "ours": "#e45756"}
_ELSE = "#72b7b2"
_NAMES = {LVE: "LVE (mm)", EVE: "EVE (mm)"}


def draw_bars(tables: Sequence[CorpusTable], path: Path) -> None:
    """Draw a row of panels for each corpus, and a panel for each error.

    Raises:
        MissingExtraError: If `matplotlib` is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_matplotlib() from error
    heights = [1.2 + 0.24 * len(table.rows) for table in tables]
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    axes = figure.subplots(len(tables), 2, squeeze=False, height_ratios=heights)
    for table, line in zip(tables, axes, strict=True):
        rows = table.rows[::-1]
        for panel, key in zip(line, _NAMES, strict=True):
            panel.barh(
                [row.name for row in rows],
                [_finite(row.means[key].mean) for row in rows],
                xerr=[[_reach(row, key, end) for row in rows] for end in (0, 1)],
                color=[_COLOURS.get(row.kind, _ELSE) for row in rows],
                error_kw={"elinewidth": 1},
            )
            panel.set_xlabel(_NAMES[key])
            panel.set_title(table.corpus, fontsize="medium")
            panel.tick_params(axis="y", labelsize="small")
            if key != LVE:
                panel.set_yticklabels([])
    with new_file(path) as draft:
        figure.savefig(draft, format="png", dpi=110)


def _reach(row: MethodRow, key: str, end: int) -> float:
    """Return how far an interval reaches below (0) or above (1) the mean."""
    mean, low, high = row.means[key]
    reach = mean - low if end == 0 else high - mean
    return max(0.0, _finite(reach))


def _finite(number: float) -> float:
    return number if math.isfinite(number) else 0.0
