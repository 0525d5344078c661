"""Ensemble agreement and calibration of the reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.task.episode_metrics import EVE, LVE
from reward.demonstrations.order import EPSILON, GROUND_TRUTH
from reward.report import (
    Calibration,
    Triple,
    calibration,
    fitted_temperature,
    member_spread,
    rank_agreement,
)
from train.reward_report.inputs import REWARD, ReportScorers
from train.reward_report.pair_figures import pair_table

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray
    from train.reward_report.inputs import ReportInputs


@dataclass(frozen=True)
class Agreement:
    """How far an ensemble's members agree.

    Attributes:
        members: How many.
        agreement: By band, mean Spearman's rho over pairs of members, within an utterance.
        spread: By level, mean deviation of the members' scores.
    """

    members: int
    agreement: dict[str, Triple]
    spread: dict[str, Triple]


def agreement(study: ReportInputs, judges: ReportScorers) -> Agreement | None:
    """Return how far the members agree; None where the reward is no ensemble."""
    ask = getattr(judges.models[REWARD], "score_members", None)
    if ask is None:
        return None
    cast = study.cast
    given = cast.demonstrations.trajectories

    def members(rows: IntArray) -> FloatArray:
        scores: FloatArray = ask(given[rows.reshape(-1)])
        return scores.reshape(len(scores), *rows.shape)

    band = members(cast.samples)  # (M, U, K)
    if len(band) < 2:
        return None
    levels = members(cast.levels.T)
    everyone = np.arange(len(study.utterances))
    mean = study.resampler.mean
    spread = {"clone samples": member_spread(band.reshape(len(band), -1))}
    spread |= {
        f"ε = {level:g}": member_spread(levels[:, :, number])
        for number, level in enumerate(study.settings.levels)
    }
    return Agreement(
        members=len(band),
        agreement={
            "clone samples": mean(rank_agreement(band), everyone),
            "noise levels": mean(rank_agreement(levels), everyone),
        },
        spread={
            label: mean(values, np.repeat(everyone, len(values) // len(everyone)))
            for label, values in spread.items()
        },
    )


RANKS = "automatic ranks: noise levels and ground truth"
BAND_PAIRS = {LVE: "clone samples, by LVE", EVE: "clone samples, by EVE"}
_FEWEST = 10  # pairs; fewer tell nothing


@dataclass(frozen=True)
class Trust:
    """Calibration before and after dividing by a temperature that is fitted on validation.

    Attributes:
        raw: By kind of pair, with temperature 1.
        fitted: The same pairs, with the fitted temperature.
    """

    raw: dict[str, Calibration]
    fitted: dict[str, Calibration]


def trust(study: ReportInputs, validation: ReportInputs) -> Trust:
    """Return the calibration of the reward model; temperatures come from `validation`."""
    raw, fitted = {}, {}
    for kind, (difference, places) in _differences(study).items():
        learned_from, _ = _differences(validation)[kind]
        if min(len(difference), len(learned_from)) < _FEWEST:
            continue
        raw[kind] = calibration(difference, places, study.resampler)
        temperature = fitted_temperature(learned_from)
        fitted[kind] = calibration(difference, places, study.resampler, temperature=temperature)
    return Trust(raw, fitted)


def _differences(study: ReportInputs) -> dict[str, tuple[DoubleArray, IntArray]]:
    """Return, by kind of pair, the better one's score minus the other's, and the utterance."""
    table = pair_table(study)
    ranked = table.of_kind(EPSILON, GROUND_TRUTH)
    found = {RANKS: (table.differences[REWARD][ranked], table.utterance[ranked])}
    rows = study.cast.samples
    first, second = np.triu_indices(rows.shape[1], 1)
    places = np.repeat(np.arange(len(rows)), len(first))
    for error, label in BAND_PAIRS.items():
        scores = study.column(REWARD, error)[rows].astype(np.float64)
        truth = study.scored.errors[error][rows]
        better = np.sign(truth[:, second] - truth[:, first])  # 1 where the first is better
        gaps = (better * (scores[:, first] - scores[:, second])).reshape(-1)
        decided = (np.nan_to_num(better) != 0).reshape(-1)
        found[label] = gaps[decided], places[decided]
    return found
