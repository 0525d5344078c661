"""What `esarm compare` prints and writes: narrow tables, a page, a CSV, and curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import write_text
from esarm_env.core.intervals import UNKNOWN
from esarm_env.core.run_layout import EXPERIMENTS_FOLDER
from esarm_env.task.episode_metrics import EVE, LVE
from train.pictures import draw_or_explain
from train.rows import EXPECTED, GREEDY, POLICY, SAMPLED
from train.run.loop import write_rows
from train.stages.measures import CLIMBED

if TYPE_CHECKING:
    from esarm_env.core.intervals import Interval
    from train.experiments.comparison import Comparison, Line
    from train.experiments.sources import Policy

NAME = "compare"
_TITLES = {
    LVE: "LVE (mm) ↓",
    EVE: "EVE (mm) ↓",
    "score": "learned score",
    CLIMBED: "climbed reward",
}
_DECODINGS = {"greedy": GREEDY, "expected-distance": EXPECTED, "sampled": SAMPLED}
USUAL = "usual"
Table = list[list[str]]


def plain_page(found: Comparison, *, decoding: str = USUAL) -> str:
    """Return the tables as text with aligned columns.

    Args:
        found: What was compared.
        decoding: Rows to show: `greedy`, `expected-distance`, `sampled`, `all`, or `usual`: by
            expected distance where the clone knows distances, else greedy, and sampled.
    """
    parts = []
    for title, table in _tables(found, decoding):
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        parts.append("\n".join([title, "", *lines]))
    return "\n\n".join(parts) + "\n"


def write_pages(found: Comparison) -> Path:
    """Write `compare.md`, `.csv` and `.png` into the folder of the experiments; return the page."""
    folder = found.run / EXPERIMENTS_FOLDER
    parts = [f"# Policies of `{found.run.name}` side by side"]
    for title, table in _tables(found, USUAL):
        head, *rows = ["| " + " | ".join(row) + " |" for row in table]
        parts.append("\n".join([title, "", head, "|" + "---|" * len(table[0]), *rows]))
    if any(policy.curve for policy in found.policies):
        parts.append(f"![Validation figures while each policy was trained]({NAME}.png)")
    text = draw_or_explain("\n\n".join(parts) + "\n", lambda: _draw(found, folder))
    write_rows(_csv_rows(found), folder / f"{NAME}.csv")
    page = folder / f"{NAME}.md"
    write_text(page, text)
    return page


def _draw(found: Comparison, folder: Path) -> None:
    curves = {p.name: (p.reward, p.curve) for p in found.policies if p.curve}
    if curves:
        from train.plots import plot_experiments

        plot_experiments(curves, folder / f"{NAME}.png")


def _tables(found: Comparison, decoding: str) -> list[tuple[str, Table]]:
    """Return headings and tables; each has few columns, so that it fits on a screen."""
    lines = [line for line in found.lines if _shown(line, found, decoding)]
    share = round(100 * found.confidence)
    keys = [key for key in _TITLES if key != CLIMBED or _climbs_others(found)]
    means = [["animation", *(_TITLES[key] for key in keys)]]
    trained = {policy.name for policy in found.policies if policy.climbs}
    for line in lines:
        shown = _told(line, trained)
        means.append([line.row.label, *(_cell(shown.get(key)) for key in keys)])
    changes = [[f"minus {found.against}", *(_TITLES[key] for key in keys)]]
    for line in lines:
        if line.differences:
            known = {k: v for k, v in line.differences.items() if k in _told(line, trained)}
            changes.append([line.row.label, *(_change(known.get(key)) for key in keys)])
    tables = [
        (
            f"{found.utterances} test utterances; brackets are {share} % intervals over them. The "
            "learned score is a proxy: read it beside the true errors.",
            means,
        )
    ]
    if len(changes) > 1:
        same = "decoded the same way, " if _is_policy(found) else ""
        tables.append((f"Differences, {same}paired per utterance:", changes))
    if found.policies:
        tables.insert(0, ("How each policy came to be:", _policies(found.policies)))
    return tables


def _told(line: Line, trained: set[str]) -> dict[str, Any]:
    """Return the figures of a row; the climbed reward of what climbed none would be another's."""
    return {k: v for k, v in line.means.items() if k != CLIMBED or line.row.policy in trained}


def _policies(policies: Sequence[Policy]) -> Table:
    table = [["policy", "trained by", "reward climbed", "iterations", "KL to the clone", "time"]]
    for policy in policies:
        kl = "n/a" if math.isnan(policy.kl) else f"{policy.kl:.3f} nats/token"
        time = "n/a" if math.isnan(policy.wall_s) else f"{policy.wall_s:.0f} s"
        iterations = "n/a" if policy.iterations is None else f"{policy.iterations}"
        trained = policy.algorithm or "n/a", (policy.reward or "n/a") if policy.climbs else "none"
        table.append([policy.name, *trained, iterations, kl, time])
    return table


def _climbs_others(found: Comparison) -> bool:
    """Return whether the climbed reward says more than the learned score."""
    return any(line.means[CLIMBED] != line.means["score"] for line in found.lines)


def _is_policy(found: Comparison) -> bool:
    return any(line.row.policy == found.against for line in found.lines)


def _shown(line: Line, found: Comparison, decoding: str) -> bool:
    if line.row.source != POLICY or decoding == "all":
        return True
    if decoding != USUAL:
        return line.row.decoding == _DECODINGS[decoding]
    by_distance = any(
        other.row.decoding == EXPECTED and other.row.policy == line.row.policy
        for other in found.lines
    )
    return line.row.decoding in (SAMPLED, EXPECTED if by_distance else GREEDY)


def _cell(figures: Interval | None) -> str:
    known = figures is not None and not math.isnan(figures.mean)
    return str(figures) if known else "n/a"


def _change(figures: Interval | None) -> str:
    if figures is None or math.isnan(figures.mean):
        return "n/a"
    return f"{figures.mean:+.2f} [{figures.low:+.2f}, {figures.high:+.2f}]"


def _csv_rows(found: Comparison) -> list[dict[str, Any]]:
    """Return a row for each figure of each row, decoded in each way."""
    policies = {policy.name: policy for policy in found.policies}
    rows = []
    for line in found.lines:
        policy = policies.get(line.row.policy)
        for key, value in line.means.items():
            change = line.differences.get(key, UNKNOWN)
            rows.append(
                {
                    "label": line.row.label,
                    "policy": line.row.policy or line.row.source,
                    "decoding": line.row.decoding,
                    "algorithm": policy.algorithm if policy else "",
                    "climbed_reward": policy.reward if policy and policy.climbs else "",
                    "kl_nats_per_token": _number(policy.kl if policy else math.nan),
                    "wall_s": _number(policy.wall_s if policy else math.nan),
                    "figure": key,
                    "mean": _number(value.mean),
                    "low": _number(value.low),
                    "high": _number(value.high),
                    "against": found.against,
                    "difference": _number(change.mean),
                    "difference_low": _number(change.low),
                    "difference_high": _number(change.high),
                }
            )
    return rows


def _number(value: float) -> float | str:
    """Return a figure, or an empty cell where it is not known."""
    return "" if math.isnan(value) else value
