"""Pair accuracy by distance in noise, against ground truth, by family, emotion and speaker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from esarm_env.types import BoolArray
from reward.demonstrations import RECONSTRUCTION, RECORDING
from reward.demonstrations.order import ACROSS, EPSILON, GROUND_TRUTH
from reward.report import PairCell, PairTable
from train.reward_report.settings import TOLD_APART
from train.reward_report.study import Study

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


def pair_figures(study: Study) -> PairFigures:
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


def pair_table(study: Study) -> PairTable:
    """Return all pairs, with the total score of every scorer."""
    return PairTable(
        study.cast.demonstrations,
        scores={name: study.column(name) for name in study.names},
        errors=_true_errors(study),
        resampler=study.resampler,
    )


def _true_errors(study: Study) -> dict[str, np.ndarray]:
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


def _truth_masks(study: Study, table: PairTable) -> dict[str, BoolArray]:
    cast = study.cast
    greedy = cast.levels[list(study.settings.levels).index(0.0)]
    others = {"clone's sample": cast.samples[:, 0], "greedy clone": greedy}
    return {
        f"{label} above the {name}": table.truth_above(origin, cast.mask(rows))
        for label, origin in _ORIGINS.items()
        for name, rows in others.items()
    }


def _steps(study: Study, table: PairTable, family: str) -> dict[str, PairCell]:
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
