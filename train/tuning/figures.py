"""What a trial is measured by, on validation utterances alone, and the baseline that it must beat.

A sweep never looks at test utterances: what it chooses has to be confirmed on them afterwards.

| figure | of | is |
|---|---|---|
| `true_error` | clone, improve | mean of LVE and EVE, each in units of the baseline's |
| `lve_mm`, `eve_mm` | clone, improve | true errors |
| `score` | clone, improve | the learned reward, or the one that is climbed |
| `true_order` | reward | share of pairs of the clone's samples that it orders by true error |
| `score` | reward | its own figure that needs no true error |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from agents.rollout.named_decoding import deterministic_decoding
from agents.weights import load_policy
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import POLICY_FILE
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.task.episode_metrics import EVE, LVE
from esarm_env.task.opening import open_task
from reward.plugins.learned import LearnedReward, open_model
from reward.rank_measures import pair_accuracy
from train.stages.demonstrate import evenly

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import RewardFunction, Trajectories
    from esarm_env.task.animation_task import AnimationTask
    from reward.scoring import RewardModel
    from train.run.run_folder import RunFolder
    from train.tuning.trials import Figures

TRUE_ERROR, TRUE_ORDER, SCORE = "true_error", "true_order", "score"
LVE_MM, EVE_MM, KL = "lve_mm", "eve_mm", "kl"
WITHOUT_CHANCE = "_without_chance_mm"  # behind the name of an error
Metric = Literal["true-error", "score"]
ORDERED_UTTERANCES, ORDERED_SAMPLES = 32, 8  # that a reward model is asked to order


@dataclass(frozen=True)
class Objective:
    """Which figure a sweep is after.

    Attributes:
        name: Of the figure.
        higher: Whether more of it is better.
    """

    name: str
    higher: bool

    @classmethod
    def of(cls, stage: str, metric: Metric) -> Objective:
        """Return that of a stage."""
        if metric == "score":
            return cls(SCORE, higher=True)
        return cls(TRUE_ORDER, higher=True) if stage == "reward" else cls(TRUE_ERROR, higher=False)


def relative(figures: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Return the mean of LVE and EVE, each in units of the baseline's; nan if neither is known."""
    shares = [figures[key] / baseline[key] for key in (LVE_MM, EVE_MM) if key in figures]
    known = [share for share in shares if math.isfinite(share)]
    return float(np.mean(known)) if known else math.nan


def baseline_of(run: RunFolder, stage: str) -> Figures:
    """Return the figures of what a sweep starts from: the run's clone, or its reward model.

    Args:
        run: With the settings that all trials share.
        stage: That is tuned.

    Returns:
        Empty if the run has none yet.

    Raises:
        InputError: If no validation utterance has a true error.
    """
    if stage == "reward":
        return _of_reward_model(run) if run.is_finished("reward") else {}
    if stage == "clone" and not run.is_finished("clone"):
        return {}
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    if stage == "clone":
        figures = CloneMeasure(run).of(clone)
    else:
        env = SpeechAnimationEnv(run.path, reward=run.config.improve.reward, metrics=False)
        written = animate_utterances(
            clone,
            env.sequence_task,
            _watched(run, env.sequence_task),
            decoding=Decoding(temperature=1.0),
            seed=run.config.seed,
        )
        figures = _errors(env.sequence_task, written)
        figures[SCORE] = float(np.mean(env.reward_function.score(written)))
        figures[KL] = 0.0
        figures |= _without_chance(run, env.sequence_task, clone)
    return figures | {TRUE_ERROR: relative(figures, figures)}


def _without_chance(run: RunFolder, task: AnimationTask, clone: MotionTransformer) -> Figures:
    """Return the clone's errors as the stage `improve` measures them of what it has trained."""
    written = animate_utterances(
        clone,
        task,
        task.corpus.split("validation"),
        decoding=deterministic_decoding(clone),
        seed=run.config.seed,
    )
    errors = task.errors(written)
    return {f"{name}{WITHOUT_CHANCE}": float(np.mean(errors[name])) for name in (LVE, EVE)}


def check_baseline(figures: Mapping[str, float], objective: Objective) -> None:
    """Check that what a sweep is after can be measured.

    Raises:
        InputError: If not.
    """
    if figures and not math.isfinite(figures.get(objective.name, math.nan)):
        raise InputError(
            f"`metric` must be one that validation utterances have, got {objective.name} without "
            "any; choose the other"
        )


class CloneMeasure:
    """Figures of a clone: errors without chance, and the score of a reward model if any."""

    def __init__(self, run: RunFolder, *, judged_by: RunFolder | None = None) -> None:
        """Open the task of `run`.

        Args:
            run: Whose clone it is.
            judged_by: Run of the reward; by default the same.
        """
        self._task, self._seed = open_task(run.path), run.config.seed
        self._utterances = _watched(run, self._task)
        judge = judged_by or run
        self._reward: RewardFunction | None = None
        if judge.is_finished("reward"):
            self._reward = LearnedReward(self._task, open_model(judge.path, self._task))

    def of(self, model: MotionTransformer) -> Figures:
        """Return LVE, EVE and, where there is a reward, the score."""
        with _as_it_was(model):
            written = animate_utterances(
                model,
                self._task,
                self._utterances,
                decoding=deterministic_decoding(model),
                seed=self._seed,
            )
        figures = _errors(self._task, written)
        if self._reward is not None:
            figures[SCORE] = float(np.mean(self._reward.score(written)))
        return figures


