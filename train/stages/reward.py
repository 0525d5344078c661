"""Stage 5: learn a reward, by one of two recipes.

`paper` ranks the demonstrations' noise levels (Eq. 1). `consensus` learns what error the clone
expects of an animation, from the clone's own samples, and knows better animations from good ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.errors import InputError
from esarm_env.opening import open_task
from esarm_env.task import AnimationTask
from esarm_env.types import IntArray
from reward.consensus import ConsensusConfig, ConsensusData, ConsensusTrainer, collect_consensus
from reward.demonstrations import Demonstrations, load_demonstrations
from reward.learned import LearnedReward
from reward.ranking import pair_accuracy
from reward.training import RewardTrainer
from train.loop import drive, progress_track
from train.policies import POLICY_FILE, load_policy, roll_out_with
from train.run_folder import RunFolder
from train.stages.demonstrate import DEMONSTRATIONS_FILE, evenly

REWARD_WEIGHTS = "reward.safetensors"
# Utterances that agreement is watched on while training; the report measures on all.
WATCHED_UTTERANCES = 48
_ROLL_OUT_ROWS = 256


def run_reward(run: RunFolder) -> dict[str, Any]:
    """Train the reward model of the configured recipe.

    Raises:
        InputError: If there is no such recipe.
    """
    if run.config.recipe not in RECIPES:
        known = " or ".join(f"`{name}`" for name in RECIPES)
        raise InputError(f"`recipe` must be {known}, got {run.config.recipe!r}")
    return run.perform("reward", lambda folder: RECIPES[run.config.recipe](run, folder))


def _paper(run: RunFolder, folder: Path) -> dict[str, Any]:
    task = open_task(run.path)
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)
    train = _of_split(demonstrations, task, "train")
    validation = _of_split(demonstrations, task, "validation")
    trainer = RewardTrainer(
        task, train=train, validation=validation, config=run.config.reward, seed=run.config.seed
    )
    drive(trainer, folder, title="Reward model", shown="validation_pair_accuracy")
    model = trainer.finish()
    model.save(folder / REWARD_WEIGHTS)
    return {
        "recipe": "paper",
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "train_pair_accuracy": float(trainer.accuracy(train).mean()),
        "validation_pair_accuracy": float(trainer.accuracy(validation).mean()),
    }


def _consensus(run: RunFolder, folder: Path) -> dict[str, Any]:
    task, config = open_task(run.path), run.config.consensus
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)
    train = _collect(
        run,
        task,
        evenly(task.corpus.split("train"), config.train_utterances),
        levels=demonstrations,
        config=config,
    )
    watched = evenly(task.corpus.split("validation"), WATCHED_UTTERANCES)
    watched_config = replace(config, damages=0)
    validation = _collect(run, task, watched, levels=None, config=watched_config)
    trainer = ConsensusTrainer(
        task, train=train, validation=validation, config=config, seed=run.config.seed
    )
    drive(trainer, folder, title="Reward model", shown="validation_agreement_mouth")
    model = trainer.finish()
    model.save(folder / REWARD_WEIGHTS)
    held_out = _of_split(demonstrations, task, "validation")
    scores = LearnedReward(task, model).score(held_out.trajectories)
    accuracy = pair_accuracy(scores, held_out.epsilon, held_out.utterance)
    return {
        "recipe": "consensus",
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "utterances": len(train),
        "samples": config.samples,
        "spread_mm": [round(float(mm), 4) for mm in model.spread],
        **{f"validation_{name}": value for name, value in trainer.agreement(validation).items()},
        "validation_pair_accuracy": float(accuracy.mean()),
    }


RECIPES: dict[str, Callable[[RunFolder, Path], dict[str, Any]]] = {
    "consensus": _consensus,
    "paper": _paper,
}


def _of_split(demonstrations: Demonstrations, task: AnimationTask, split: str) -> Demonstrations:
    return demonstrations[np.isin(demonstrations.utterance, task.corpus.split(split))]


def _collect(
    run: RunFolder,
    task: AnimationTask,
    utterances: IntArray,
    *,
    levels: Demonstrations | None,
    config: ConsensusConfig,
) -> ConsensusData:
    """Let the clone draw its samples, with a progress bar."""
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    with progress_track("Samples of the clone", config.samples) as bar:
        return collect_consensus(
            task,
            roll_out_with(clone, task, batch_size=_ROLL_OUT_ROWS),
            utterances,
            levels=levels,
            config=config,
            seed=run.config.seed,
            after_sample=lambda: bar.advance(bar.task_ids[0]),
        )
