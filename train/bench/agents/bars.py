"""What `esarm bench agents` is to reach, beside what was."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from agents.acceleration import PLAIN, Acceleration

BAR_LENGTH = 128
# Phase, rival, and how many times faster ours must be; each at `BAR_LENGTH`.
BAR_RATIOS = (
    ("rollout", "stock", 15.0),
    ("update", "stock", 150.0),
    ("iteration", "stock", 80.0),
    ("rollout", "generate", 1.5),
    ("iteration", "recurrent", 4.0),
    ("iteration", "recurrent-128", 4.0),
)
BAR_BUFFER = 1 / 100
BAR_GROWTH, GROWTH_FROM, GROWTH_TO = 1.3, 64, 256

Row = dict[str, Any]


def bars_of(rows: Sequence[Row], *, acceleration: Acceleration = PLAIN) -> list[dict[str, Any]]:
    """Return a bar for all that the rows can answer.

    Args:
        rows: Of `train.bench.agents.benchmark.row_of`.
        acceleration: What the accelerated row trades for speed; says how far off it may be.

    Returns:
        Of each `name`, `value`, `bar`, `at_most` and `reached`.
    """
    found = {(row["backend"], row["length"], row["n_episodes"]): row for row in rows}
    bars = []
    for n_episodes in sorted({row["n_episodes"] for row in rows}):
        ours = found.get(("ours", BAR_LENGTH, n_episodes))
        place = f"{BAR_LENGTH} x {n_episodes}"
        for phase, rival, bar in BAR_RATIOS if ours else ():
            theirs = found.get((rival, BAR_LENGTH, n_episodes))
            if ours and theirs:
                name = f"{phase}, {place}: times {theirs['name']}"
                bars.append(_bar(name, ratio_of(ours, theirs, phase), bar))
        stock = found.get(("stock", BAR_LENGTH, n_episodes))
        if ours and stock:
            share = ours["buffer_bytes"] / stock["buffer_bytes"]
            name = f"buffer, {place}: share of {stock['name']}"
            bars.append(_bar(name, share, BAR_BUFFER, at_most=True))
        short, long = (found.get(("ours", n, n_episodes)) for n in (GROWTH_FROM, GROWTH_TO))
        if short and long:
            rates = [row["phases"]["update"]["tokens_per_s"] for row in (short, long)]
            name = (
                f"update, cost of a token from {GROWTH_FROM} to {GROWTH_TO} x {n_episodes}: times"
            )
            bars.append(_bar(name, rates[0] / rates[1], BAR_GROWTH, at_most=True))
    return bars + _equality(rows, acceleration)


def _equality(rows: Sequence[Row], acceleration: Acceleration) -> list[dict[str, Any]]:
    """Return a bar per row of ours: how far its log-probabilities are from the plain network's."""
    limits = {"ours": PLAIN.tolerance, "accelerated": acceleration.tolerance}
    return [
        _bar(
            f"log-probabilities, {row['length']} x {row['n_episodes']}, {row['name']}: nats off",
            row["log_prob_error"],
            limits[row["backend"]],
            at_most=True,
        )
        for row in rows
        if row["backend"] in limits and "log_prob_error" in row
    ]


def ratio_of(ours: Row, theirs: Row, phase: str) -> float:
    """Return how many times faster ours is, the median of the turns.

    What slowed both down in a turn is no difference between them.
    """
    turns = zip(ours["phases"][phase]["windows"], theirs["phases"][phase]["windows"], strict=True)
    ratio: float = statistics.median(our / their for our, their in turns)
    return ratio


def _bar(name: str, value: float, bar: float, *, at_most: bool = False) -> dict[str, Any]:
    reached = value <= bar if at_most else value >= bar
    return {"name": name, "value": value, "bar": bar, "at_most": at_most, "reached": bool(reached)}
