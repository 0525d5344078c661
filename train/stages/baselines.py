"""Baselines of the evaluation: their motion, and how far policies are from the strongest.

The strongest without training is the clone decoded by expected distance, and without tokens the
regressor; both are compared with in pairs, utterance by utterance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from agents.baselines import MeanFace, Regressor
from esarm_env.core.intervals import Resampler
from train.rows import EXPECTED, GREEDY, MEAN_FACE, POLICY, REGRESSOR, SAMPLED, Row
from train.stages.measures import CLIMBED

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray, Record
    from esarm_env.task.animation_task import AnimationTask
    from train.run.settings.sections import EvaluateConfig

_DECODED = (GREEDY, EXPECTED, SAMPLED)


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
    found = compare_with(Row(REGRESSOR), rows)
    return {row: figures for row, figures in found.items() if row.decoding != SAMPLED}


def compare_with(
    yardstick: Row, rows: Mapping[Row, Mapping[str, FloatArray]]
) -> dict[Row, dict[str, FloatArray]]:
    """Return the paired differences of each policy, however decoded, from one row.

    Args:
        yardstick: The row.
        rows: Figures per utterance, by row; noisy roll-outs are left out.

    Returns:
        Policy minus yardstick, shape (N,) each; nothing where there is no such row.
    """
    if yardstick not in rows:
        return {}
    known = rows[yardstick]
    return {
        row: {key: values - known[key] for key, values in figures.items()}
        for row, figures in rows.items()
        if row.source == POLICY and row.decoding in _DECODED and row != yardstick
    }


def ratios_to_regressor(
    rows: Mapping[Row, Mapping[str, FloatArray]], config: EvaluateConfig
) -> dict[Row, dict[str, list[float]]]:
    """Return the mean errors of each policy over the regressor's, with paired intervals.

    Args:
        rows: Figures per test utterance, by row; scores, which have no zero, have no ratio.
        config: Resamples and confidence.

    Returns:
        Ratio, low and high of each error; nothing where the run has no regressor.
    """
    yardstick = rows.get(Row(REGRESSOR))
    if yardstick is None:
        return {}
    one = next(iter(yardstick.values()))
    group = np.arange(len(one))
    resampler = Resampler(len(one), resamples=config.resamples, confidence=config.confidence)
    return {
        row: {
            key: list(resampler.ratio(values, yardstick[key], group))
            for key, values in figures.items()
            if key not in ("score", CLIMBED)
        }
        for row, figures in rows.items()
        if row.decoding in _DECODED
    }
