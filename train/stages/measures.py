"""The report's second table: all metrics of the library on the rows that matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from esarm_env.metrics import EMOTION_ACCURACY, EmotionClassifier, Quantity, measure, quantities
from esarm_env.task import AnimationTask
from esarm_env.types import FloatArray, IntArray

RECORDINGS = "recordings"
_EMOTION = "emotion_accuracy"


def measured_quantities() -> dict[str, Quantity]:
    """Return what each key of `measure_rows` is; the recordings' own row stands for the truth."""
    known = {key: q for key, q in quantities().items() if not key.endswith("_target")}
    return known | {_EMOTION: EMOTION_ACCURACY}


def measure_rows(
    task: AnimationTask, motions: Mapping[str, FloatArray], utterances: IntArray
) -> dict[str, dict[str, FloatArray]]:
    """Return all metrics per utterance of several animations of the same utterances.

    Args:
        task: Gives the recordings, the head and what was captured.
        motions: Shape (N, T, 52) each, padded.
        utterances: Shape (N,).

    Returns:
        For each row and each key of `measured_quantities` shape (N,); nan where it is not defined.
    """
    target = task.target_motion(utterances)
    known: dict[str, Any] = {
        "head": task.head,
        "captured": task.corpus.captured,
        "lengths": task.n_frames[utterances],
    }
    judge = _emotion_judge(task)
    rows = {}
    for label, motion in motions.items():
        figures = measure(motion[:, : target.shape[1]], target, **known)
        recognised = _recognised(judge, task, motion, utterances)
        rows[label] = {
            key: recognised if key == _EMOTION else figures[key].astype(np.float32)
            for key in measured_quantities()
        }
    return rows


def _emotion_judge(task: AnimationTask) -> EmotionClassifier | None:
    """Return a classifier trained on the training recordings; None where they have one emotion."""
    train = [int(index) for index in task.corpus.split("train")]
    emotions = [task.corpus.records[index].emotion for index in train]
    if len(set(emotions)) < 2:
        return None
    return EmotionClassifier.fit((task.corpus[index].motion for index in train), emotions)


def _recognised(
    judge: EmotionClassifier | None, task: AnimationTask, motion: FloatArray, utterances: IntArray
) -> FloatArray:
    """Return 1 where the judge sees the recorded emotion, 0 where another, shape (N,)."""
    if judge is None:
        return np.full(len(utterances), np.nan, dtype=np.float32)
    counts = task.n_frames[utterances]
    seen = judge.predict(row[:count] for row, count in zip(motion, counts, strict=True))
    said = [task.corpus.records[int(index)].emotion for index in utterances]
    return np.array([a == b for a, b in zip(seen, said, strict=True)], dtype=np.float32)
