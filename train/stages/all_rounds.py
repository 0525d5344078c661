"""The demonstrations of all rounds together, with the ranks that the reward learns from.

Within a round: ground truth on top, then the policy's roll-outs by noise. Its suspicious samples
rank with the second least noise: below its clean roll-outs and the recording, not below random
tokens. Nothing is said of one round's animations against another's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from esarm_env.task import AnimationTask
from reward.demonstrations import (
    RECONSTRUCTION,
    Demonstrations,
    ground_truth,
    load_demonstrations,
)
from train.run_folder import RunFolder
from train.stages.demonstrate import DEMONSTRATIONS_FILE, HACKED_FILE


def demonstrations_of(
    rounds: Sequence[RunFolder], task: AnimationTask, *, with_truth: bool = True
) -> Demonstrations:
    """Return everything that `rounds`, the run itself first, have shown.

    Args:
        rounds: With their demonstrations finished.
        task: Gives the recordings.
        with_truth: Whether ground truth is to be among it.
    """
    parts = []
    for number, folder in enumerate(rounds):
        ladder = load_demonstrations(folder.stage("demonstrate") / DEMONSTRATIONS_FILE)
        parts.append(with_iteration(ladder, number))
        if with_truth:
            truth = ground_truth(task.recorded(np.unique(ladder.utterance)), origin=RECONSTRUCTION)
            parts.append(with_iteration(truth, number))
        file = folder.stage("demonstrate") / HACKED_FILE
        if file.is_file():
            hacked = load_demonstrations(file)
            parts.append(with_rank(with_iteration(hacked, number), float(ladder.levels[1])))
    return Demonstrations.concatenate(parts)


def with_iteration(demonstrations: Demonstrations, number: int) -> Demonstrations:
    """Return them as those of policy `number`."""
    iteration = np.full(len(demonstrations), number)
    return _remade(demonstrations, iteration=iteration)


def with_rank(demonstrations: Demonstrations, rank: float) -> Demonstrations:
    """Return them all at one rank."""
    return _remade(demonstrations, rank=np.full(len(demonstrations), rank, dtype=np.float32))


def _remade(demonstrations: Demonstrations, **columns: np.ndarray) -> Demonstrations:
    return Demonstrations(
        demonstrations.trajectories,
        demonstrations.epsilon,
        making=dataclasses.replace(demonstrations.making, **columns),
        partner=demonstrations.partner,
    )
