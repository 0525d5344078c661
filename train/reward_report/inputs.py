"""Inputs of all figures: scores of every animation by every scorer, and true errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.task.animation_task import AnimationTask, pad_stack
from esarm_env.task.episode_metrics import STREAM_OF_ERROR
from reward.demonstrations import RECORDING, RankedDemonstrations, motions_of
from reward.demonstrations.corruptions import Donors
from reward.report import (
    MotionScorer,
    Resampler,
    check_scores,
    column_for,
    score_columns,
)

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray, IntArray, RewardFunction, Trajectories
    from train.reward_report.animations import ReportAnimations, ReportSettings

BLOCK = 512
# Those who score, as the tables name them.
REWARD, CEILING, PAPER = "reward", "ceiling", "paper's recipe"
LIKELIHOOD, JERK, SYNCHRONY = "log-likelihood", "minus jerk", "synchrony"


@dataclass(frozen=True)
class Scored:
    """Figures of N animations.

    Attributes:
        scores: By column, (N,): `NAME` for totals, `NAME:mouth` and `NAME:upper` for heads; nan
            where a baseline cannot tell.
        errors: `lve` and `eve` in mm, (N,).
    """

    scores: dict[str, FloatArray]
    errors: dict[str, FloatArray]


class ReportScorers:
    """All who score: reward models read motion, baselines read tokens."""

    def __init__(
        self,
        task: AnimationTask,
        models: dict[str, MotionScorer],
        baselines: dict[str, RewardFunction],
    ) -> None:
        """Ask `models` about all animations, `baselines` where tokens tell everything."""
        self.task, self.models, self.baselines = task, models, baselines
        self._donors = Donors(task)

    def score(
        self,
        demonstrations: RankedDemonstrations,
        *,
        with_baselines: bool = False,
        after_block: Callable[[], None] = lambda: None,
    ) -> Scored:
        """Return figures of demonstrations, block by block: their motion would fill the memory.

        Raises:
            InputError: If a model gives a score that is not finite.
        """
        parts = []
        for begin in range(0, len(demonstrations), BLOCK):
            some = demonstrations[begin : begin + BLOCK]
            made = self.score_motions(
                some.utterance, motions_of(some, self.task, donors=self._donors)
            )
            tokens = some.making.untouched & (some.making.origin != RECORDING)
            told = self._told(some.trajectories, tokens) if with_baselines else {}
            parts.append(Scored(made.scores | told, made.errors))
            after_block()
        return _joined(parts)

    def score_motions(self, utterances: IntArray, motions: list[FloatArray]) -> Scored:
        """Return the models' figures of motion, each (T_i, 52), as long as its utterance."""
        scores: dict[str, FloatArray] = {}
        for name, model in self.models.items():
            scores |= score_columns(name, model, self.task, utterances=utterances, motions=motions)
        errors = self.task.errors_of_motion(pad_stack(motions, edge=True), utterances)
        return Scored(scores, errors)

    def _told(self, trajectories: Trajectories, known: BoolArray) -> dict[str, FloatArray]:
        """Return the baselines' scores, (N,), nan where `known` (N,) is False."""
        written = trajectories[known]
        told = {}
        for name, baseline in self.baselines.items():
            scores = np.full(len(known), np.nan, dtype=np.float32)
            if len(written):
                scores[known] = baseline.score(written)
                check_scores(scores[known], self.task.ids_of(written.utterance), name=name)
            told[name] = scores
        return told


def n_blocks(n: int) -> int:
    """Return how many blocks `n` animations are scored in."""
    return -(-n // BLOCK)


def _joined(parts: list[Scored]) -> Scored:
    def columns(groups: list[dict[str, FloatArray]]) -> dict[str, FloatArray]:
        return {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}

    return Scored(columns([p.scores for p in parts]), columns([p.errors for p in parts]))


ALL, SEEN, NEW = "all", "speakers heard in training", "new speakers"


@dataclass(frozen=True)
class ReportInputs:
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

    cast: ReportAnimations
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
