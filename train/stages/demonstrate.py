"""Stage 4: let the clone demonstrate, ever more noisily."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agents.common.decoding import Decoding
from esarm_env.corpus import SPLITS
from esarm_env.opening import open_task
from esarm_env.types import IntArray, Trajectories
from reward.demonstrations import Demonstrations
from train.loop import progress_track
from train.policies import POLICY_FILE, animate_utterances, load_policy
from train.run_folder import RunFolder

DEMONSTRATIONS_FILE = "demonstrations.npz"


def run_demonstrate(run: RunFolder) -> dict[str, Any]:
    """Roll out the clone epsilon-greedily on every utterance, at every noise level."""
    return run.perform("demonstrate", lambda folder: _roll_out(run, folder))


def _roll_out(run: RunFolder, folder: Path) -> dict[str, Any]:
    config = run.config.demonstrate
    task = open_task(run.path)
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    utterances = np.concatenate(
        [_evenly(task.corpus.split("train"), config.train_utterances)]
        + [task.corpus.split(split) for split in SPLITS if split != "train"]
    )
    jobs = [(eps, sample) for eps in config.epsilons for sample in range(config.rollouts)]
    parts = []
    with progress_track("Demonstrations", len(jobs)) as bar:
        for number, (epsilon, _) in enumerate(jobs):
            decoding = Decoding(epsilon=epsilon)
            # The job's number, not the sample's: levels must not share their random choices.
            parts.append(
                animate_utterances(
                    clone,
                    task,
                    utterances,
                    decoding=decoding,
                    seed=run.config.seed,
                    sample=number,
                )
            )
            bar.advance(bar.task_ids[0])
    noise = np.repeat([eps for eps, _ in jobs], len(utterances)).astype(np.float32)
    demonstrations = Demonstrations(Trajectories.concatenate(parts), noise)
    demonstrations.save(folder / DEMONSTRATIONS_FILE)
    return {
        "utterances": len(utterances),
        "trajectories": len(demonstrations),
        "tokens": int(demonstrations.trajectories.lengths.sum()),
        "epsilons": list(config.epsilons),
    }


def _evenly(utterances: IntArray, wanted: int) -> IntArray:
    """Return `wanted` of the utterances, evenly spaced; all if 0 or more than there are."""
    if wanted == 0 or wanted >= len(utterances):
        return utterances
    return utterances[np.arange(wanted) * len(utterances) // wanted]
