"""The ceiling: the reward's network, taught the true errors of clone samples."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from esarm_env.cache import new_file
from esarm_env.opening import open_task
from esarm_env.task import AnimationTask
from reward.consensus import ConsensusData, ConsensusTrainer, collect_consensus, with_true_errors
from reward.demonstrations import load_demonstrations
from train.loop import drive
from train.policies import POLICY_FILE, load_policy, roll_out_with
from train.reward_report.judges import CEILING_FILE
from train.run_folder import RunFolder
from train.stages.demonstrate import DEMONSTRATIONS_FILE, evenly

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
    partial = run.path / ".ceiling.partial"
    drive(trainer, partial, title="Ceiling", shown="validation_agreement_mouth")
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
