"""Statistics of a corpus' cells: over seeds and utterances, beside our row, beside the paper.

Intervals are those of a hierarchical bootstrap over seeds of training and utterances
(`SeedResampler`); what has one seed has no interval, since nothing is known of how another training
would have ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.intervals import Interval, SeedResampler, interquartile_mean
from esarm_env.task.episode_metrics import EVE, LVE
from train.tables.table1.cells import DONE, Cell
from train.tables.table1.measures import ONE_EACH, SEVERAL_EACH

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray

COMPARED = (LVE, EVE)
MEAD, RAVDESS = "MEAD", "RAVDESS"
# Table I of the paper; it names neither unit nor reduction, and its "ours" is the improved policy.
PAPER: dict[str, dict[str, dict[str, float]]] = {
    RAVDESS: {
        "meshtalk": {LVE: 4.081, EVE: 4.296},
        "faceformer": {LVE: 3.439, EVE: 3.657},
        "emotalk": {LVE: 3.468, EVE: 3.842},
        "ours": {LVE: 2.891, EVE: 2.587},
    },
    MEAD: {
        "meshtalk": {LVE: 4.328, EVE: 3.697},
        "faceformer": {LVE: 3.951, EVE: 3.256},
        "emotalk": {LVE: 3.367, EVE: 3.065},
        "ours": {LVE: 2.982, EVE: 2.485},
    },
}
NAN = math.nan


@dataclass(frozen=True)
class Against:
    """What a row of ours is against another method, in one error.

    Attributes:
        difference: Ours minus theirs, paired by seed and utterance.
        improvement: Probability that a seed of ours has less error than one of theirs.
        margin: Share of their mean error that ours saves.
        apart: Whether the interval of the difference lies below 0 (or above it) as a whole; False
            where there is no interval.
    """

    difference: Interval
    improvement: Interval
    margin: float
    apart: bool


@dataclass(frozen=True)
class MethodRow:
    """What is known of a method on a corpus.

    Attributes:
        name: Of the method.
        kind: As of a cell.
        seeds: Those that are done.
        means: By key of `ONE_EACH` and `SEVERAL_EACH`; nan ends where there is one seed.
        iqm: Interquartile mean of the errors in `COMPARED`.
        against: Ours against it, by the errors in `COMPARED`; nothing for our own row.
        utterances: How many test utterances all its figures rest on.
        parameters: None if unknown.
        trained_s: Mean over seeds; None if unknown.
        real_time_factor: Mean over seeds; None if unknown.
        notes: What is to be said.
    """

    name: str
    kind: str
    seeds: tuple[int, ...]
    means: dict[str, Interval]
    iqm: dict[str, Interval]
    against: dict[str, Against]
    utterances: int
    parameters: int | None
    trained_s: float | None
    real_time_factor: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CorpusTable:
    """All rows of a corpus.

    Attributes:
        corpus: Its name.
        paper: `MEAD`, `RAVDESS` or nothing: whose column of the paper stands beside it.
        headline: Name of our row, the one that others are compared with; empty if it is not done.
        rows: Of methods with at least one cell that is done.
        lost: Cells that are not done.
        test_utterances: How many there are.
        without: What could not be measured on this corpus, in words.
    """

    corpus: str
    paper: str
    headline: str
    rows: list[MethodRow]
    lost: list[Cell]
    test_utterances: int
    without: tuple[str, ...] = field(default_factory=tuple)


def corpus_table(
    corpus: str,
    cells: Sequence[Cell],
    *,
    order: Iterable[str],
    headline: str,
    paper: str = "",
    resamples: int = 2000,
    confidence: float = 0.95,
) -> CorpusTable:
    """Return the table of a corpus.

    Args:
        corpus: Its name.
        cells: All that are kept.
        order: Names of methods; those not among them come last.
        headline: Of our row.
        paper: Key of `PAPER`, or nothing.
        resamples: Of the bootstrap.
        confidence: Of the intervals.
    """
    by_method: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda each: each.seed):
        if cell.status == DONE:
            by_method.setdefault(cell.method, []).append(cell)
    places = {name: place for place, name in enumerate(order)}
    names = sorted(by_method, key=lambda name: (places.get(name, len(places)), name))
    draws = {"resamples": resamples, "confidence": confidence}
    ours = by_method.get(headline, [])
    _check_utterances(corpus, by_method)
    rows = [_row(by_method[name], [] if name == headline else ours, draws) for name in names]
    first = next(iter(by_method.values()), [])
    lost = [cell for cell in cells if cell.status != DONE]
    return CorpusTable(
        corpus,
        paper,
        headline if ours else "",
        rows,
        lost,
        len(first[0].utterances) if first else 0,
        _without(rows),
    )


def _check_utterances(corpus: str, by_method: Mapping[str, Sequence[Cell]]) -> None:
    """Refuse cells that were tested on different utterances."""
    cells = [cell for each in by_method.values() for cell in each]
    for cell in cells[1:]:
        if cell.utterances != cells[0].utterances:
            raise InputError(
                f"{corpus}: all cells must be tested on the same utterances, got others for "
                f"{cell.method}, seed {cell.seed}; delete its folder to measure it anew"
            )


def _row(cells: Sequence[Cell], ours: Sequence[Cell], draws: dict[str, Any]) -> MethodRow:
    one = cells[0]
    means = {key: _mean_of([c.figures for c in cells], cells, key, draws) for key in ONE_EACH}
    if one.several:
        several = [cell.several for cell in cells]
        means |= {key: _mean_of(several, cells, key, draws) for key in SEVERAL_EACH}
    return MethodRow(
        name=one.method,
        kind=one.kind,
        seeds=tuple(cell.seed for cell in cells),
        means=means,
        iqm={key: interval_of(stacked(cells, key), draws, iqm=True) for key in COMPARED},
        against={key: against(ours, cells, key, draws) for key in COMPARED} if ours else {},
        utterances=int(np.isfinite(stacked(cells, LVE)).all(axis=0).sum()),
        parameters=one.parameters,
        trained_s=_mean([cell.trained_s for cell in cells]),
        real_time_factor=_mean([cell.real_time_factor for cell in cells]),
        notes=one.notes,
    )


def _mean_of(
    figures: Sequence[Mapping[str, FloatArray]],
    cells: Sequence[Cell],
    key: str,
    draws: dict[str, Any],
) -> Interval:
    """Return the mean of a figure, without interval where a cell knows no more than its mean."""
    if all(key in each for each in figures):
        return interval_of(_stack([each[key] for each in figures]), draws)
    known = [
        float(np.nanmean(each[key])) if key in each else cell.means.get(key)
        for each, cell in zip(figures, cells, strict=True)
    ]
    mean = _mean(known)
    return Interval(NAN if mean is None else mean, NAN, NAN)


def stacked(cells: Sequence[Cell], key: str) -> DoubleArray:
    """Return a figure of several seeds, shape (S, N)."""
    return _stack([cell.figures[key] for cell in cells])


def _stack(rows: Sequence[Any]) -> DoubleArray:
    return np.stack([np.asarray(row, dtype=np.float64) for row in rows])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def interval_of(values: DoubleArray, draws: dict[str, Any], *, iqm: bool = False) -> Interval:
    """Return the mean of figures (S, N) with its interval over seeds and utterances.

    With one seed both ends are nan: its utterances alone do not tell of another training.
    """
    if len(values) > 1:
        resampler = SeedResampler(*values.shape, **draws)
        return resampler.interquartile_mean(values) if iqm else resampler.mean(values)
    known = values[:, np.isfinite(values).all(axis=0)]
    if not known.size:
        return Interval(NAN, NAN, NAN)
    return Interval(float(interquartile_mean(known)[0] if iqm else known.mean()), NAN, NAN)


def against(
    ours: Sequence[Cell], theirs: Sequence[Cell], key: str, draws: dict[str, Any]
) -> Against:
    """Return what ours is against another method, over the seeds that both have."""
    shared = {cell.seed for cell in ours} & {cell.seed for cell in theirs}
    own = [cell for cell in ours if cell.seed in shared]
    other = [cell for cell in theirs if cell.seed in shared]
    if not shared:
        unknown = Interval(NAN, NAN, NAN)
        return Against(unknown, unknown, NAN, apart=False)
    a, b = stacked(own, key), stacked(other, key)
    difference = interval_of(a - b, draws)
    known = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    error = float(b[:, known].mean()) if known.any() else 0.0
    margin = 1 - float(a[:, known].mean()) / error if error else NAN  # of recordings, say
    if len(shared) > 1:
        improvement = SeedResampler(*a.shape, **draws).improvement(a, b)
    else:
        wins = (a < b) + 0.5 * (a == b)
        improvement = Interval(float(wins[:, known].mean()) if known.any() else NAN, NAN, NAN)
    return Against(
        difference, improvement, margin, apart=bool(difference.high < 0 or difference.low > 0)
    )


def paper_margin(paper: str, method: str, key: str) -> float:
    """Return the share of a method's error that the paper's own row saves; nan if it has none."""
    known = PAPER.get(paper, {})
    if method not in known or method == "ours":
        return NAN
    return 1 - known["ours"][key] / known[method][key]


def best_paper_margin(paper: str, key: str) -> float:
    """Return the share of the best rival's error that the paper's own row saves; nan if unknown."""
    return min(
        (paper_margin(paper, name, key) for name in PAPER.get(paper, {}) if name != "ours"),
        default=NAN,
    )


def _without(rows: Sequence[MethodRow]) -> tuple[str, ...]:
    """Return the figures that no row has."""
    known = [key for key in ONE_EACH if any(math.isfinite(row.means[key].mean) for row in rows)]
    return tuple(key for key in ONE_EACH if key not in known) if rows else ()
