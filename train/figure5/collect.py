"""Collection of what the figure shows: motion of every method of a sentence or a voice."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio import read_audio
from esarm_env.core.errors import InputError
from esarm_env.face import load_head
from esarm_env.task.opening import open_speech_task, open_task
from train.figure5.emotion_curves import (
    PER_EMOTION,
    curve_utterances,
    emotion_curves,
)
from train.figure5.figure import Shown
from train.figure5.methods import RECORDING, Row, RunMethods, errors_mm, method_label
from train.figure5.quantities import EMOTIONAL, quantities_of
from train.figure5.subject import find_utterance, shown_part, utterance_subject, voice_subject
from train.figure5.voices import VoiceMethods
from train.run.loop import progress_track
from train.tables.predictions import read_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esarm_env.core.types import BoolArray, FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask
    from esarm_env.task.recording import AnimationCondition
    from train.figure5.emotion_curves import Curves
    from train.figure5.quantities import Quantity


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the sentence.

    Attributes:
        methods: Names; all that the run has where none is named.
        predictions: Folders of motion by the label of their row.
        per_emotion: Test utterances of each emotion behind the curves; 0 means all.
        emotions: Whether to collect curves by emotion.
        seed: Of what is sampled.
    """

    methods: tuple[str, ...] = ()
    predictions: tuple[tuple[str, Path], ...] = ()
    per_emotion: int = PER_EMOTION
    emotions: bool = True
    seed: int = 0


# By label, a motion of each utterance or None.
_Motions = dict[str, list["FloatArray | None"]]


def collect_utterance(
    run_path: Path,
    asked: Asked,
    *,
    utterance: str | None = None,
    sentence: str | None = None,
    emotion: str | None = None,
) -> Shown:
    """Return what the figure shows of an utterance of the run's corpus.

    Args:
        run_path: A run folder, finished at least up to `prior`.
        asked: Methods and curves.
        utterance: Id of the utterance.
        sentence: What is said in it, or a part of that.
        emotion: What it shows.

    Raises:
        InputError: If there is no such utterance or method, or a folder of predictions holds
            nothing of the corpus.
    """
    task = open_task(run_path)
    index = find_utterance(task.corpus, utterance=utterance, sentence=sentence, emotion=emotion)
    methods = RunMethods(run_path, task, seed=asked.seed)
    names = methods.check(asked.methods)
    _check_labels(asked.predictions)
    behind = (
        curve_utterances(task.corpus, per_emotion=asked.per_emotion)
        if asked.emotions
        else np.zeros(0, dtype=np.int64)
    )
    indices = np.union1d(behind, [index]).astype(np.int64)
    place = int(np.searchsorted(indices, index))
    rows: list[Row] = []
    with progress_track("Figure 5", len(names) + len(asked.predictions)) as bar:
        for name in names:
            label, found = methods.animate(name, np.array([index]))
            rows.append(Row(name, label, found[0]))
            bar.advance(bar.task_ids[0])
        predicted, notes = _predicted(task, asked.predictions, indices)
        bar.advance(bar.task_ids[0], len(asked.predictions))
    rows += [
        Row(label, label, motion)
        for label, motions in predicted.items()
        if (motion := motions[place]) is not None
    ]
    subject = utterance_subject(task.corpus, index)
    quantities, told = _curve_quantities(task, behind) if asked.emotions else ([], [])
    subject = dataclasses.replace(subject, notes=(*subject.notes, *notes, *told))
    errors = [None if row.name == RECORDING else errors_mm(task, row.motion, index) for row in rows]
    if not quantities:
        return Shown(subject, rows, errors)
    used = np.isin(indices, behind)
    others = {label: _kept(motions, used) for label, motions in predicted.items()}
    return Shown(subject, rows, errors, lambda: _curves(methods, names, others, behind, quantities))


