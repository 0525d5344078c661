"""The report's pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.task.episode_metrics import EVE, LVE, STREAM_OF_ERROR
from train.pictures import missing_matplotlib, write_png
from train.reward_report.band_figures import BEST, CLONE, NOISE, ORACLE, OWN, POLICY, TRUTH, Point
from train.reward_report.inputs import (
    ALL,
    CEILING,
    JERK,
    LIKELIHOOD,
    PAPER,
    REWARD,
    SYNCHRONY,
)

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise missing_matplotlib() from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reward.report import Triple
    from train.reward_report.figures import Findings

plt.switch_backend("Agg")  # into files, never on a screen

COLORS = {
    REWARD: "#2b6cb0",
    CEILING: "#2f855a",
    PAPER: "#dd6b20",
    LIKELIHOOD: "#805ad5",
    JERK: "#718096",
    SYNCHRONY: "#b7791f",
    ORACLE: "#1a202c",
}
KINDS = {
    NOISE: ("#a0aec0", "o"),
    CLONE: ("#2b6cb0", "s"),
    BEST: ("#805ad5", "^"),
    POLICY: ("#dd6b20", "D"),
    TRUTH: ("#2f855a", "*"),
}
_CROWDED = 0.42  # of the largest error; noise levels below have no room for a label
TITLES = {LVE: "lips (LVE)", EVE: "eyes and forehead (EVE)"}


def draw_all(found: Findings, folder: Path) -> None:
    """Write every PNG into `folder`."""
    pictures: dict[str, Callable[[Findings], Figure]] = {
        "pairs": draw_pairs,
        "top_band": draw_band,
        "best_of_n": draw_selection,
        "reliability": draw_reliability,
        "extrapolation": draw_outlook,
        "probes": draw_probes,
    }
    for name, draw in pictures.items():
        figure = draw(found)
        write_png(figure, folder / f"{name}.png", dpi=130)
        plt.close(figure)


def draw_pairs(found: Findings) -> Figure:
    """Draw pair accuracy by distance in noise and against ground truth, beside true errors."""
    cells = [*found.pairs.noise, *found.pairs.truth]
    figure, axis = plt.subplots(figsize=(8.5, 0.62 * len(cells) + 1.6), layout="constrained")
    votes = {name: [cell.right[name] for cell in cells] for name in found.facts["scorers"]}
    truths = {"LVE agrees": "|", "EVE agrees": "x"}
    _rows(axis, [cell.label for cell in cells], votes)
    for (label, marker), error in zip(truths.items(), STREAM_OF_ERROR, strict=True):
        shares = [100 * cell.confirmed[error][0] for cell in cells]
        axis.plot(shares, range(len(cells)), marker, color="black", ms=9, label=label)
    axis.axvline(50, color="#cbd5e0", lw=1, zorder=0)
    axis.set(xlabel="pairs ranked as labelled (%)", title="Pair accuracy on unseen utterances")
    _legend_below(axis)
    return figure


def draw_band(found: Findings) -> Figure:
    """Draw Spearman's rho inside the top band, by scorer."""
    rho = found.band[ALL].rho
    labels = [(name, head) for name, heads in rho.items() for head in heads]
    figure, axes = plt.subplots(
        1, 2, figsize=(10, 0.38 * len(labels) + 1.6), sharey=True, sharex=True, layout="constrained"
    )
    for axis, error in zip(axes, STREAM_OF_ERROR, strict=True):
        for row, (name, head) in enumerate(labels):
            _bar(axis, rho[name][head][error], row, color=COLORS[name])
        axis.axvline(0, color="#cbd5e0", lw=1, zorder=0)
        axis.set(title=TITLES[error], xlabel="Spearman's rho with minus the true error")
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(labels)), [_name(name, head) for name, head in labels])
    axes[0].invert_yaxis()
    figure.suptitle(f"Order among {found.facts['samples']} clone samples of an utterance")
    return figure


def draw_selection(found: Findings) -> Figure:
    """Draw how much best-of-n changes the true error, by scorer."""
    chosen = found.selection[ALL]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    for axis, error in zip(axes, STREAM_OF_ERROR, strict=True):
        for name, heads in chosen.relative.items():
            for head, by_error in heads.items():
                means, lows, highs = (
                    [100 * x for x in part] for part in zip(*by_error[error], strict=True)
                )
                dashed = name == ORACLE or (head != OWN and OWN in heads)
                axis.plot(chosen.n, means, "--" if dashed else "-", marker="o", ms=4,
                          color=COLORS[name], label=_name(name, head))  # fmt: skip
                if name in (REWARD, CEILING, LIKELIHOOD) and not dashed:
                    axis.fill_between(chosen.n, lows, highs, color=COLORS[name], alpha=0.1, lw=0)
        axis.set_xscale("log", base=2)
        axis.set_xticks(chosen.n, [f"{n}" for n in chosen.n])
        axis.set(title=TITLES[error], xlabel="best of n", ylabel="change of the true error (%)")
        axis.grid(alpha=0.3)
    _shared_legend(figure, axes[0])
    return figure


def draw_reliability(found: Findings) -> Figure:
    """Draw confidence against how often it is right, before and after fitting a temperature."""
    kinds = list(found.trust.raw)
    figure, axes = plt.subplots(
        1, max(1, len(kinds)), figsize=(3.9 * max(1, len(kinds)), 4), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, kind in zip(axes[0], kinds, strict=False):
        axis.plot([50, 100], [50, 100], color="#a0aec0", lw=1, ls=":")
        for figures, color in ((found.trust.raw, "#a0aec0"), (found.trust.fitted, COLORS[REWARD])):
            one = figures[kind]
            label = f"T = {one.temperature:.2g}: ECE {100 * one.ece[0]:.1f} %"
            for each in one.bins:
                _upright(axis, 100 * each.confidence, each.right, color=color)
            points = [(100 * each.confidence, 100 * each.right[0]) for each in one.bins]
            axis.plot(*zip(*points, strict=True), marker="o", ms=4, color=color, label=label)
        axis.set(xlabel="confidence (%)", xlim=(48, 102), ylim=(0, 104))
        axis.set_title(kind.replace(": ", ":\n"), fontsize="medium")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, loc="lower right", fontsize="small")
    axes[0][0].set_ylabel("ranked right (%)")
    return figure


