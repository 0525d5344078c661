"""Stage 3: train the speech encoder, which the policy hears through, and its regressor.

One stage a file, called as its command: `esarm encoder`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.baselines import Regressor
from esarm_env.core.run_layout import ENCODER_WEIGHTS
from esarm_env.encoder.data import SpeechData
from esarm_env.encoder.training import EncoderTrainer
from esarm_env.task.animation_task import pad_stack
from esarm_env.task.opening import open_task
from train.run.loop import drive

if TYPE_CHECKING:
    from esarm_env.encoder.network import SpeechEncoder
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder


def run_encoder(run: RunFolder) -> dict[str, Any]:
    """Train the speech encoder on the training utterances; keep the best epoch.

    A run that was cloned before there were encoders goes on without one.
    """
    if run.is_finished("clone") and not run.is_finished("encoder"):
        return {"epochs": 0, "note": "the clone of this run hears the audio features themselves"}
    return run.perform("encoder", lambda folder: _train(run, folder))


def _train(run: RunFolder, folder: Path) -> dict[str, Any]:
    if run.config.encoder.epochs == 0:
        return {"epochs": 0}
    task = open_task(run.path)
    trainer = EncoderTrainer(
        speech_data(task, encoder=run.config.corpus.encoder),
        task.head,
        train=task.corpus.split("train"),
        validation=task.corpus.split("validation"),
        config=run.config.encoder,
        seed=run.config.seed,
    )
    rows = drive(
        trainer, folder, title="Speech encoder", shown="validation_loss", keep_checkpoint=True
    )
    encoder = trainer.finish()
    encoder.save(folder / ENCODER_WEIGHTS)
    best = min(rows, key=lambda row: row["validation_loss"])
    return {
        "parameters": sum(weight.numel() for weight in encoder.parameters()),
        "epochs": len(rows),
        "best_epoch": int(best["step"]),
        "validation_emotion_accuracy": best["validation_emotion_accuracy"],
        **_regression_errors(task, encoder),
    }


def speech_data(task: AnimationTask, *, encoder: str = "") -> SpeechData:
    """Return the utterances of a task as an encoder learns from them.

    Args:
        task: Of a run without a speech encoder as yet.
        encoder: Name of the audio encoder, which tells what is in its features.
    """
    everything = np.arange(len(task.corpus))
    records = task.corpus.records
    find = getattr(task.corpus, "parallel_groups", None)  # corpora of others may know none
    return SpeechData(
        features=[task.features[int(index)] for index in everything],
        curves=[task.corpus[int(index)].motion for index in everything],
        conditions=task.condition_of(everything),
        emotions=[record.emotion for record in records],
        groups=find() if find is not None else [],
        captured=task.corpus.captured,
        log_mel=encoder == "logmel",
    )


def _regression_errors(task: AnimationTask, encoder: SpeechEncoder) -> dict[str, float]:
    """Return the true errors of the regressor on the validation utterances, in mm."""
    validation = task.corpus.split("validation")
    regressor = Regressor(encoder)
    conditions = task.condition_of(validation)
    curves = [
        regressor.animate(encoder.encode(task.features[int(index)]), condition)
        for index, condition in zip(validation, conditions, strict=True)
    ]
    errors = task.errors_of_motion(pad_stack(curves, edge=True), validation)
    return {f"validation_{name}_mm": float(value.mean()) for name, value in errors.items()}
