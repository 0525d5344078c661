"""Rank correlations within an utterance, best-of-n, and extrapolation beyond training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from agents.rollout.animation import roll_out_with
from agents.weights import load_policy
from esarm_env.task.episode_metrics import STREAM_OF_ERROR
from reward.demonstrations import RECONSTRUCTION, RECORDING, RankedDemonstrations, collect
from reward.report import UNKNOWN, Triple, best_of_n, kendall_tau_b, spearman_rho
from train.reward_report.inputs import ALL, CEILING, REWARD, ReportInputs, ReportScorers

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray

TOTAL, OWN = "total score", "own head"
BAND, LEVELS = "clone samples", "noise levels"
ORACLE = "the true error itself"
_MEASURES = {"tau": kendall_tau_b, "rho": spearman_rho}

# By scorer and head (`total score`, `own head`), then by error.
_T = TypeVar("_T")
_Nested = dict[str, dict[str, dict[str, _T]]]
ByScorer = _Nested[Triple]
_Key = tuple[str, str, str]  # the same, flat


@dataclass(frozen=True)
class Correlations:
    """Means over utterances of rank correlations with minus a true error.

    Attributes:
        tau: By scorer, head and error: Kendall's tau-b.
        rho: Spearman's rho.
        of_ceiling: Its mean rho as a share of the ceiling's; empty without a ceiling.
    """

    tau: ByScorer
    rho: ByScorer
    of_ceiling: ByScorer


@dataclass(frozen=True)
class Selection:
    """True errors of best-of-n.

    Attributes:
        n: Sizes.
        errors: By scorer and head, then by error, one triple for each of `n`, in mm.
        change: Of the largest n, paired difference from n = 1, in mm.
        relative: Of each n, the same as a share of the error at n = 1.
        of_ceiling: The largest n's gain as a share of the ceiling's; empty without a ceiling.
    """

    n: tuple[int, ...]
    errors: _Nested[tuple[Triple, ...]]
    change: ByScorer
    relative: _Nested[tuple[Triple, ...]]
    of_ceiling: ByScorer


def correlations(study: ReportInputs, where: str, *, group: str = ALL) -> Correlations:
    """Return the correlations inside the top band (`BAND`) or over all `LEVELS`."""
    rows = study.cast.samples if where == BAND else study.cast.levels.T  # (U, K)
    rows = rows[study.groups[group]]
    places = np.flatnonzero(study.groups[group])
    each = {
        measure: {
            key: function(scores, -study.scored.errors[key[2]][rows])
            for key, scores in _columns(study, rows).items()
        }
        for measure, function in _MEASURES.items()
    }
    means: dict[str, ByScorer] = {
        measure: _nested({key: study.resampler.mean(v, places) for key, v in values.items()})
        for measure, values in each.items()
    }
    shares = {
        key: _share_of_ceiling(study, key, each["rho"], places, sign=1)
        for key in each["rho"]
        if CEILING in study.names
    }
    return Correlations(means["tau"], means["rho"], _nested(shares))


def selection(study: ReportInputs, *, group: str = ALL) -> Selection:
    """Return best-of-n by every scorer; n is 1, 2, 4, ... up to the samples there are."""
    rows = study.cast.samples[study.groups[group]]
    places = np.flatnonzero(study.groups[group])
    sizes = tuple(2**power for power in range(int(np.log2(rows.shape[1])) + 1))
    columns = _columns(study, rows)
    columns |= {(ORACLE, OWN, e): -study.scored.errors[e][rows] for e in STREAM_OF_ERROR}
    means = {
        key: [best_of_n(scores, study.scored.errors[key[2]][rows], n=n) for n in sizes]
        for key, scores in columns.items()
    }
    change = {key: steps[-1] - steps[0] for key, steps in means.items()}
    resampler = study.resampler
    shares = {
        key: _share_of_ceiling(study, key, change, places, sign=-1)
        for key in change
        if CEILING in study.names
    }
    return Selection(
        n=sizes,
        errors=_nested({k: tuple(resampler.mean(s, places) for s in v) for k, v in means.items()}),
        change=_nested({key: resampler.mean(values, places) for key, values in change.items()}),
        relative=_nested(
            {
                key: tuple(resampler.ratio(step - steps[0], steps[0], places) for step in steps)
                for key, steps in means.items()
            }
        ),
        of_ceiling=_nested(shares),
    )


def _columns(study: ReportInputs, rows: IntArray) -> dict[_Key, FloatArray]:
    """Return scores at `rows` (U, K) by scorer, head and error."""
    columns = {}
    for name in study.names:
        for error in STREAM_OF_ERROR:
            columns[name, TOTAL, error] = study.column(name)[rows]
            if study.has_heads(name):
                columns[name, OWN, error] = study.column(name, error)[rows]
    return columns


def _share_of_ceiling(
    study: ReportInputs, key: _Key, values: dict[_Key, DoubleArray], places: IntArray, *, sign: int
) -> Triple:
    """Return the mean of one scorer's values as a share of the ceiling's, by the same head.

    A gain has the `sign` 1 or -1.
    """
    _, head, error = key
    ceiling = values.get((CEILING, head, error), values.get((CEILING, TOTAL, error)))
    if ceiling is None:
        return UNKNOWN
    ours, bound = np.nan_to_num(values[key]), np.nan_to_num(ceiling)
    if sign * bound.mean() <= 0:  # the ceiling itself gains nothing: a share of it says nothing
        return UNKNOWN
    return study.resampler.ratio(ours, bound, places)


def _nested(flat: dict[_Key, _T]) -> _Nested[_T]:
    """Return {(scorer, head, error): x} as {scorer: {head: {error: x}}}."""
    nested: _Nested[_T] = {}
    for (name, head, error), value in flat.items():
        nested.setdefault(name, {}).setdefault(head, {})[error] = value
    return nested


NOISE, CLONE, BEST, TRUTH, POLICY = (
    "noise levels",
    "clone",
    "best of n clone samples",
    "ground truth",
    "after reinforcement learning",
)


@dataclass(frozen=True)
class Point:
    """A kind of animation.

    Attributes:
        label: Which.
        kind: One of the above.
        score: Mean score of the reward.
        errors: Mean true errors, mm.
    """

    label: str
    kind: str
    score: Triple
    errors: dict[str, Triple]


@dataclass(frozen=True)
class Outlook:
    """All points, and how far their orders agree.

    Attributes:
        points: Kinds of animations.
        rho: Spearman's rho of mean score and minus mean error over all points.
        rho_clean: The same without the noise levels above 0: what lies near the clone and beyond.
    """

    points: tuple[Point, ...]
    rho: dict[str, Triple]
    rho_clean: dict[str, Triple]


def outlook(
    study: ReportInputs,
    judges: ReportScorers,
    policies: dict[str, Path],
    *,
    seed: int,
    after: Callable[[], None] = lambda: None,
) -> Outlook:
    """Return every point; `policies` are rolled out greedily and at temperature 1."""
    values = _from_cast(study)
    for number, (name, file) in enumerate(policies.items(), start=1):
        roll_out = roll_out_with(load_policy(file), judges.task)
        for manner, temperature in (("greedy", 0.0), ("sampled", 1.0)):
            made = collect(
                roll_out,
                judges.task,
                study.utterances,
                epsilons=(0.0,),
                temperature=temperature,
                seed=seed,
                iteration=number,
            )
            values[f"{name}, {manner}", POLICY] = _figures(judges, made)
            after()
    return _outlook(study, values)


def _figures(judges: ReportScorers, made: RankedDemonstrations) -> dict[str, DoubleArray]:
    scored = judges.score(made)
    found = {REWARD: scored.scores[REWARD], **scored.errors}
    return {name: values.astype(np.float64) for name, values in found.items()}


def _from_cast(study: ReportInputs) -> dict[tuple[str, str], dict[str, DoubleArray]]:
    """Return score and errors per utterance, (U,) each, of what is in the cast."""
    cast, columns = study.cast, {REWARD: study.column(REWARD), **study.scored.errors}

    def at(rows: IntArray) -> dict[str, DoubleArray]:
        n = len(study.utterances)
        return {k: v[rows].reshape(n, -1).mean(1, dtype=np.float64) for k, v in columns.items()}

    found = {}
    for level, rows in zip(study.settings.levels, cast.levels, strict=True):
        label = ("clone, greedy", CLONE) if level == 0 else (f"ε = {level:g}", NOISE)
        found[label] = at(rows)
    found["clone, sampled", CLONE] = at(cast.samples)
    scores = columns[REWARD][cast.samples]
    for n in (4, 16):
        if n <= scores.shape[1]:
            found[f"best of {n}", BEST] = {
                name: best_of_n(scores, v[cast.samples], n=n) for name, v in columns.items()
            }
    found["recording through the tokenizer", TRUTH] = at(cast.truth[RECONSTRUCTION])
    found["recording", TRUTH] = at(cast.truth[RECORDING])
    return found


def _outlook(study: ReportInputs, values: dict[tuple[str, str], dict[str, DoubleArray]]) -> Outlook:
    everyone = np.arange(len(study.utterances))
    mean = study.resampler.mean
    points = tuple(
        Point(
            label,
            kind,
            mean(figures[REWARD], everyone),
            {error: mean(figures[error], everyone) for error in STREAM_OF_ERROR},
        )
        for (label, kind), figures in values.items()
    )
    near = [figures for (_, kind), figures in values.items() if kind != NOISE]
    return Outlook(points, *(_order(study, chosen) for chosen in (list(values.values()), near)))


def _order(study: ReportInputs, chosen: list[dict[str, DoubleArray]]) -> dict[str, Triple]:
    """Return how far the order of mean scores is that of minus the mean errors."""
    n = len(chosen)

    def agreement(sums: DoubleArray) -> DoubleArray:
        flat = sums.reshape(-1, sums.shape[-1])
        rho = spearman_rho(flat[:, :n], -flat[:, n:])
        return rho.reshape(sums.shape[:-1])

    everyone = np.arange(len(study.utterances))
    return {
        error: study.resampler.of_sums(
            agreement,
            np.stack([f[REWARD] for f in chosen] + [f[error] for f in chosen], axis=1),
            everyone,
        )
        for error in STREAM_OF_ERROR
    }
