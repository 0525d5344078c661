"""Picture of the curves by emotion: quantities (rows) by emotion (columns)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.cache import new_file
from train.figure5.methods import TRUTH_COLOUR, row_colours
from train.pictures import missing_matplotlib

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise missing_matplotlib() from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from train.figure5.emotion_curves import Curves, EmotionCurve

plt.switch_backend("Agg")  # into files, never on a screen


def draw_emotion_curves(
    curves: Curves, target: Path, *, truth: str, labels: Sequence[str], title: str
) -> None:
    """Draw means as lines and spreads as bands, recordings in black on grey.

    Args:
        curves: Of `emotion_curves`.
        target: PNG to write.
        truth: Label of the recordings.
        labels: Of the methods, in their order.
        title: Of the picture.
    """
    emotions = list(dict.fromkeys(e for rows in curves.values() for e in rows[truth]))
    figure, axes = plt.subplots(
        len(curves),
        len(emotions),
        figsize=(1.75 * len(emotions) + 1.0, 1.9 * len(curves) + 1.3),
        squeeze=False,
        sharex=True,
        sharey="row",
        layout="constrained",
    )
    colour = row_colours(labels)
    for row, (name, by_label) in zip(axes, curves.items(), strict=True):
        for axis, emotion in zip(row, emotions, strict=True):
            for label in labels:
                if label != truth and emotion in by_label[label]:
                    _band(axis, by_label[label][emotion], colour=colour[label], label=label)
            _band(axis, by_label[truth][emotion], colour=TRUTH_COLOUR, label=truth, heavy=True)
            axis.axhline(0.0, color="#bbbbbb", linewidth=0.6, zorder=0)
            axis.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(f"{name} (mm)")
    for axis, emotion in zip(axes[0], emotions, strict=True):
        axis.set_title(f"{emotion} (n={next(iter(curves.values()))[truth][emotion].count})")
    for axis in axes[-1]:
        axis.set_xticks([0, 1], ["start", "end"])
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title)
    with new_file(target, keep_suffix=True) as draft:
        figure.savefig(draft, dpi=130)
    plt.close(figure)


def _band(axis: Axes, curve: EmotionCurve, *, colour: str, label: str, heavy: bool = False) -> None:
    """Draw one mean and one standard deviation on both sides."""
    time = np.linspace(0.0, 1.0, len(curve.mean))
    low, high = curve.mean - curve.spread, curve.mean + curve.spread
    shade = 0.2 if heavy else 0.07
    axis.fill_between(time, low, high, color=colour, alpha=shade, linewidth=0)
    axis.plot(time, curve.mean, color=colour, label=label, linewidth=2.0 if heavy else 1.2)
