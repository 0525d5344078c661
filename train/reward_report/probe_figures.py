"""Hacking probes: how often a spoilt animation outranks the clean one it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esarm_env.types import FloatArray, IntArray
from reward.demonstrations import motions_of
from reward.report import FAMILY_PROBES, PLAIN_PROBES, STREAM_OF_ERROR, Triple
from train.reward_report.judges import Judges
from train.reward_report.scoring import Scored
from train.reward_report.study import Study

MEAN = "mean"


@dataclass(frozen=True)
class ProbeFigures:
    """One probe.

    Attributes:
        label: What was done.
        held_out: Whether its family is one that training never saw.
        n_utterances: How many it was done to.
        outranks: By scorer, share of utterances in which it scores above the clean animation, a tie
            counting one half.
        truly_better: By true error and for the mean of both, share of utterances in which it really
            is nearer to the recording than the clean one.
        change: By true error, mean difference from the clean one, mm.
    """

    label: str
    held_out: bool
    n_utterances: int
    outranks: dict[str, Triple]
    truly_better: dict[str, Triple]
    change: dict[str, Triple]


def probe_figures(study: Study, judges: Judges) -> tuple[ProbeFigures, ...]:
    """Return every probe: those of the report's own, families at a strength, and held-out ones."""
    clean = study.cast.samples[:, 0]
    made = motions_of(study.cast.demonstrations[clean], judges.task)
    before = _at(study.scored, clean)
    figures = []
    for label, spoil in PLAIN_PROBES.items():
        after = judges.score_motions(study.utterances, [spoil(motion) for motion in made])
        figures.append(_figures(study, label, before, after, np.arange(len(clean))))
    for label, (family, strength) in _family_probes(study).items():
        rows = study.cast.damage(family, strength)
        if len(rows):
            base, places = study.cast.base[rows], study.place[rows]
            spoilt = _at(study.scored, rows), places
            figures.append(_figures(study, label, _at(study.scored, base), *spoilt, family=family))
    return tuple(figures)


def _family_probes(study: Study) -> dict[str, tuple[str, float]]:
    """Return family and strength by label; a held-out family is shown at full strength."""
    shown = {family for family, _ in FAMILY_PROBES.values()}
    others = {
        f"{family}, strength {max(study.settings.strengths):g}": (
            family,
            max(study.settings.strengths),
        )
        for family in study.held_out
        if family not in shown
    }
    return FAMILY_PROBES | others


def _figures(
    study: Study, label: str, before: Scored, after: Scored, places: IntArray, *, family: str = ""
) -> ProbeFigures:
    mean = study.resampler.mean
    shared = [name for name in after.scores if name in before.scores]
    known = [name for name in shared if not np.isnan(after.scores[name]).any()]
    errors = {name: (before.errors[name], after.errors[name]) for name in STREAM_OF_ERROR}
    both = {MEAN: (_mean_error(before), _mean_error(after))}
    return ProbeFigures(
        label=label,
        held_out=family in study.held_out,
        n_utterances=len(places),
        outranks={n: mean(_above(after.scores[n], before.scores[n]), places) for n in known},
        truly_better={
            n: mean(_above(old, new), places) for n, (old, new) in (errors | both).items()
        },
        change={n: mean(new - old, places) for n, (old, new) in errors.items()},
    )


def _mean_error(scored: Scored) -> FloatArray:
    """Return the mean of both errors, (N,), of one if a corpus cannot tell the other."""
    errors = np.stack([scored.errors[name] for name in STREAM_OF_ERROR])
    known = ~np.isnan(errors)
    total = np.where(known, errors, 0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan).astype(np.float32)


def _at(scored: Scored, rows: IntArray) -> Scored:
    return Scored(
        {name: values[rows] for name, values in scored.scores.items()},
        {name: values[rows] for name, values in scored.errors.items()},
    )


def _above(a: FloatArray, b: FloatArray) -> FloatArray:
    votes = (a > b) + 0.5 * (a == b)
    return np.where(np.isnan(a + b), np.nan, votes).astype(np.float32)