def collect_voice(
    run_path: Path, asked: Asked, audio_file: Path, voice: AnimationCondition
) -> Shown:
    """Return what the figure shows of a voice without recorded motion.

    Args:
        run_path: A run folder, finished at least up to `clone`.
        asked: Methods; there are no curves by emotion, and no predictions.
        audio_file: Any sound file of at least 0.2 s.
        voice: How it is to be said.

    Raises:
        InputError: If the file, the condition or a method cannot be used.
    """
    if asked.predictions:
        raise InputError(
            "`predictions` must be left out for a voice, whose name is of no utterance: show an "
            "utterance of the corpus with --utterance"
        )
    audio, cut = shown_part(read_audio(audio_file))
    task = open_speech_task(run_path)
    methods = VoiceMethods(run_path, task, audio, voice, seed=asked.seed)
    names = methods.check(asked.methods)
    rows = []
    with progress_track("Figure 5", len(names)) as bar:
        for name in names:
            rows.append(methods.animate(name))
            bar.advance(bar.task_ids[0])
    hears = "assumed" if task.speech_encoder is None else "heard"
    told = hears if voice.emotion == "auto" else "given"
    style = (
        f"the face moves as speaker {voice.speaker}'s does"
        if voice.speaker
        else "the face moves as all training speakers' do on average"
    )
    subject = voice_subject(
        audio_file.name,
        audio,
        condition=f"emotion {told}: {methods.emotion}; {style}",
        n_frames=methods.n_frames,
        notes=(*cut, *methods.notes),
    )
    return Shown(subject, rows, [None] * len(rows))


def _check_labels(predictions: Sequence[tuple[str, Path]]) -> None:
    labels = [label for label, _ in predictions]
    double = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
    if double:
        raise InputError(f"`predictions` must have one folder for each name, got two {double[0]!r}")


def _predicted(
    task: AnimationTask, predictions: Sequence[tuple[str, Path]], indices: IntArray
) -> tuple[_Motions, list[str]]:
    """Return the motion that folders hold, by label, and what is to be said of them."""
    motions: _Motions = {}
    notes = []
    for label, folder in predictions:
        found = read_predictions(folder, task.corpus, indices)
        motions[label] = [found.motions.get(index) for index in indices.tolist()]
        notes += [f"{label}: {fault}" for fault in found.faults]
        if found.missing:
            some = ", ".join(found.missing[:3]) + (", ..." if len(found.missing) > 3 else "")
            notes.append(
                f"{label}: no motion of {len(found.missing)} of {len(indices)} utterances ({some})"
            )
    return motions, notes


def _curve_quantities(task: AnimationTask, behind: IntArray) -> tuple[list[Quantity], list[str]]:
    """Return what curves by emotion are of, and lines that say why something has none."""
    if not len(behind):
        return [], ["no curves by emotion: the test utterances show one emotion alone"]
    known = quantities_of(load_head())
    measured = [known[name] for name in EMOTIONAL if known[name].measured(task.corpus.captured)]
    if not measured:
        return [], ["no curves by emotion: brows and lip corners were not captured"]
    hidden = [name for name in EMOTIONAL if known[name] not in measured]
    return measured, [f"no curves of {name}: not captured" for name in hidden]


def _kept(motions: Sequence[FloatArray | None], used: BoolArray) -> list[FloatArray | None]:
    return [motion for motion, kept in zip(motions, used, strict=True) if kept]


def _curves(
    methods: RunMethods,
    names: Sequence[str],
    predicted: _Motions,
    behind: IntArray,
    quantities: Sequence[Quantity],
) -> Curves:
    """Animate the utterances behind the curves with every method, and return the curves."""
    rows: _Motions = {}
    with progress_track("Curves by emotion", len(names)) as bar:
        for name in names:
            label, found = methods.animate(name, behind)
            rows[label] = list(found)
            bar.advance(bar.task_ids[0])
    truth, corpus = method_label(RECORDING), methods.task.corpus
    if truth not in rows:
        rows[truth] = [corpus[int(index)].motion for index in behind]
    emotions = [corpus.records[int(index)].emotion for index in behind]
    return emotion_curves(rows | predicted, emotions, quantities)
