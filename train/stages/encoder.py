"""Stage 3: train the speech encoder, which the policy hears through, and its regressor.

One stage a file, called as its command: `esarm encoder`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.baselines import Regressor
from esarm_env.audio.features import WavLM, has_prosody, make_encoder
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import ENCODER_WEIGHTS, WAVLM_WEIGHTS
from esarm_env.encoder.data import MotionFile, SpeechData
from esarm_env.encoder.training import EncoderTrainer
from esarm_env.task.animation_task import pad_stack
from esarm_env.task.opening import assemble_task, open_task, read_corpus_file
from train.run.loop import drive

if TYPE_CHECKING:
    from esarm_env.audio.encoders.tuned_wavlm import LearningWavLM
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
    name, n_layers = str(read_corpus_file(run.path)["encoder"]), run.config.encoder.finetune_layers
    wavlm = _learning_wavlm(name, n_layers=n_layers) if n_layers else None
    trainer = EncoderTrainer(
        speech_data(task, folder, prosody=has_prosody(name)),
        task.head,
        train=task.corpus.split("train"),
        validation=task.corpus.split("validation"),
        config=run.config.encoder,
        seed=run.config.seed,
        wavlm=wavlm,
    )
    rows = drive(
        trainer, folder, title="Speech encoder", shown="validation_loss", keep_checkpoint=True
    )
    encoder, tuned = trainer.finish(), trainer.tuned_wavlm()
    if tuned is not None:
        tuned.save(folder / WAVLM_WEIGHTS)
        encoder.shape = replace(encoder.shape, tuned_features=tuned.key)
        task = assemble_task(task.corpus, task.tokenizer, encoder=tuned)
    encoder.save(folder / ENCODER_WEIGHTS)
    best = min(rows, key=lambda row: row["validation_loss"])
    return {
        "parameters": sum(weight.numel() for weight in encoder.parameters()),
        "epochs": len(rows),
        "best_epoch": int(best["step"]),
        "validation_emotion_accuracy": best["validation_emotion_accuracy"],
        **({} if wavlm is None else {"wavlm_finetuned": tuned is not None}),
        **_regression_errors(task, encoder),
    }


def _learning_wavlm(name: str, *, n_layers: int) -> LearningWavLM:
    """Return the top layers of the WavLM called `name`, which was fetched for its features."""
    from esarm_env.audio.encoders.tuned_wavlm import LearningWavLM

    wavlm = make_encoder(name, fetch=False)
    if not isinstance(wavlm, WavLM):
        raise InputError(
            f"`encoder.finetune_layers` must be 0 unless `corpus.encoder` is a WavLM, got "
            f"{n_layers} with {name!r}"
        )
    return LearningWavLM(wavlm, n_layers=n_layers)


def speech_data(task: AnimationTask, folder: Path, *, prosody: bool = False) -> SpeechData:
    """Return the utterances of a task as an encoder learns from them, minibatch by minibatch.

    Args:
        task: Gives them.
        folder: Holds their motion, in a file without a name, while it is learnt from: to read it
            from the takes of a corpus anew each epoch would be slow.
        prosody: Whether the last audio features are those of `LogMel`.
    """
    everything = np.arange(len(task.corpus))
    records = task.corpus.records
    find = getattr(task.corpus, "parallel_groups", None)  # corpora of others may know none
    return SpeechData(
        features=task.features,
        curves=MotionFile((task.corpus[int(index)].motion for index in everything), folder),
        conditions=task.condition_of(everything),
        emotions=[record.emotion for record in records],
        groups=find() if find is not None else [],
        captured=task.corpus.captured,
        prosody=prosody,
        audio=lambda index: task.corpus[index].audio,
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
