"""Pair accuracy by distance, family, emotion and speaker, and hacking probes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.task.episode_metrics import STREAM_OF_ERROR
from reward.demonstrations import RECONSTRUCTION, RECORDING, motions_of, requantised
from reward.demonstrations.order import ACROSS, EPSILON, GROUND_TRUTH
from reward.report import FAMILY_PROBES, PLAIN_PROBES, PairCell, PairTable, Triple
from train.reward_report.animations import TOLD_APART
from train.reward_report.inputs import REWARD, ReportInputs, ReportScorers, Scored

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray, IntArray

LEAST_GAP = 0.23
GAP_EDGES = (0.0, 0.1, LEAST_GAP, 0.48, 0.73, 1.01)
NOISE_LABEL = f"Δε ≥ {LEAST_GAP:g}, all"
CLOSE_LABEL = f"ε {TOLD_APART[0]:g} above {TOLD_APART[1]:g}"
_ORIGINS = {"recording": RECORDING, "recording through the tokenizer": RECONSTRUCTION}


@dataclass(frozen=True)
class PairFigures:
    """Tables of pairs.

    Attributes:
        noise: By distance in noise, and the bars' two rows.
        truth: Ground truth above the clone; one roll-out of each utterance, so that a share of
            pairs is one of utterances.
        families: By corruption family, all strengths and none.
        steps: By family, its clean animation above each strength.
        emotions: Noise pairs at the least distance of the bar.
        speakers: The two rows of the bars, and ground truth, by group of speakers.
    """

    noise: tuple[PairCell, ...]
    truth: tuple[PairCell, ...]
    families: tuple[PairCell, ...]
    steps: dict[str, dict[str, PairCell]]
    emotions: tuple[PairCell, ...]
    speakers: tuple[PairCell, ...]


def pair_figures(study: ReportInputs) -> PairFigures:
    """Return every table of pairs."""
    table = pair_table(study)
    wide = table.of_kind(EPSILON) & (table.gap >= LEAST_GAP)
    close = table.epsilons(*TOLD_APART)
    truth = _truth_masks(study, table)
    families = [k for k in sorted(set(table.kind)) if k not in (EPSILON, GROUND_TRUTH, ACROSS)]
    emotion = study.emotions[table.utterance]
    return PairFigures(
        noise=_cells(table, {**_gap_masks(table), CLOSE_LABEL: close, NOISE_LABEL: wide}),
        truth=_cells(table, truth),
        families=_cells(table, {name: table.of_kind(name) for name in families}),
        steps={name: _steps(study, table, name) for name in families},
        emotions=_cells(table, {str(e): wide & (emotion == e) for e in np.unique(study.emotions)}),
        speakers=_cells(
            table,
            {
                f"{label}; {group}": mask & chosen[table.utterance]
                for label, mask in {CLOSE_LABEL: close, NOISE_LABEL: wide, **truth}.items()
                for group, chosen in list(study.groups.items())[1:]
            },
        ),
    )


def pair_table(study: ReportInputs) -> PairTable:
    """Return all pairs, with the total score of every scorer."""
    return PairTable(
        study.cast.demonstrations,
        scores={name: study.column(name) for name in study.names},
        errors=_true_errors(study),
        resampler=study.resampler,
    )


def _true_errors(study: ReportInputs) -> dict[str, np.ndarray]:
    """Return the errors, with nan for the recording: its own is 0 by definition, not a test."""
    recording = study.cast.mask(study.cast.truth[RECORDING])
    return {n: np.where(recording, np.nan, e) for n, e in study.scored.errors.items()}


def _gap_masks(table: PairTable) -> dict[str, BoolArray]:
    noise = table.of_kind(EPSILON)
    masks = {}
    for low, high in pairwise(GAP_EDGES):
        inside = (table.gap >= low) & (table.gap < high)
        label = f"{low:g} ≤ Δε < {high:g}" if high <= 1 else f"{low:g} ≤ Δε"
        masks[label if low > 0 else f"Δε < {high:g}"] = noise & inside
    return masks


def _truth_masks(study: ReportInputs, table: PairTable) -> dict[str, BoolArray]:
    cast = study.cast
    greedy = cast.levels[list(study.settings.levels).index(0.0)]
    others = {"clone's sample": cast.samples[:, 0], "greedy clone": greedy}
    return {
        f"{label} above the {name}": table.truth_above(origin, cast.mask(rows))
        for label, origin in _ORIGINS.items()
        for name, rows in others.items()
    }


def _steps(study: ReportInputs, table: PairTable, family: str) -> dict[str, PairCell]:
    """Return, by strength, the pairs of the clean animation and this much damage."""
    making = study.cast.demonstrations.making
    mine = table.of_kind(family) & making.untouched[table.better]
    strength = making.strength[table.worse].round(6)
    masks = {f"{s:g}": mine & np.isclose(strength, s) for s in study.settings.strengths}
    found = {label: table.cell(label, mask) for label, mask in masks.items()}
    return {label: cell for label, cell in found.items() if cell is not None}


def _cells(table: PairTable, masks: dict[str, BoolArray]) -> tuple[PairCell, ...]:
    found = [table.cell(label, mask) for label, mask in masks.items()]
    return tuple(cell for cell in found if cell is not None)


def marked(figures: PairFigures, held_out: tuple[str, ...]) -> tuple[PairCell, ...]:
    """Return the families' cells, those held out of training marked in their label."""
    return tuple(
        replace(cell, label=f"{cell.label} (held out)") if cell.label in held_out else cell
        for cell in figures.families
    )


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


def probe_figures(study: ReportInputs, judges: ReportScorers) -> tuple[ProbeFigures, ...]:
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


def _family_probes(study: ReportInputs) -> dict[str, tuple[str, float]]:
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
    study: ReportInputs,
    judges: ReportScorers,
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
