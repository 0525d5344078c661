"""Pictures of curves: training, proxy beside gold over the divergence, errors over noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.task.episode_metrics import EVE, LVE
from train.pictures import missing_matplotlib, write_png

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise missing_matplotlib() from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from train.overoptimise.findings import Point
    from train.tables.table2.noise import Ladder

plt.switch_backend("Agg")  # into files, never on a screen

Rows = list[dict[str, float]]
BLUE, ORANGE, GREEN = "#2b6cb0", "#dd6b20", "#2f855a"
PANELS = {
    "proxy": "proxy: score",
    LVE: "gold: LVE (mm), lower is better",
    EVE: "gold: EVE (mm), lower is better",
}


def plot_improvement(curves: dict[str, Rows], target: Path, *, rewards: Mapping[str, str]) -> None:
    """Draw, per algorithm, the proxy (its reward) beside the true LVE and EVE.

    Args:
        curves: Rows of each algorithm's `metrics.csv`.
        target: PNG to write.
        rewards: What each algorithm's `score` is called.
    """
    figure, axes = plt.subplots(
        len(curves), 2, figsize=(9.5, 3.1 * len(curves)), squeeze=False, layout="constrained"
    )
    for (name, rows), (left, right) in zip(curves.items(), axes, strict=True):
        _line(left, rows, "score", color=BLUE, label="training roll-outs", width=1.0)
        _line(left, rows, "validation_score", color=BLUE, label="validation", marker="o")
        left.set(title=f"{name}: {rewards[name]}", xlabel="iteration")
        _line(right, rows, "validation_lve_mm", color=ORANGE, label="LVE", marker="o")
        _line(right, rows, "validation_eve_mm", color=GREEN, label="EVE", marker="o")
        right.set(title=f"{name}: true error in mm (gold)", xlabel="iteration")
        right.set_ylim(bottom=0)
        for axis in (left, right):
            axis.grid(alpha=0.3)
            axis.legend(frameon=False)
    save(figure, target)


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
    save(figure, target)


def plot_experiments(curves: Mapping[str, tuple[str, Rows]], target: Path) -> None:
    """Draw validation LVE, EVE and every reward while policies were trained.

    Args:
        curves: By policy, the reward that it was watched by and the rows of its `metrics.csv`.
        target: PNG to write.
    """
    rewards = list(dict.fromkeys(reward for reward, _ in curves.values()))
    panels: list[tuple[str, str, str | None]] = [
        ("LVE (mm), lower is better", "validation_lve_mm", None),
        ("EVE (mm), lower is better", "validation_eve_mm", None),
    ]
    panels += [(f"reward: {reward}", "validation_score", reward) for reward in rewards]
    n_rows = -(-len(panels) // 3)
    figure, axes = plt.subplots(
        n_rows, 3, figsize=(12, 3.5 * n_rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (title, column, only) in zip(axes.flat, panels, strict=False):
        for number, (name, (reward, rows)) in enumerate(curves.items()):
            if only is None or reward == only:
                _line(axis, rows, column, color=f"C{number}", label=name, marker="o")
        axis.set(title=title, xlabel="iteration")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(frameon=False, fontsize="small")
    save(figure, target)


def plot_overoptimisation(
    rl: Mapping[float, list[Point]], best_of_n: list[Point], target: Path, *, title: str
) -> None:
    """Draw changes from the clone, one colour per strength, best-of-n dashed.

    Over the square root of the divergence, as in Gao et al. 2022, figures 1 and 2.

    Args:
        rl: Points by KL strength.
        best_of_n: Points.
        target: PNG to write.
        title: Above all panels.
    """
    figure, axes = plt.subplots(
        1, len(PANELS), figsize=(4.3 * len(PANELS), 4.1), layout="constrained"
    )
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(rl)))
    for axis, (name, label) in zip(axes, PANELS.items(), strict=True):
        for (kl_coef, points), shade in zip(sorted(rl.items()), shades, strict=True):
            _band(axis, points, name, color=shade, style="-", label=f"PPO, KL {kl_coef:g}")
        _band(axis, best_of_n, name, color="black", style="--", label="best of n")
        axis.axhline(0, color="gray", lw=0.8)
        axis.set(title=label, xlabel="√ nats per utterance from the clone")
        axis.set_ylabel("change from the clone")
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False, fontsize="small")
    figure.suptitle(title)
    save(figure, target)


def plot_noise(
    ladders: Mapping[str, Mapping[str, Ladder]],
    papers: Mapping[str, Mapping[str, Mapping[float, float]]],
    target: Path,
) -> None:
    """Draw errors over noise levels with their intervals, the paper's columns dashed.

    Args:
        ladders: By corpus, by error.
        papers: The paper's errors by level, likewise; none where it has no such column.
        target: PNG to write.
    """
    errors = list(next(iter(ladders.values())))
    figure, axes = plt.subplots(1, len(errors), figsize=(4.3 * len(errors), 3.8), squeeze=False,
                                layout="constrained")  # fmt: skip
    for axis, error in zip(axes[0], errors, strict=True):
        for number, (corpus, found) in enumerate(ladders.items()):
            one, color = found[error], f"C{number}"
            mean, low, high = zip(*one.means, strict=True)
            axis.plot(one.levels, mean, color=color, marker="o", markersize=4, label=corpus)
            axis.fill_between(one.levels, low, high, color=color, alpha=0.15, lw=0)
            if paper := papers[corpus].get(error):
                axis.plot(list(paper), list(paper.values()), "--", color=color, label="paper")
        title = error.upper().replace("_WITHOUT_LIDS", " without eyelids")
        axis.set(title=title, xlabel="ε", ylabel="mm", ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize="small")
    save(figure, target)


def _band(
    axis: Axes, points: list[Point], name: str, *, color: Any, style: str, label: str
) -> None:
    changes = [point.changes[name] for point in points]
    if not all(np.isfinite(change.mean) for change in changes):
        axis.text(0.5, 0.5, "not captured", transform=axis.transAxes, ha="center")
        return
    x = np.sqrt([point.nats_per_utterance for point in points])
    means = [change.mean for change in changes]
    axis.plot(x, means, style, color=color, marker="o", markersize=3.5, lw=1.6, label=label)
    low, high = [change.low for change in changes], [change.high for change in changes]
    axis.fill_between(x, low, high, color=color, alpha=0.12, lw=0)


def _line(
    axis: Axes, rows: Rows, column: str, *, color: str, label: str, marker: str = "",
    width: float = 1.8,
) -> None:  # fmt: skip
    points = [(row["step"], row[column]) for row in rows if column in row]
    if points:
        steps, values = zip(*points, strict=True)
        axis.plot(steps, values, color=color, label=label, marker=marker, markersize=4, lw=width)


def save(figure: plt.Figure, target: Path) -> None:
    """Write a figure as PNG, and forget it."""
    write_png(figure, target, dpi=130)
    plt.close(figure)
