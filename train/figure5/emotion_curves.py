"""Curves by emotion: mean and spread of brows and lip corners over utterances of each emotion.

Utterances have different lengths, so time is normalised: `N_POINTS` from the first frame to the
last. How far apart the emotions lie in a method's means, over how far in the recordings', tells
whether emotion shows (1: as in the recordings; 0: all emotions look alike).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esarm_env.core.types import Corpus, DoubleArray, FloatArray, IntArray
    from train.figure5.quantities import Quantity

N_POINTS = 50
PER_EMOTION = 12


@dataclass(frozen=True)
class EmotionCurve:
    """Curves of one method, one quantity and one emotion.

    Attributes:
        mean: Shape (N_POINTS,), in mm, over utterances.
        spread: Shape (N_POINTS,), standard deviation over utterances, in mm; 0 for one.
        count: Utterances.
    """

    mean: DoubleArray
    spread: DoubleArray
    count: int


# By quantity, by label of the method, by emotion.
Curves = dict[str, dict[str, dict[str, EmotionCurve]]]


def curve_utterances(corpus: Corpus, *, per_emotion: int = PER_EMOTION) -> IntArray:
    """Return test utterances, evenly spaced among those of each emotion, ascending.

    Args:
        corpus: Of the run.
        per_emotion: At most so many; 0 stands for all.

    Returns:
        Shape (N,); none where the test split shows one emotion alone.

    Raises:
        InputError: If `per_emotion` is below 0.
    """
    if per_emotion < 0:
        raise InputError(f"`per_emotion` must be at least 0 (all), got {per_emotion}")
    by_emotion: dict[str, list[int]] = {}
    for index in corpus.split("test").tolist():
        by_emotion.setdefault(corpus.records[index].emotion, []).append(index)
    if len(by_emotion) < 2:
        return np.zeros(0, dtype=np.int64)
    chosen: list[int] = []
    for indices in by_emotion.values():
        count = min(per_emotion or len(indices), len(indices))
        places = np.floor((np.arange(count) + 0.5) * len(indices) / count).astype(int)
        chosen += [indices[place] for place in places]
    return np.sort(np.array(chosen, dtype=np.int64))


def normalised(curve: DoubleArray, n_points: int = N_POINTS) -> DoubleArray:
    """Return a curve (T,) at `n_points` from its first frame to its last, linearly between."""
    places = np.linspace(0.0, len(curve) - 1, n_points)
    return np.asarray(np.interp(places, np.arange(len(curve)), curve))


def emotion_curves(
    motions: Mapping[str, Sequence[FloatArray | None]],
    emotions: Sequence[str],
    quantities: Sequence[Quantity],
) -> Curves:
    """Return curves of every method.

    Args:
        motions: By label of the method, one of each utterance, (T, 52), or None where it has none.
        emotions: Of the utterances.
        quantities: What is drawn.
    """
    return {
        quantity.name: {
            label: {
                emotion: _summed([quantity.of(motion) for motion in own])
                for emotion in EMOTIONS
                if (own := _of_emotion(rows, emotions, emotion))
            }
            for label, rows in motions.items()
        }
        for quantity in quantities
    }


def _of_emotion(
    rows: Sequence[FloatArray | None], emotions: Sequence[str], emotion: str
) -> list[FloatArray]:
    pairs = zip(rows, emotions, strict=True)
    return [motion for motion, shown in pairs if shown == emotion and motion is not None]


def _summed(curves: Sequence[DoubleArray]) -> EmotionCurve:
    table = np.stack([normalised(curve) for curve in curves])
    return EmotionCurve(table.mean(axis=0), table.std(axis=0), len(table))


def emotion_contrast(curves: Curves, *, truth: str) -> dict[str, dict[str, float]]:
    """Return how far apart emotions lie, over how far in the recordings, by quantity and label.

    The standard deviation over emotions of the mean height of each, over that of the recordings'.
    A method that lacks an emotion is compared over those that it has; nan where that is one alone.

    Args:
        curves: Of `emotion_curves`.
        truth: Label of the recordings.
    """
    found: dict[str, dict[str, float]] = {}
    for name, by_label in curves.items():
        heights = {
            label: {emotion: float(curve.mean.mean()) for emotion, curve in by_emotion.items()}
            for label, by_emotion in by_label.items()
        }
        found[name] = {
            label: _ratio(own, heights[truth]) for label, own in heights.items() if label != truth
        }
    return found


def _ratio(own: Mapping[str, float], truth: Mapping[str, float]) -> float:
    shared = [emotion for emotion in own if emotion in truth]
    if len(shared) < 2:
        return float("nan")
    theirs = float(np.std([truth[emotion] for emotion in shared]))
    ours = float(np.std([own[emotion] for emotion in shared]))
    return ours / theirs if theirs > 0 else float("nan")
