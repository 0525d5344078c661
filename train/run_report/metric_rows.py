"""All metrics per utterance of several animations of the same utterances, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.metrics import EMOTION_ACCURACY, Quantity, measure, quantities
from esarm_env.task.judges import emotion_judge
from train.parallel.stage_pool import map_parts

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.metrics import EmotionClassifier
    from esarm_env.task.animation_task import AnimationTask
    from train.rows import Row

_EMOTION = "emotion_accuracy"


def measured_quantities() -> dict[str, Quantity]:
    """Return what each key of `measure_rows` is; the recordings' own row stands for the truth."""
    known = {key: q for key, q in quantities().items() if not key.endswith("_target")}
    return known | {_EMOTION: EMOTION_ACCURACY}


def measure_rows(
    task: AnimationTask, motions: Mapping[Row, FloatArray], utterances: IntArray
) -> dict[Row, dict[str, FloatArray]]:
    """Return all metrics per utterance of several animations of the same utterances.

    Args:
        task: Gives the recordings, the head and what was captured.
        motions: Shape (N, T, 52) each, padded.
        utterances: Shape (N,).

    Returns:
        For each row and each key of `measured_quantities` shape (N,); nan where it is not defined.
    """
    found = map_parts(
        _metrics,
        list(motions.values()),
        what="metrics of animations",
        task=task,
        utterances=utterances,
        judge=emotion_judge(task),
    )
    return dict(zip(motions, found, strict=True))


def _metrics(
    motion: FloatArray,
    *,
    task: AnimationTask,
    utterances: IntArray,
    judge: EmotionClassifier | None,
) -> dict[str, FloatArray]:
    """Return all metrics per utterance of one animation of each."""
    target = task.target_motion(utterances)
    figures = measure(
        motion[:, : target.shape[1]],
        target,
        head=task.head,
        captured=task.corpus.captured,
        lengths=task.n_frames[utterances],
    )
    recognised = _recognised(judge, task, motion, utterances)
    return {
        key: recognised if key == _EMOTION else figures[key].astype(np.float32)
        for key in measured_quantities()
    }


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