def draw_outlook(found: Findings) -> Figure:
    """Draw mean score against mean true error: everything, and what lies near the clone."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 9), sharey="row", layout="constrained")
    for column, error in enumerate(STREAM_OF_ERROR):
        _everything(axes[0][column], found.outlook.points, error)
        axes[0][column].set_title(
            f"{TITLES[error]}, all: rho {found.outlook.rho[error][0]:.2f}", fontsize="medium"
        )
        _near_clone(axes[1][column], found.outlook.points, error)
        axes[1][column].set_title(
            f"without noise levels: rho {found.outlook.rho_clean[error][0]:.2f}", fontsize="medium"
        )
        for axis in axes[:, column]:
            axis.set(xlabel="mean true error (mm)")
            axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("mean score")
    axes[0][1].legend(frameon=False, fontsize="small", loc="upper right")
    _shared_legend(figure, axes[1][0])
    return figure


def _everything(axis: Axes, points: tuple[Point, ...], error: str) -> None:
    for kind, (color, marker) in KINDS.items():
        mine = [point for point in points if point.kind == kind]
        for number, point in enumerate(mine):
            _point(
                axis, point, error, color=color, marker=marker, label=kind if number == 0 else ""
            )
            if kind == NOISE and point.errors[error][0] > _CROWDED * _largest(points, error):
                place = point.errors[error][0], point.score[0]
                axis.annotate(point.label, place, xytext=(-8, 7), textcoords="offset points",
                              fontsize="small", color="#4a5568", ha="right")  # fmt: skip


def _near_clone(axis: Axes, points: tuple[Point, ...], error: str) -> None:
    near = [point for point in points if point.kind != NOISE]
    for number, point in enumerate(near):
        color = plt.get_cmap("tab20")(number % 20)
        _point(axis, point, error, color=color, marker=KINDS[point.kind][1], label=point.label)


def _largest(points: tuple[Point, ...], error: str) -> float:
    return max(point.errors[error][0] for point in points)


def _point(axis: Axes, point: Point, error: str, *, color: Any, marker: str, label: str) -> None:
    axis.errorbar(
        point.errors[error][0], point.score[0], xerr=_ends(point.errors[error]),
        yerr=_ends(point.score), fmt=marker, color=color, ms=12 if marker == "*" else 6, lw=1,
        label=label or None,
    )  # fmt: skip


def draw_probes(found: Findings) -> Figure:
    """Draw how often each probe outranks the clean animation."""
    probes = found.probes
    figure, axis = plt.subplots(figsize=(8.5, 0.36 * len(probes) + 1.8), layout="constrained")
    models = [name for name in (REWARD, PAPER, CEILING) if probes and name in probes[0].outranks]
    labels = [probe.label + (" (held out)" if probe.held_out else "") for probe in probes]
    _rows(axis, labels, {name: [probe.outranks[name] for probe in probes] for name in models})
    for marker, error in zip("|x", STREAM_OF_ERROR, strict=True):
        shares = [100 * probe.truly_better[error][0] for probe in probes]
        axis.plot(shares, range(len(probes)), marker, color="black", ms=7,
                  label=f"truly nearer by {error.upper()}")  # fmt: skip
    axis.axvline(50, color="#cbd5e0", lw=1, zorder=0)  # a coin's share
    axis.set(xlabel="outranks the clean sample (% of utterances)", xlim=(-2, 102))
    axis.set_title("Hacking probes")
    _legend_below(axis)
    return figure


def _rows(axis: Axes, labels: list[str], shares: dict[str, list[Triple]]) -> None:
    """Draw shares with intervals, a row for each label, scorers side by side within it."""
    for number, (name, figures) in enumerate(shares.items()):
        shift = 0.55 * ((number + 0.5) / len(shares) - 0.5)
        for row, figure in enumerate(figures):
            mean, low, high = (100 * value for value in figure)
            _bar(axis, (mean, low, high), row + shift, color=COLORS[name],
                 label=name if row == 0 else None)  # fmt: skip
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)


def _bar(axis: Axes, figure: Triple, row: float, *, color: str, label: str | None = None) -> None:
    axis.errorbar(
        figure[0], row, xerr=_ends(figure), fmt="o", ms=5, lw=1.6, color=color, label=label
    )


def _upright(axis: Axes, x: float, figure: Triple, *, color: str) -> None:
    mean, low, high = (100 * value for value in figure)
    axis.errorbar(x, mean, yerr=_ends((mean, low, high)), fmt="none", lw=1.2, color=color)


def _ends(figure: Triple) -> list[list[float]]:
    """Return how far an interval reaches below and above its mean."""
    mean, low, high = figure
    return [[max(0.0, mean - low)], [max(0.0, high - mean)]]


def _legend_below(axis: Axes) -> None:
    axis.figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4,
                       frameon=False, fontsize="small")  # fmt: skip


def _shared_legend(figure: Figure, axis: Axes) -> None:
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=5,
                  frameon=False, fontsize="small")  # fmt: skip


def _name(name: str, head: str) -> str:
    return f"{name}, {OWN}" if head == OWN and name != ORACLE else name
