"""The report's pictures: learning curves, proxy beside gold."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from esarm_env.core.cache import new_file

Rows = list[dict[str, float]]
BLUE, ORANGE, GREEN = "#2b6cb0", "#dd6b20", "#2f855a"


def read_rows(path: Path) -> Rows:
    """Return the rows of a `metrics.csv`; empty cells are left out."""
    with path.open(newline="") as file:
        return [
            {key: float(value) for key, value in row.items() if value != ""}
            for row in csv.DictReader(file)
        ]


def plot_improvement(curves: dict[str, Rows], target: Path) -> None:
    """Draw, per algorithm, the proxy (learned score) beside the true LVE and EVE.

    Args:
        curves: Rows of each algorithm's `metrics.csv`.
        target: PNG to write.
    """
    figure, axes = plt.subplots(
        len(curves), 2, figsize=(9.5, 3.1 * len(curves)), squeeze=False, layout="constrained"
    )
    for (name, rows), (left, right) in zip(curves.items(), axes, strict=True):
        _line(left, rows, "score", color=BLUE, label="training roll-outs", width=1.0)
        _line(left, rows, "validation_score", color=BLUE, label="validation", marker="o")
        left.set(title=f"{name}: learned score (proxy)", xlabel="iteration")
        _line(right, rows, "validation_lve_mm", color=ORANGE, label="LVE", marker="o")
        _line(right, rows, "validation_eve_mm", color=GREEN, label="EVE", marker="o")
        right.set(title=f"{name}: true error in mm (gold)", xlabel="iteration")
        right.set_ylim(bottom=0)
        for axis in (left, right):
            axis.grid(alpha=0.3)
            axis.legend(frameon=False)
    _save(figure, target)


def plot_training(curves: dict[str, tuple[Rows, tuple[str, ...]]], target: Path) -> None:
    """Draw the named columns of each stage's rows, one panel a stage."""
    figure, axes = plt.subplots(1, len(curves), figsize=(3.6 * len(curves), 3.1), squeeze=False,
                                layout="constrained")  # fmt: skip
    for axis, (title, (rows, columns)) in zip(axes[0], curves.items(), strict=True):
        for column, color in zip(columns, (BLUE, ORANGE, GREEN), strict=False):
            _line(axis, rows, column, color=color, label=column.replace("_", " "))
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize="small")
    _save(figure, target)


def _line(
    axis: Axes, rows: Rows, column: str, *, color: str, label: str, marker: str = "",
    width: float = 1.8,
) -> None:  # fmt: skip
    points = [(row["step"], row[column]) for row in rows if column in row]
    if points:
        steps, values = zip(*points, strict=True)
        axis.plot(steps, values, color=color, label=label, marker=marker, markersize=4, lw=width)


def _save(figure: plt.Figure, target: Path) -> None:
    with new_file(target) as draft:
        figure.savefig(draft, dpi=130, format="png")
    plt.close(figure)