class RewardMeasure:
    """How often a reward model orders two samples of the clone as their true errors do."""

    def __init__(self, run: RunFolder) -> None:
        """Let the clone of `run` write samples of validation utterances, and measure them."""
        self._task = open_task(run.path)
        clone = load_policy(run.stage("clone") / POLICY_FILE)
        chosen = evenly(self._task.corpus.split("validation"), ORDERED_UTTERANCES)
        utterances = np.repeat(chosen, ORDERED_SAMPLES)
        self._samples = animate_utterances(
            clone,
            self._task,
            utterances,
            decoding=Decoding(temperature=1.0),
            seed=run.config.seed,
            sample=np.tile(np.arange(ORDERED_SAMPLES), len(chosen)),
        )
        errors = self._task.errors(self._samples)
        columns = [errors[name] for name in (LVE, EVE) if np.isfinite(errors[name]).all()]
        self._error = np.sum([column / column.mean() for column in columns], axis=0)

    def of(self, model: RewardModel) -> Figures:
        """Return the share of pairs in the right order, 0.5 by chance."""
        if not np.ndim(self._error):
            return {TRUE_ORDER: math.nan}
        with _as_it_was(model):
            scores = LearnedReward(self._task, model).score(self._samples)
        order = pair_accuracy(scores, self._error.astype(np.float32), self._samples.utterance)
        return {TRUE_ORDER: float(order.mean())}


def from_row(row: Mapping[str, float], baseline: Mapping[str, float]) -> Figures:
    """Return the figures in a row of a training's `metrics.csv`; empty if nothing was measured."""
    figures = {
        key: float(row[f"validation_{key}"])
        for key in (LVE_MM, EVE_MM, SCORE, TRUE_ORDER)
        if f"validation_{key}" in row
    }
    if not figures:
        return {}
    own = [
        float(row[key])
        for key in ("validation_agreement_mouth", "validation_agreement_upper")
        if key in row
    ]
    if own or "validation_pair_accuracy" in row:
        figures[SCORE] = float(np.mean(own or [row["validation_pair_accuracy"]]))
    if LVE_MM in figures:
        figures[TRUE_ERROR] = relative(figures, baseline or figures)
    if KL in row:
        figures[KL] = float(row[KL])
    return {"step": float(row["step"]), **figures}


class Measured:
    """A trainer whose rows hold validation figures of its model as well."""

    def __init__(self, trainer: Any, measure: Callable[[Any], Figures]) -> None:
        """Measure the `model` of a trainer after each of its steps."""
        self._trainer, self._measure = trainer, measure

    @property
    def n_done(self) -> int:
        """Steps so far."""
        return int(self._trainer.n_done)

    @property
    def n_total(self) -> int:
        """Steps in all."""
        return int(self._trainer.n_total)

    def advance(self) -> dict[str, float]:
        """Do one step, and measure."""
        row: dict[str, float] = self._trainer.advance()
        with torch.random.fork_rng(devices=[]):  # training goes on as if nobody had looked
            found = self._measure(self._trainer.model)
        return row | {f"validation_{name}": value for name, value in found.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the trainer's."""
        state: dict[str, Any] = self._trainer.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the trainer go on."""
        self._trainer.load_state_dict(state)


def _of_reward_model(run: RunFolder) -> Figures:
    figures = RewardMeasure(run).of(open_model(run.path, open_task(run.path)))
    return figures | own_figure(run.summary("reward"))


def own_figure(summary: Mapping[str, Any]) -> Figures:
    """Return the figure of a reward model that needs no true error, from its stage's summary."""
    keys = [f"validation_agreement_{stream}" for stream in ("mouth", "upper")]
    known = [summary[key] for key in keys if summary.get(key) is not None]
    value = np.mean(known) if known else summary.get("validation_pair_accuracy")
    return {} if value is None else {SCORE: float(value)}


def _watched(run: RunFolder, task: AnimationTask) -> Any:
    return task.corpus.split("validation")[: run.config.improve.evaluate_utterances]


def _errors(task: AnimationTask, written: Trajectories) -> Figures:
    errors = task.errors(written)
    return {f"{name}_mm": float(np.mean(errors[name])) for name in (LVE, EVE)}


@contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """Measure a network without dropout, and leave it in the mode in which it came."""
    training = bool(getattr(model, "training", False))
    if training:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if training:
            model.train()


def known_columns(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Return which figures any of `rows` has, in the order of a table."""
    order = (TRUE_ERROR, TRUE_ORDER, LVE_MM, EVE_MM, SCORE, KL)
    return [key for key in order if any(math.isfinite(row.get(key, math.nan)) for row in rows)]
