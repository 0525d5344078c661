"""Figures of `esarm bench rl`: interquartile means over seeds with intervals, and its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.intervals import UNKNOWN, Interval, SeedResampler, interquartile_mean
from train.bench.rl.climb import Point, first_at
from train.bench.rl.trainers import TRAINERS

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

BAR = 0.3  # normalised return that a climb is timed to


@dataclass
class Row:
    """All seeds of an algorithm with one timing of the reward.

    Attributes:
        algorithm: Name of the trainer.
        timing: `chunk` or `terminal`.
        climbs: By seed.
        faults: By seed, why there is no climb.
    """

    algorithm: str
    timing: str
    climbs: dict[int, list[Point]] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it is called in a plot."""
        return f"{self.algorithm}, {self.timing}"


def interval_of(values: Sequence[float]) -> Interval:
    """Return the interquartile mean over seeds; with one seed nothing is known of its spread."""
    found = np.array(values, dtype=np.float64)
    if not len(found):
        return UNKNOWN
    if len(found) == 1:
        return Interval(float(found[0]), float("nan"), float("nan"))
    return SeedResampler(len(found), 1).interquartile_mean(found[:, None])


def curve_of(climbs: Sequence[list[Point]], grid: DoubleArray, *, over: str) -> list[Interval]:
    """Return the interquartile mean of normalised returns over seeds, at each place of `grid`.

    Between measurements a line is drawn; behind the last one of a seed its return stays.

    Args:
        climbs: One of each seed.
        grid: Ascending, of the figure `over`.
        over: A figure of `Point`: `steps` or `cpu_s`.
    """
    at = np.array(
        [
            np.interp(
                grid, [getattr(p, over) for p in climb], [point.normalised for point in climb]
            )
            for climb in climbs
        ]
    )
    return [interval_of(column.tolist()) for column in at.T]


def row_figures(row: Row) -> dict[str, Any]:
    """Return the figures of a row, plain values by name; None where nothing is known."""
    climbs = list(row.climbs.values())
    last = [climb[-1] for climb in climbs]
    reached = [first_at(climb, BAR) for climb in climbs]
    known = [point for point in reached if point is not None]
    trainer = TRAINERS[row.algorithm]
    return {
        "algorithm": row.algorithm,
        "library": trainer.library,
        "start": trainer.start,
        "timing": row.timing,
        "note": trainer.note,
        "seeds": sorted(row.climbs),
        "normalised": list(interval_of([point.normalised for point in last])),
        "worst": min((point.normalised for point in last), default=None),
        "by_seed": {str(seed): climb[-1].normalised for seed, climb in row.climbs.items()},
        "return": _middle([point.score for point in last]),
        "lve_mm": _middle([point.lve_mm for point in last]),
        "eve_mm": _middle([point.eve_mm for point in last]),
        "cpu_s": _middle([point.cpu_s for point in last]),
        "wall_s": _middle([point.wall_s for point in last]),
        "n_reached": len(known),
        "steps_to_bar": _middle([point.steps for point in known]),
        "cpu_s_to_bar": _middle([point.cpu_s for point in known]),
        "faults": {str(seed): fault for seed, fault in row.faults.items()},
    }


def _middle(values: Sequence[float]) -> float | None:
    """Return the interquartile mean; None of nothing."""
    if not len(values):
        return None
    return float(interquartile_mean(np.array([values], dtype=np.float64))[0])


def render(figures: Mapping[str, Any]) -> str:
    """Return the page `rl.md`."""
    scale, seeds = figures["scale"], ", ".join(map(str, figures["seeds"]))
    lines = [
        f"# Reinforcement learning on {figures['env']}",
        "",
        f"Greedy policies on the {scale['split']} utterances, {figures['steps']:,} tokens of "
        f"training, seeds {seeds}. Normalised return: 0 = random tokens ({scale['random']:.3f}), "
        f"1 = recordings through the tokenizer ({scale['recorded']:.3f}); reward "
        f"{figures['reward']}. A face that never moves, and hears nothing, gets "
        f"{scale['still_normalised']:.2f}. Interquartile mean over seeds with 95 % bootstrap "
        f"intervals over seeds; times are processor seconds of training on one thread. Settings "
        "were chosen without looking at test utterances.",
        "",
        *(["![Normalised return](rl.png)", ""] if any(r["seeds"] for r in figures["rows"]) else []),
        "| algorithm | library | from | reward | normalised return | worst seed | LVE, mm "
        f"| EVE, mm | seeds at {BAR:g} | tokens to {BAR:g} | seconds to {BAR:g} | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [line for row in figures["rows"] for line in _table_lines(row)]
    notes = {row["algorithm"]: row["note"] for row in figures["rows"] if row["note"]}
    if notes:
        lines += ["", *(f"- {name}: {note}." for name, note in notes.items())]
    return "\n".join(lines)


def _table_lines(row: Mapping[str, Any]) -> list[str]:
    """Return a row of the table, and one for each reason why a seed has no climb."""
    head = f"| {row['algorithm']} | {row['library']} | {row['start']} | {row['timing']} |"
    lines = []
    if row["seeds"]:
        mean, low, high = row["normalised"]
        spread = "" if len(row["seeds"]) < 2 else f" [{low:.2f}, {high:.2f}]"
        cells = [
            f"{mean:.2f}{spread}",
            f"{row['worst']:.2f}",
            f"{row['lve_mm']:.2f}",
            f"{row['eve_mm']:.2f}",
            f"{row['n_reached']} of {len(row['seeds'])}",
            "never" if row["steps_to_bar"] is None else f"{row['steps_to_bar']:,.0f}",
            "never" if row["cpu_s_to_bar"] is None else f"{row['cpu_s_to_bar']:.1f}",
            f"{row['cpu_s']:.0f}",
        ]
        lines.append(f"{head} {' | '.join(cells)} |")
    for fault in dict.fromkeys(row["faults"].values()):
        which = ", ".join(seed for seed, other in row["faults"].items() if other == fault)
        said = fault.replace("|", "/")
        lines.append(f"{head} not measured (seeds {which}): {said} | | | | | | | |")
    return lines
