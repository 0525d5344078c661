"""Judges of generated motion (emotion, intensity), trained on recordings, plain and tokenized.

A judge that has seen recordings alone leans on details that the tokenizer removes, and then blames
a policy for its tokenizer. So each training recording comes twice: as it is, and through the
tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import N_INTENSITIES
from esarm_env.metrics.emotion import EmotionClassifier, IntensityJudge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask

MOST_PER_EMOTION = 100  # encoding them is what a judge costs; more read no better
_AT_ONCE = 256  # recordings decoded together: bounds the memory on a large corpus


def emotion_judge(task: AnimationTask) -> EmotionClassifier | None:
    """Return a classifier trained on the training split; None where it shows one emotion."""
    train = _some_of_each_emotion(task)
    emotions = [task.corpus.records[int(index)].emotion for index in train]
    if len(set(emotions)) < 2:
        return None
    return EmotionClassifier.fit(plain_and_tokenized(task, train), np.repeat(emotions, 2).tolist())


def intensity_judge(task: AnimationTask) -> IntensityJudge | None:
    """Return a judge of the emotions that training shows at all intensities; None if there is none.

    A policy is asked for each of them, and could not know one that nobody showed it.
    """
    records = task.corpus.records
    shown = {
        (records[int(index)].emotion, records[int(index)].intensity)
        for index in task.corpus.split("train")
    }
    levels = range(1, N_INTENSITIES + 1)
    whole = {name for name, _ in shown if all((name, level) in shown for level in levels)}
    chosen = [i for i in _some_of_each_emotion(task) if records[int(i)].emotion in whole]
    if not chosen:
        return None
    train = np.array(chosen)
    emotions = np.repeat([records[int(index)].emotion for index in train], 2)
    intensities = np.repeat([records[int(index)].intensity for index in train], 2)
    motions = plain_and_tokenized(task, train)
    return IntensityJudge.fit(motions, emotions.tolist(), intensities.tolist())


def _some_of_each_emotion(task: AnimationTask) -> IntArray:
    """Return up to `MOST_PER_EMOTION` training recordings of each emotion, ascending."""
    train = task.corpus.split("train")
    names = np.array([task.corpus.records[int(index)].emotion for index in train], dtype=np.str_)
    # Drawn, not evenly spaced: corpora cycle through emotions and intensities.
    mixed = np.random.default_rng(0).permutation(len(train))
    chosen = [mixed[names[mixed] == name][:MOST_PER_EMOTION] for name in np.unique(names)]
    return np.sort(train[np.concatenate(chosen)]) if chosen else train


def plain_and_tokenized(task: AnimationTask, utterances: IntArray) -> Iterator[FloatArray]:
    """Yield each recording of `utterances` (N,), (T_i, 52), and then the same as tokens tell it."""
    for begin in range(0, len(utterances), _AT_ONCE):
        part = utterances[begin : begin + _AT_ONCE]
        coded = task.decode_chunks(task.recorded(part))
        for index, motion in zip(part, coded, strict=True):
            plain = task.corpus[int(index)].motion
            yield plain
            yield motion[: len(plain)]
