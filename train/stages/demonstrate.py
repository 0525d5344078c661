"""Stage 5: epsilon-noised roll-outs of the clone, and an audit of their labels.

| file | holds |
|---|---|
| `demonstrations.npz` | the roll-outs |
| `card.md` | what they are, in words |
| `hacked.npz` | of a later round: the policy's samples that its reward is not to be trusted on |
| `audit.md`, `audit.json` | how often LVE and EVE confirm the labels, on validation utterances |
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import roll_out_with
from agents.weights import load_policy
from esarm_env.core.cache import write_text
from esarm_env.core.run_layout import (
    AUDIT_FILE,
    AUDIT_PAGE,
    CARD_FILE,
    CLONE_FILE,
    DEMONSTRATIONS_FILE,
    POLICY_FILE,
)
from esarm_env.corpus import SPLITS
from esarm_env.task.opening import open_task
from reward.demonstrations import RankedDemonstrations, collect
from reward.demonstrations.audit import audit_labels
from reward.demonstrations.card import card_of
from train.parallel.stage_pool import stage_pool
from train.run.loop import progress_track

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder

AUDITED_UTTERANCES = 64


def run_demonstrate(run: RunFolder) -> dict[str, Any]:
    """Roll out the clone epsilon-greedily on every utterance, at every noise level."""
    return run.perform("demonstrate", lambda folder: roll_out_ladder(run, folder))


def roll_out_ladder(run: RunFolder, folder: Path, *, iteration: int = 0) -> dict[str, Any]:
    """Write the roll-outs, their card and their audit into `folder`; return the summary.

    Args:
        run: Whose clone is rolled out.
        folder: To fill.
        iteration: Which policy it is: 0 the clone, then one more per round of improvement.
    """
    config = run.config.demonstrate
    task = open_task(run.path)
    clone = load_policy(run.stage("clone") / POLICY_FILE)
    utterances = np.concatenate(
        [evenly(task.corpus.split("train"), config.train_utterances)]
        + [task.corpus.split(split) for split in SPLITS if split != "train"]
    )
    with progress_track("Demonstrations", len(config.epsilons) * config.rollouts) as bar:
        demonstrations = collect(
            roll_out_with(clone, task, pool=stage_pool()),
            task,
            utterances,
            epsilons=config.epsilons,
            rollouts=config.rollouts,
            seed=run.config.seed,
            iteration=iteration,
            after_level=lambda: bar.advance(bar.task_ids[0]),
        )
    demonstrations.save(folder / DEMONSTRATIONS_FILE)
    card = card_of(
        demonstrations,
        task,
        policy=f"the clone of the run `{run.path.name}` ({CLONE_FILE}), greedy but for ε",
        seed=run.config.seed,
    )
    write_text(folder / CARD_FILE, card)
    _audit(demonstrations, task, folder)
    return {
        "utterances": len(utterances),
        "trajectories": len(demonstrations),
        "tokens": int(demonstrations.trajectories.lengths.sum()),
        "epsilons": list(config.epsilons),
    }


def _audit(demonstrations: RankedDemonstrations, task: AnimationTask, folder: Path) -> None:
    """Write how far the true errors confirm the labels; nothing where no label can be checked."""
    utterances = evenly(task.corpus.split("validation"), AUDITED_UTTERANCES)
    checked = demonstrations[np.isin(demonstrations.utterance, utterances)]
    if len(checked.levels) < 2:
        return
    audit = audit_labels(checked, task)
    write_text(folder / AUDIT_PAGE, audit.markdown())
    numbers = json.dumps(audit.as_dict(), indent=1, allow_nan=False)
    write_text(folder / AUDIT_FILE, numbers)


def evenly(utterances: IntArray, wanted: int) -> IntArray:
    """Return `wanted` of the utterances, evenly spaced; all if 0 or more than there are."""
    if wanted == 0 or wanted >= len(utterances):
        return utterances
    return utterances[np.arange(wanted) * len(utterances) // wanted]
