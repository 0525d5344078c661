"""Scorers of the report: the reward, the ceiling, the plain recipe, the baselines."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.rollout.animation import roll_out_with
from agents.weights import load_policy
from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CEILING_FILE,
    DEMONSTRATIONS_FILE,
    PAPER_FILE,
    POLICY_FILE,
    partial_folder,
)
from esarm_env.task.opening import open_task
from reward.consensus import ConsensusData, ConsensusTrainer, collect_consensus, with_true_errors
from reward.demonstrations import load_demonstrations
from reward.plugins.learned import LearnedReward, open_learned, open_model
from reward.plugins.motion_alone import JerkReward
from reward.plugins.synchrony import SynchronyReward
from train.likelihood import LikelihoodReward
from train.reward_report.inputs import (
    CEILING,
    JERK,
    LIKELIHOOD,
    PAPER,
    REWARD,
    SYNCHRONY,
    ReportScorers,
)
from train.run.loop import drive
from train.stages.demonstrate import evenly

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.core.types import FloatArray, RewardFunction, Trajectories
    from esarm_env.task.animation_task import AnimationTask
    from reward.report import MotionScorer
    from train.run.run_folder import RunFolder

_WATCHED = 48  # validation utterances
_ROLL_OUT_ROWS = 256


def train_ceiling(run: RunFolder) -> Path:
    """Train the ceiling with the settings of the recipe `consensus`, unless there is one.

    An interrupted training goes on where it stopped.

    Returns:
        Its weights, beside those of the reward model.

    Raises:
        InputError: If the run lacks a stage before `improve`.
    """
    weights = run.stage("reward") / CEILING_FILE
    if weights.is_file():
        return weights
    task, config = open_task(run.path), run.config.consensus
    corpus = task.corpus
    trainer = ConsensusTrainer(
        task,
        train=_collect(run, task, evenly(corpus.split("train"), config.train_utterances)),
        validation=_collect(run, task, evenly(corpus.split("validation"), _WATCHED)),
        config=config,
        seed=run.config.seed,
    )
    partial = partial_folder(run.path, "ceiling")
    drive(
        trainer, partial, title="Ceiling", shown="validation_agreement_mouth", keep_checkpoint=True
    )
    model = trainer.finish()
    with new_file(weights) as draft:
        model.save(draft)
    shutil.rmtree(partial)
    return weights


def _collect(run: RunFolder, task: AnimationTask, utterances: np.ndarray) -> ConsensusData:
    """Return what the reward learns from, with true errors in place of expected ones."""
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    data = collect_consensus(
        task,
        roll_out_with(clone, task, batch_size=_ROLL_OUT_ROWS),
        utterances,
        levels=load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE),
        config=run.config.consensus,
        seed=run.config.seed,
    )
    return with_true_errors(task, data)


def open_judges(
    run: RunFolder,
    task: AnimationTask,
    clone: MotionTransformer,
    *,
    ceiling: Path | None = None,
    paper: Path | None = None,
) -> ReportScorers:
    """Open everyone who can be asked.

    Args:
        run: With the stages up to `reward`.
        task: Of the run.
        clone: Of the run.
        ceiling: A model that was trained on true errors; by default the run's, if it has one.
        paper: A model of the paper's plain recipe (a run or weights); by default the run's, if it
            has one.

    Raises:
        InputError: If a model cannot be opened.
    """
    models: dict[str, MotionScorer] = {REWARD: open_learned(task, run.path)}
    for name, given, file in ((CEILING, ceiling, CEILING_FILE), (PAPER, paper, PAPER_FILE)):
        path = given or run.stage("reward") / file
        if given is not None or path.is_file():
            models[name] = LearnedReward(task, open_model(path, task))
    baselines: dict[str, RewardFunction] = {LIKELIHOOD: LikelihoodReward(task, clone)}
    _add(baselines, JERK, lambda: Negative(JerkReward(task)))
    _add(baselines, SYNCHRONY, lambda: SynchronyReward(task))
    return ReportScorers(task, models, baselines)


class Negative:
    """Minus another reward; implements `RewardFunction`."""

    def __init__(self, reward: RewardFunction) -> None:
        """Turn `reward` round."""
        self._reward = reward
        self.needs_ground_truth = reward.needs_ground_truth

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return minus its scores, shape (N,)."""
        return -self._reward.score(trajectories)


def _add(
    baselines: dict[str, RewardFunction], name: str, make: Callable[[], RewardFunction]
) -> None:
    """Add a baseline, unless the corpus did not capture what it measures."""
    try:
        baselines[name] = make()
    except InputError:
        return
