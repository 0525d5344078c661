"""Tables of `esarm bench agents`, and the ratios between agents."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from agents.network.acceleration import PLAIN, Acceleration
from train.bench.references import (
    AGENT_LENGTH,
    AGENT_RATIOS,
    BUFFER_SHARE,
    UPDATE_GROWTH,
    Reference,
    compare,
    comparison_line,
)

GROWTH_FROM, GROWTH_TO = 64, 256

Row = dict[str, Any]


def references_of(
    rows: Sequence[Row], *, acceleration: Acceleration = PLAIN
) -> list[dict[str, Any]]:
    """Return figures beside our references, for the rows that are there.

    Args:
        rows: Of `train.bench.agents.benchmark.row_of`.
        acceleration: What the accelerated row trades for speed; says how far off it may be.

    Returns:
        See `train.bench.references.compare`.
    """
    found = {(row["backend"], row["length"], row["n_episodes"]): row for row in rows}
    compared = []
    for n_episodes in sorted({row["n_episodes"] for row in rows}):
        ours = found.get(("ours", AGENT_LENGTH, n_episodes))
        place = f"{AGENT_LENGTH} x {n_episodes}"
        for (phase, rival), reference in AGENT_RATIOS.items() if ours else ():
            theirs = found.get((rival, AGENT_LENGTH, n_episodes))
            if ours and theirs:
                name = f"{phase}, {place}: times {theirs['name']}"
                compared.append(compare(name, ratio_of(ours, theirs, phase), reference))
        stock = found.get(("stock", AGENT_LENGTH, n_episodes))
        if ours and stock:
            share = ours["buffer_bytes"] / stock["buffer_bytes"]
            name = f"buffer, {place}: share of {stock['name']}"
            compared.append(compare(name, share, BUFFER_SHARE))
        short, long = (found.get(("ours", n, n_episodes)) for n in (GROWTH_FROM, GROWTH_TO))
        if short and long:
            rates = [row["phases"]["update"]["tokens_per_s"] for row in (short, long)]
            name = (
                f"update, cost of a token from {GROWTH_FROM} to {GROWTH_TO} x {n_episodes}: times"
            )
            compared.append(compare(name, rates[0] / rates[1], UPDATE_GROWTH))
    return compared + _equality(rows, acceleration)


def _equality(rows: Sequence[Row], acceleration: Acceleration) -> list[dict[str, Any]]:
    """Return, per row of ours, how far its log-probabilities are from the plain network's."""
    limits = {"ours": PLAIN.tolerance, "accelerated": acceleration.tolerance}
    return [
        compare(
            f"log-probabilities, {row['length']} x {row['n_episodes']}, {row['name']}: nats off",
            row["log_prob_error"],
            Reference(limits[row["backend"]], "as the acceleration promises", at_most=True),
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


_PHASES = ("rollout", "update", "iteration", "score")
_MEMORY = {"above_mib": "MiB", "total_mib": "MiB total", "gpu_mib": "GPU MiB"}
_COLUMNS = ("agent", "T", "N", *_PHASES, *_MEMORY.values(), "buffer KiB", "parameters")
_LEGEND = """\
T tokens an episode, N episodes at once; tokens/s: the median window (slowest and fastest are in the
JSON); iteration: a roll-out with its scores, and an update of one epoch; MiB: peak above a process
with the modules alone; GPU MiB: peak of torch's tensors there"""
_BUSY_LOAD = 0.5


def render(figures: dict[str, Any], *, bars: bool = False) -> str:
    """Return the table, how far it is to the machine's limit, and the ratios that matter.

    Args:
        figures: Of `train.bench.agents.benchmark.bench_agents`.
        bars: Whether our own bounds stand beside the last.
    """
    parts = [
        _heading(figures),
        _table(figures["cases"]),
        "\n".join(f"{row['name']} not run: {row['reason']}" for row in figures["not_run"]),
        f"{_LEGEND}\n{_extrapolated(figures['cases'])}",
        _limits(figures["limits"]),
        "\n".join(comparison_line(row, bars=bars) for row in figures["references"]),
    ]
    return "\n\n".join(part.rstrip() for part in parts if part)


def _heading(figures: dict[str, Any]) -> str:
    machine = figures["machine"]
    before, after = (
        " ".join(f"{load:.1f}" for load in machine[key]) for key in ("load_before", "load_after")
    )
    versions = machine["versions"] | machine["rivals"]
    lines = [
        f"{machine['cpus']} CPUs, {machine['threads']} threads, networks on {machine['device']}, "
        f"{machine['system']}; "
        f"load {before} before, {after} after",
        ", ".join(f"{name} {text}" for name, text in versions.items()),
        "network: " + ", ".join(f"{name} {size}" for name, size in figures["network"].items()),
    ]
    if machine["load_before"][0] > _BUSY_LOAD:
        lines.append("The machine was busy before: take the ratios as preliminary.")
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]]) -> str:
    """Return aligned columns; the first one to the left."""
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            [f"{name:<{widths[0]}}"]
            + [f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True)]
        )
        for name, *rest in cells
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    rates = (_rate(row["phases"].get(name)) for name in _PHASES)
    memory = (f"{row[key]:,.0f}" if row[key] else "-" for key in _MEMORY)
    buffer = f"{row['buffer_bytes'] / 1024:,.0f}" if row["buffer_bytes"] else "-"
    sizes = (f"{row['length']}", f"{row['n_episodes']}")
    return row["name"], *sizes, *rates, *memory, buffer, f"{row['parameters']:,}"


def _rate(phase: dict[str, Any] | None) -> str:
    """Return tokens per second, after `~` where a part of the work was not run."""
    if phase is None:
        return "-"
    mark = "~" if phase["measured"] < 1 else ""
    return f"{mark}{phase['tokens_per_s']:,.0f}"


def _extrapolated(rows: list[dict[str, Any]]) -> str:
    shares = [
        phase["measured"]
        for row in rows
        for phase in row["phases"].values()
        if phase["measured"] < 1
    ]
    if not shares:
        return ""
    return (
        f"~ extrapolated: {min(shares):.1%} to {max(shares):.0%} of the network's calls (spread "
        "evenly over the episode) or minibatches were run,\nthe others count with their mean; "
        "the loops around them run in full"
    )


def _limits(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"  T {row['length']}, N {row['n_episodes']}: roll-out {row['rollout_gflops']:.1f} "
        f"({row['rollout_share']:.0%}), update {row['update_gflops']:.1f} "
        f"({row['update_share']:.0%}) of {row['matmul_gflops']:.0f}"
        for row in rows
    ]
    title = "GFLOP/s of our matrix products, of what a product of 1024 x 1024 reaches meanwhile"
    return "\n".join([title, *lines]) if lines else ""
