"""Stage 4: behaviour cloning of the recordings, by cross-entropy on their tokens.

One stage a file, called as its command: `esarm clone`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.cloning import CloneTrainer
from agents.weights import save_policy
from esarm_env.core.run_layout import POLICY_FILE
from esarm_env.task.conditions import SPEAKER_START
from esarm_env.task.opening import open_task
from train.run.loop import drive

if TYPE_CHECKING:
    from train.distributed.lockstep import Trainer
    from train.run.run_folder import RunFolder


def run_clone(
    run: RunFolder, *, measured: Callable[[CloneTrainer], Trainer] | None = None
) -> dict[str, Any]:
    """Train the transformer policy by cross-entropy on recorded tokens; keep the best epoch.

    Args:
        run: The run.
        measured: Returns a trainer that measures more of the one it gets; None takes it as it is.
    """
    return run.perform("clone", lambda folder: _train(run, folder, measured))


def _train(
    run: RunFolder, folder: Path, measured: Callable[[CloneTrainer], Trainer] | None
) -> dict[str, Any]:
    cloning = _trainer(run)
    trainer = cloning if measured is None else measured(cloning)
    rows = drive(
        trainer,
        folder,
        title="Behaviour cloning",
        shown="validation_loss",
        keep_checkpoint=True,
        elsewhere=partial(_trainer, run) if measured is None else None,
    )
    save_policy(cloning.model, folder / POLICY_FILE, weights=cloning.best_weights)
    best = min(rows, key=lambda row: row["validation_loss"])
    return {
        "parameters": sum(weight.numel() for weight in cloning.model.parameters()),
        "epochs": len(rows),
        "best_epoch": int(best["step"]),
        "validation_loss": best["validation_loss"],
        "validation_accuracy": best["validation_accuracy"],
    }


def _trainer(run: RunFolder) -> CloneTrainer:
    task = open_task(run.path)
    return CloneTrainer(
        task,
        train=task.corpus.split("train"),
        validation=task.corpus.split("validation"),
        config=run.config.clone,
        speaker_start=SPEAKER_START,
        seed=run.config.seed,
    )
