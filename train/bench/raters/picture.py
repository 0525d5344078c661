"""Picture of the study: agreement with the taste, and the policy's taste, by number of answers.

Apart from the page, since it needs matplotlib, which is an extra.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train.pictures import missing_matplotlib
from train.plots import BLUE, GREEN, ORANGE, save

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise missing_matplotlib() from error


def draw_study(rows: list[dict[str, Any]], settings: dict[str, Any], target: Path) -> None:
    """Draw what rewards and policies came to.

    Args:
        rows: As `train.bench.raters.page.flat` returns them, by number of answers.
        settings: Of the study.
        target: PNG to write.
    """
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    places = range(len(rows))
    agreement, taste, lve = axes
    _bars(agreement, rows, "agreement", color=BLUE, label="reward")
    alone = [row["agreement_alone"] for row in rows]
    agreement.plot(places, alone, "x", color=ORANGE, label="raters' part alone")
    agreement.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
    agreement.set(title="agreement with the taste", ylim=(0, 1))
    agreement.legend(frameon=False)
    _bars(taste, rows, "taste_change", color=GREEN, label="policy")
    taste.axhline(0, color="grey", linewidth=0.8, linestyle=":")
    taste.set(title=f"change of {settings['taste']} in the policy")
    lve.plot(places, [100 * row["lve_share"] for row in rows], "o-", color=ORANGE, label="usual")
    shares = [100 * row["sampled_lve_share"] for row in rows]
    lve.plot(places, shares, "x:", color=BLUE, label="sampled")
    lve.legend(frameon=False)
    lve.axhline(3, color="grey", linewidth=0.8, linestyle=":")
    lve.set(title="change of LVE (%)")
    for axis in axes:
        axis.set_xticks(list(places), [str(row["answers"]) for row in rows])
        axis.set_xlabel("answers of simulated raters")
        axis.grid(alpha=0.3)
    figure.suptitle(f"Simulated raters, {settings['noise']:.0%} of answers wrong")
    save(figure, target)


def _bars(axis: Any, rows: list[dict[str, Any]], name: str, *, color: str, label: str) -> None:
    values = [row[name] for row in rows]
    low = [value - (row[f"{name}_low"] or value) for value, row in zip(values, rows, strict=True)]
    high = [(row[f"{name}_high"] or value) - value for value, row in zip(values, rows, strict=True)]
    axis.errorbar(
        range(len(rows)), values, yerr=[low, high], fmt="o-", color=color, capsize=3, label=label
    )
