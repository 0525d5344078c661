"""Pictures of a sweep: the best so far over trials, and the objective over each setting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from train.plots import BLUE, GREEN, ORANGE, save
from train.tuning.trials import FINISHED, PRUNED

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    from train.pictures import missing_matplotlib

    raise missing_matplotlib() from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from train.run.setting_ranges import Tunable
    from train.tuning.figures import Objective
    from train.tuning.space import Space
    from train.tuning.trials import Trial

_COLUMNS = 4
_LOOKS = {FINISHED: (BLUE, "o"), PRUNED: (ORANGE, "x")}


def plot_history(
    trials: Sequence[Trial], target: Path, *, objective: Objective, title: str, baseline: float
) -> None:
    """Draw every trial's figure in the order of proposals, and the best finished one so far."""
    figure, axis = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    for state, (color, marker) in _LOOKS.items():
        points = _points(trials, state, objective)
        if points:
            numbers, values = zip(*points, strict=True)
            axis.scatter(numbers, values, color=color, marker=marker, label=state)
    finished = _points(trials, FINISHED, objective)
    if finished:
        numbers, values = zip(*finished, strict=True)
        best = np.maximum.accumulate if objective.higher else np.minimum.accumulate
        axis.step(numbers, best(values), where="post", color=BLUE, lw=1.2, label="best so far")
    _baseline(axis, baseline)
    axis.set(xlabel="trial", ylabel=title)
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, fontsize="small")
    save(figure, target)


def plot_settings(
    trials: Sequence[Trial],
    space: Space,
    target: Path,
    *,
    objective: Objective,
    title: str,
    baseline: float,
) -> None:
    """Draw the figure over each setting that was tried, a panel each."""
    n_rows = -(-len(space) // _COLUMNS)
    n_columns = min(len(space), _COLUMNS)
    size = (3.2 * n_columns + 1, 3.0 * n_rows)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, sharey=True, layout="constrained"
    )
    for axis in axes.flat[len(space) :]:
        axis.axis("off")
    for axis, (key, one) in zip(axes.flat, space.items(), strict=False):
        for state, (color, marker) in _LOOKS.items():
            chosen = [each for each in trials if each.state == state and _has(each, objective)]
            places = [_place(each.settings.get(key), one.values) for each in chosen]
            values = [each.figures[objective.name] for each in chosen]
            axis.scatter(places, values, color=color, marker=marker, label=state)
        if one.values:
            axis.set_xticks(range(len(one.values)), [str(value) for value in one.values])
        else:
            if one.log:
                axis.set_xscale("log")
            axis.set_xlim(_widened(one))
        _baseline(axis, baseline)
        axis.set(xlabel=key)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel(title)
    axes[0][0].legend(frameon=False, fontsize="small")
    save(figure, target)


def _widened(one: Tunable) -> tuple[float, float]:
    """Return a range with a margin on either side, so that points at its ends are seen whole."""
    if one.log:
        margin = (one.most / one.least) ** 0.05
        return one.least / margin, one.most * margin
    margin = 0.05 * (one.most - one.least)
    return one.least - margin, one.most + margin


def _place(value: Any, values: Sequence[Any]) -> float:
    return float(values.index(value)) if values else float(value)


def _points(trials: Sequence[Trial], state: str, objective: Objective) -> list[tuple[int, float]]:
    return [
        (trial.number, trial.figures[objective.name])
        for trial in trials
        if trial.state == state and _has(trial, objective)
    ]


def _has(trial: Trial, objective: Objective) -> bool:
    return math.isfinite(trial.figures.get(objective.name, math.nan))


def _baseline(axis: Axes, value: float) -> None:
    if math.isfinite(value):
        axis.axhline(value, color=GREEN, lw=1.0, ls="--", label="baseline")
