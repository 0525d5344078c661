"""The figures of `esarm bench env` as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_COLUMNS = (
    "environment",
    "autoreset",
    "envs",
    "steps/s",
    "slowest",
    "fastest",
    "episodes",
    "MiB",
    "MiB total",
)


def render(figures: dict[str, Any]) -> str:
    """Return the tables, the growth of memory, and the bars.

    Args:
        figures: Of `train.bench.environment.bench_environment`.
    """
    cases = sorted(figures["cases"] + figures["not_run"], key=lambda row: row["num_envs"])
    parts = [
        _heading(figures["machine"], figures["task"]),
        _table("Without terminal reward and metrics", [row for row in cases if not row["scored"]]),
        _table("With the learned reward, LVE and EVE", [row for row in cases if row["scored"]]),
        "steps/s: median window between the slowest and the fastest; MiB: peak above a process "
        "with the task but no environments",
        _growth(figures["kib_per_env"]),
        "\n".join(_bar(bar) for bar in figures["bars"]),
    ]
    return "\n\n".join(part for part in parts if part)


def _heading(machine: dict[str, Any], task: dict[str, Any]) -> str:
    before, after = (
        " ".join(f"{load:.1f}" for load in machine[key]) for key in ("load_before", "load_after")
    )
    shortest, mean, longest = task["steps"]
    return (
        f"{machine['cpus']} CPUs, {machine['system']}; load {before} before, {after} after\n"
        + ", ".join(f"{name} {text}" for name, text in machine["versions"].items())
        + f"\n{task['corpus']}: {task['utterances']} utterances of {shortest} to {longest} steps "
        f"(mean {mean}); random actions; each case one thread in a process of its own"
    )


def _table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return aligned columns; the first one to the left."""
    if not rows:
        return ""
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    full = [row for row in cells if len(row) == len(_COLUMNS)]
    widths = [max(len(row[column]) for row in full) for column in range(len(_COLUMNS))]
    names, modes = (max(len(row[column]) for row in cells) for column in (0, 1))
    lines = [title]
    for row in cells:
        rest = (f"{text:>{width}}" for text, width in zip(row[2:], widths[2:], strict=False))
        lines.append("  ".join([f"{row[0]:<{names}}", f"{row[1]:<{modes}}", *rest]))
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if "reason" in row:
        return row["name"], row["autoreset"], f"{row['num_envs']:,}", f"not run: {row['reason']}"
    rates = (f"{row[key]:,.0f}" for key in ("steps_per_s", "slowest", "fastest"))
    memory = (f"{row[key]:,.1f}" for key in ("above_mib", "total_mib"))
    envs = f"{row['num_envs']:,}"
    return row["name"], row["autoreset"], envs, *rates, f"{row['episodes']:,}", *memory


def _growth(kib_per_env: dict[str, dict[str, float]]) -> str:
    lines = [
        f"  {name}: " + ", ".join(f"{size:.1f} from {span}" for span, size in spans.items())
        for name, spans in kib_per_env.items()
        if spans
    ]
    return "\n".join(["KiB that an environment more takes", *lines]) if lines else ""


def _bar(bar: dict[str, Any]) -> str:
    verdict = "reached" if bar["reached"] else "MISSED"
    rule = "at most" if bar["at_most"] else "at least"
    value = f"{bar['value']:,.0f}" if bar["value"] >= 1000 else f"{bar['value']:.1f}"
    return f"{bar['name']}: {value} ({rule} {bar['bar']:,}: {verdict})"
