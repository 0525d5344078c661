"""Stage 5: learn a reward from the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from esarm_env.errors import InputError
from esarm_env.opening import open_task
from reward.demonstrations import Demonstrations, load_demonstrations
from reward.learned import open_model
from reward.training import RewardTrainer
from train.loop import drive
from train.run_folder import RunFolder
from train.stages.all_rounds import demonstrations_of
from train.stages.demonstrate import DEMONSTRATIONS_FILE


def run_reward(run: RunFolder, *, earlier: Sequence[RunFolder] = ()) -> dict[str, Any]:
    """Train the reward model on the training utterances' demonstrations.

    Args:
        run: The run, or a later round of one.
        earlier: The rounds before, the run itself first: the weights go on from the last one's, and
            the demonstrations of all are learned from.
    """
    return run.perform("reward", lambda folder: _train(run, folder, earlier))


def _train(run: RunFolder, folder: Path, earlier: Sequence[RunFolder]) -> dict[str, Any]:
    task = open_task(run.path)
    demonstrations = load_demonstrations(run.stage("demonstrate") / DEMONSTRATIONS_FILE)

    def part(split: str, of: Demonstrations = demonstrations) -> Demonstrations:
        return of[np.isin(of.utterance, task.corpus.split(split))]

    shown = demonstrations_of([*earlier, run], task) if earlier else demonstrations
    trainer = RewardTrainer(
        task,
        train=part("train", shown),
        validation=part("validation"),
        config=run.config.reward,
        seed=run.config.seed,
    )
    if earlier:
        continue_from(trainer.model, open_model(earlier[-1].path, task))
    drive(trainer, folder, title="Reward model", shown="validation_pair_accuracy")
    model = trainer.finish()
    model.save(folder / "reward.safetensors")
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "train_pair_accuracy": float(trainer.accuracy(part("train")).mean()),
        "validation_pair_accuracy": float(trainer.accuracy(part("validation")).mean()),
    }


def continue_from(model: nn.Module, before: nn.Module) -> None:
    """Give `model` the learned weights of `before`; what it was calibrated to stays its own.

    Raises:
        InputError: If their sizes differ.
    """
    mine, theirs = dict(model.named_parameters()), dict(before.named_parameters())
    shapes = [{name: tuple(p.shape) for name, p in each.items()} for each in (mine, theirs)]
    if shapes[0] != shapes[1]:
        different = sorted(name for name, _ in shapes[0].items() ^ shapes[1].items())
        raise InputError(
            f"the reward model to go on from must have the same weights, got others for {different}"
        )
    with torch.no_grad():
        for name, weight in mine.items():
            weight.copy_(theirs[name])
