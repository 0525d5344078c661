"""Baselines of the evaluation: their motion, and how far policies are from the strongest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agents.baselines import MeanFace, Regressor
from train.rows import EXPECTED, GREEDY, MEAN_FACE, REGRESSOR, Row

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray, Record
    from esarm_env.task.animation_task import AnimationTask


def baseline_motions(task: AnimationTask, test: IntArray) -> dict[Row, list[FloatArray]]:
    """Return the motion of every baseline of the run, (T, 52) each."""
    motions = {Row(MEAN_FACE): mean_face_motions(task, test)}
    if task.speech_encoder is not None:
        regressor, conditions = Regressor(task.speech_encoder), task.condition_of(test)
        motions[Row(REGRESSOR)] = [
            regressor.animate(task.features[int(index)], condition)
            for index, condition in zip(test, conditions, strict=True)
        ]
    return motions


def mean_face_motions(task: AnimationTask, test: IntArray) -> list[FloatArray]:
    """Return the baseline that holds the condition's mean training face still."""

    def label(record: Record) -> tuple[str, int]:
        return record.emotion, record.intensity

    train = [int(index) for index in task.corpus.split("train")]
    records = task.corpus.records
    baseline = MeanFace(
        [task.corpus[index].motion for index in train], [label(records[index]) for index in train]
    )
    return [
        baseline.animate(label(records[int(index)]), n_frames=int(task.n_frames[index]))
        for index in test
    ]


def compare_with_regressor(
    rows: Mapping[Row, Mapping[str, FloatArray]],
) -> dict[Row, dict[str, FloatArray]]:
    """Return the paired differences of each policy without chance from the regressor.

    Args:
        rows: Figures per test utterance, by row.

    Returns:
        Policy minus regressor, shape (N,) each; nothing where the run has no regressor.
    """
    yardstick = rows.get(Row(REGRESSOR))
    if yardstick is None:
        return {}
    return {
        row: {key: values - yardstick[key] for key, values in figures.items()}
        for row, figures in rows.items()
        if row.decoding in (GREEDY, EXPECTED)
    }
