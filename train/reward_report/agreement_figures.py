"""Whether the members of an ensemble agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esarm_env.types import FloatArray, IntArray
from reward.report import Triple, member_spread, rank_agreement
from train.reward_report.judges import REWARD, Judges
from train.reward_report.study import Study


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


def agreement(study: Study, judges: Judges) -> Agreement | None:
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
