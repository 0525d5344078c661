"""Where reinforcement learning moves: rank correlations within an utterance, and best-of-n."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esarm_env.types import FloatArray, IntArray
from reward.report import (
    STREAM_OF_ERROR,
    UNKNOWN,
    Triple,
    best_of_n,
    kendall_tau_b,
    spearman_rho,
)
from train.reward_report.judges import CEILING
from train.reward_report.study import ALL, Study

TOTAL, OWN = "total score", "own head"
BAND, LEVELS = "clone samples", "noise levels"
ORACLE = "the true error itself"
_MEASURES = {"tau": kendall_tau_b, "rho": spearman_rho}

# By scorer and head (`total score`, `own head`), then by error.
ByScorer = dict[str, dict[str, dict[str, Triple]]]


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
    errors: dict[str, dict[str, dict[str, tuple[Triple, ...]]]]
    change: ByScorer
    relative: dict[str, dict[str, dict[str, tuple[Triple, ...]]]]
    of_ceiling: ByScorer


def correlations(study: Study, where: str, *, group: str = ALL) -> Correlations:
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
    means = {
        measure: _nested({key: study.resampler.mean(v, places) for key, v in values.items()})
        for measure, values in each.items()
    }
    shares = {
        key: _share_of_ceiling(study, key, each["rho"], places, sign=1)
        for key in each["rho"]
        if CEILING in study.names
    }
    return Correlations(means["tau"], means["rho"], _nested(shares))


def selection(study: Study, *, group: str = ALL) -> Selection:
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


def _columns(study: Study, rows: IntArray) -> dict[tuple[str, str, str], FloatArray]:
    """Return scores at `rows` (U, K) by scorer, head and error."""
    columns = {}
    for name in study.names:
        for error in STREAM_OF_ERROR:
            columns[name, TOTAL, error] = study.column(name)[rows]
            if study.has_heads(name):
                columns[name, OWN, error] = study.column(name, error)[rows]
    return columns


def _share_of_ceiling(
    study: Study, key: tuple[str, str, str], values: dict, places: IntArray, *, sign: int
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


def _nested(flat: dict) -> dict:
    """Return {(scorer, head, error): x} as {scorer: {head: {error: x}}}."""
    nested: dict = {}
    for (name, head, error), value in flat.items():
        nested.setdefault(name, {}).setdefault(head, {})[error] = value
    return nested
