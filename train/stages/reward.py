"""Stage 5: learn a reward from the ranking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.opening import open_task
from reward.demonstrations import Demonstrations, load_demonstrations
from reward.training import RewardTrainer
from train.loop import drive
from train.run_folder import RunFolder
from train.stages.demonstrate import DEMONSTRATIONS_FILE


def run_reward(run: RunFolder) -> dict[str, Any]:
    """Train the reward model on the training utterances' demonstrations."""
    return run.perform("reward", lambda folder: _train(run, folder))


def _train(run: RunFolder, folder: Path) -> dict[str, Any]:
    task = open_task(run.path)
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)

    def part(split: str) -> Demonstrations:
        chosen = np.isin(demonstrations.trajectories.utterance, task.corpus.split(split))
        return demonstrations[chosen]

    trainer = RewardTrainer(
        task,
        train=part("train"),
        validation=part("validation"),
        config=run.config.reward,
        seed=run.config.seed,
    )
    drive(trainer, folder, title="Reward model", shown="validation_pair_accuracy")
    model = trainer.finish()
    model.save(folder / "reward.safetensors")
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "train_pair_accuracy": float(trainer.accuracy(part("train")).mean()),
        "validation_pair_accuracy": float(trainer.accuracy(part("validation")).mean()),
    }
