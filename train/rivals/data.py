"""Utterances of a task as rivals learn from them: what our encoder learns from, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agents.baselines.rivals.base import EMOTION, INTENSITY, SPEAKER
from agents.baselines.rivals.data import Couple, RivalData
from esarm_env.core.types import EMOTIONS
from esarm_env.encoder.losses import VertexLoss
from esarm_env.encoder.parallel import Warps, draw_pairs
from esarm_env.encoder.shape import STRIDE
from esarm_env.task.conditions import EMOTION_SLICE, INTENSITY_SLICE, SPEAKER_START
from train.stages.encoder import speech_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.task.animation_task import AnimationTask


class PlainFeatures:
    """Audio features of a task, (T, D) by utterance, without what our speech encoder adds.

    Where the task's policies hear through a speech encoder, these are the features that they hear
    beside its streams, `LogMel` without the voice bar, if the encoder cuts it.
    """

    def __init__(self, task: AnimationTask) -> None:
        """Take the features of a task."""
        encoder = task.speech_encoder
        self._features = task.features
        self.dim = task.features.dim if encoder is None else encoder.shape.feature_dim

    def __getitem__(self, index: int) -> FloatArray:
        """Return the features of an utterance."""
        return self._features[index][:, -self.dim :]


def condition_slices(task: AnimationTask) -> dict[str, slice]:
    """Return the columns of each part of the task's conditions."""
    speakers = slice(SPEAKER_START, task.condition_dim)
    return {EMOTION: EMOTION_SLICE, INTENSITY: INTENSITY_SLICE, SPEAKER: speakers}


def rival_data(task: AnimationTask, folder: Path) -> RivalData:
    """Return the utterances of a task as rivals learn from them.

    Args:
        task: Gives them, its splits, and the head that errors are measured on.
        folder: Holds their motion, in a file without a name, while it is learnt from.
    """
    known = speech_data(task, folder)
    features, train = PlainFeatures(task), task.corpus.split("train")

    def couples(rng: np.random.Generator) -> list[Couple]:
        pairs = draw_pairs(train, known.groups, known.emotions, rng=rng)
        return [Couple(pair.first, pair.second, pair.parallel) for pair in pairs]

    return RivalData(
        features=features,
        curves=known.curves,
        conditions=known.conditions,
        slices=condition_slices(task),
        emotions=np.array([EMOTIONS.index(name) for name in known.emotions], dtype=np.int64),
        train=train,
        validation=task.corpus.split("validation"),
        loss=VertexLoss(task.head, known.captured),
        couples=couples,
        align=_frames_of(Warps(features), known.length),
    )


def _frames_of(warps: Warps, length: Callable[[int], int]) -> Callable[[int, int], IntArray]:
    """Return `RivalData.align` from what aligns steps of `STRIDE` frames."""

    def align(first: int, second: int) -> IntArray:
        steps = warps(first, second)
        frames = (steps[:, None] * STRIDE + np.arange(STRIDE)).ravel()
        places: IntArray = np.minimum(frames, length(first) - 1)[: length(second)]
        return places

    return align
