"""Picture of `esarm bench rl`: normalised return over tokens and over processor seconds.

A module of its own because it needs matplotlib (extra `plots`), which the bench does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.cache import new_file
from train.bench.rl.figures import BAR, Row, curve_of
from train.pictures import missing_matplotlib

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise missing_matplotlib() from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from esarm_env.core.types import DoubleArray
    from train.bench.rl.climb import Point

plt.switch_backend("Agg")  # into files, never on a screen

PLACES = 100  # of a curve
AXES = {"steps": "tokens of training", "cpu_s": "processor seconds of training"}


def plot_rows(rows: Sequence[Row], target: Path, *, still: float) -> None:
    """Draw the curve of every row that has climbs, with the interval over seeds.

    Args:
        rows: At least one.
        target: PNG to write.
        still: Normalised return of a face that never moves.
    """
    figure, axes = plt.subplots(1, 2, figsize=(12, 5), sharey=True, layout="constrained")
    colours = plt.get_cmap("tab20")
    for axis, (over, name) in zip(axes, AXES.items(), strict=True):
        for number, row in enumerate(row for row in rows if row.climbs):
            _draw(axis, row, over, colour=colours(number % 20))
        axis.axhline(BAR, color="black", linewidth=0.8, linestyle=":")
        axis.axhline(still, color="grey", linewidth=0.8, linestyle="--")
        axis.set(xlabel=name)
        axis.grid(alpha=0.3)
    axes[1].set_xscale("symlog", linthresh=1.0)
    axes[0].set(ylabel="normalised return (dashed: a face that never moves)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    with new_file(target) as draft, draft.open("wb") as file:
        figure.savefig(file, format="png", dpi=110)
    plt.close(figure)


def _draw(axis: Axes, row: Row, over: str, *, colour: tuple[float, ...]) -> None:
    climbs = list(row.climbs.values())
    grid = _grid(climbs, over)
    curve = np.array(curve_of(climbs, grid, over=over))  # (PLACES, 3): mean, low, high
    style = "-" if row.timing == "chunk" else "--"
    axis.plot(grid, curve[:, 0], style, color=colour, label=row.label, linewidth=1.4)
    if len(climbs) > 1:
        axis.fill_between(grid, curve[:, 1], curve[:, 2], color=colour, alpha=0.15, linewidth=0)


def _grid(climbs: list[list[Point]], over: str) -> DoubleArray:
    """Return places from 0 to where the first seed ends, (PLACES,)."""
    end = min(float(getattr(climb[-1], over)) for climb in climbs)
    return np.linspace(0.0, end, PLACES)
