"""What all figures are worked out from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esarm_env.task import AnimationTask
from esarm_env.types import BoolArray, FloatArray, IntArray
from reward.report import STREAM_OF_ERROR, Resampler, column_for
from train.reward_report.cast import Cast
from train.reward_report.scoring import Scored
from train.reward_report.settings import ReportSettings

ALL, SEEN, NEW = "all", "speakers heard in training", "new speakers"


@dataclass(frozen=True)
class Study:
    """A cast with everyone's scores.

    Attributes:
        cast: N animations of U utterances.
        scored: Of all of them.
        names: Of the scorers: models first, then baselines.
        utterances: Shape (U,), ascending.
        groups: By name, shape (U,), which utterances are in: all, heard speakers, new ones; empty
            groups are left out.
        emotions: Shape (U,).
        held_out: Corruption families that the reward model was not trained on.
        trained_levels: Noise levels that it was trained on.
        resampler: Over the U utterances.
        settings: Of the report.
    """

    cast: Cast
    scored: Scored
    names: tuple[str, ...]
    utterances: IntArray
    groups: dict[str, BoolArray]
    emotions: np.ndarray
    held_out: tuple[str, ...]
    trained_levels: tuple[float, ...]
    resampler: Resampler
    settings: ReportSettings

    @property
    def place(self) -> IntArray:
        """Shape (N,), place of each animation's utterance in `utterances`."""
        return np.searchsorted(self.utterances, self.cast.demonstrations.utterance)

    def column(self, name: str, error: str | None = None) -> FloatArray:
        """Return a scorer's scores (N,): the total, or its own head for an error if it has one."""
        scores = self.scored.scores
        return scores[name if error is None else column_for(error, name, scores)]

    def has_heads(self, name: str) -> bool:
        """Return whether a scorer has a head of its own for each error."""
        return all(f"{name}:{part}" in self.scored.scores for part in STREAM_OF_ERROR.values())


def speaker_groups(task: AnimationTask, utterances: IntArray) -> dict[str, BoolArray]:
    """Return which of `utterances` (U,) are of which group; empty groups are left out."""
    records = task.corpus.records
    seen = np.array([records[int(i)].speaker in task.conditions.speakers for i in utterances])
    groups = {ALL: np.ones(len(utterances), dtype=np.bool_), SEEN: seen, NEW: ~seen}
    return {name: mask for name, mask in groups.items() if mask.any()}
