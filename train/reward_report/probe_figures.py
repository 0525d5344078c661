"""Hacking probes: how often a spoilt animation outranks the clean one it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esarm_env.types import FloatArray, IntArray
from reward.demonstrations import motions_of, requantised
from reward.report import FAMILY_PROBES, PLAIN_PROBES, STREAM_OF_ERROR, Triple
from train.reward_report.judges import REWARD, Judges
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
        tokenised: The same of the reward once the probe has gone through the tokenizer, as that of
            a policy on tokens would have.
        truly_better: By true error and for the mean of both, share of utterances in which it really
            is nearer to the recording than the clean one.
        change: By true error, mean difference from the clean one, mm.
    """

    label: str
    held_out: bool
    n_utterances: int
    outranks: dict[str, Triple]
    tokenised: Triple
    truly_better: dict[str, Triple]
    change: dict[str, Triple]


def probe_figures(study: Study, judges: Judges) -> tuple[ProbeFigures, ...]:
    """Return every probe: those of the report's own, families at a strength, and held-out ones."""
    demonstrations = study.cast.demonstrations
    clean = study.cast.samples[:, 0]
    made = motions_of(demonstrations[clean], judges.task)
    figures = []
    for label, spoil in PLAIN_PROBES.items():
        motions = [spoil(motion) for motion in made]
        figures.append(_figures(study, judges, label, clean, motions))
    for label, (family, strength) in _family_probes(study).items():
        rows = study.cast.damage(family, strength)
        if len(rows):
            motions = motions_of(demonstrations[rows], judges.task)
            base = study.cast.base[rows]
            figures.append(_figures(study, judges, label, base, motions, family=family))
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
    study: Study,
    judges: Judges,
    label: str,
    base: IntArray,
    motions: list[FloatArray],
    *,
    family: str = "",
) -> ProbeFigures:
    """Return the figures of `motions`, which were made from the animations at the rows `base`."""
    mean, places = study.resampler.mean, study.place[base]
    utterances = study.utterances[places]
    before, after = _at(study.scored, base), judges.score_motions(utterances, motions)
    tokens = judges.models[REWARD].score_motion(utterances, requantised(motions, judges.task))
    errors = {name: (before.errors[name], after.errors[name]) for name in STREAM_OF_ERROR}
    both = {MEAN: (_mean_error(before), _mean_error(after))}
    return ProbeFigures(
        label=label,
        held_out=family in study.held_out,
        n_utterances=len(places),
        outranks={n: mean(_above(s, before.scores[n]), places) for n, s in after.scores.items()},
        tokenised=mean(_above(tokens, before.scores[REWARD]), places),
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
