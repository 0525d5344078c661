"""The picture: proxy and true errors over the square root of the divergence from the clone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from esarm_env.cache import new_file
from train.overoptimise.findings import Point

PANELS = {
    "proxy": "proxy: score",
    "lve": "gold: LVE (mm), lower is better",
    "eve": "gold: EVE (mm), lower is better",
}
_BEST_OF_N_COLOR = "black"


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
            _line(axis, points, name, color=shade, style="-", label=f"PPO, KL {kl_coef:g}")
        _line(axis, best_of_n, name, color=_BEST_OF_N_COLOR, style="--", label="best of n")
        axis.axhline(0, color="gray", lw=0.8)
        axis.set(title=label, xlabel="√ nats per utterance from the clone")
        axis.set_ylabel("change from the clone")
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False, fontsize="small")
    figure.suptitle(title)
    with new_file(target) as draft:
        figure.savefig(draft, dpi=130, format="png")
    plt.close(figure)


def _line(
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
