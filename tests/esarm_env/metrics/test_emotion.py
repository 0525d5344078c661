"""Emotion accuracy: a classifier that must be learnable, repeatable and honest."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, index_of
from esarm_env.metrics import EmotionClassifier, IntensityJudge, intensity_order
from esarm_env.metrics.emotion import RIDGE, SMALLEST_SCALE, pooled_statistics

_SHOWN = {"happy": "mouthSmileLeft", "angry": "browDownLeft", "sad": "mouthFrownLeft"}


def _faces(n_each: int, seed: int, *, shown: float = 0.5) -> tuple[list[np.ndarray], list[str]]:
    """Return noisy motions of unlike length, one channel raised by the emotion."""
    rng = np.random.default_rng(seed)
    labels = [label for label in _SHOWN for _ in range(n_each)]
    motions = []
    for label in labels:
        motion = rng.random((rng.integers(5, 30), 52)).astype(np.float32) * 0.5
        motion[:, index_of(_SHOWN[label])] += shown
        motions.append(motion)
    return motions, labels


def test_statistics_are_the_hand_computed_ones() -> None:
    """They must describe the channel over time, each statistic in a block of 52."""
    motion = np.zeros((3, 52))
    motion[:, 1] = [0.0, 0.3, 0.6]
    statistics = pooled_statistics([motion])
    assert statistics.shape == (1, 5 * 52)
    expected = np.zeros((5, 52))
    expected[:, 1] = [0.3, 0.06**0.5, 0.06, 0.3, 0.54]
    np.testing.assert_allclose(statistics.reshape(5, 52), expected)


def test_a_planted_emotion_is_recognised_in_new_motion() -> None:
    """Only accuracy on motion it has not seen says anything."""
    classifier = EmotionClassifier.fit(*_faces(20, seed=0))
    motions, labels = _faces(10, seed=1)
    assert classifier.labels == ("angry", "happy", "sad")
    assert classifier.accuracy(motions, labels) == 1.0
    assert classifier.predict(motions[:1]) == ("happy",)
    probabilities = classifier.probabilities(motions)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert probabilities[:, 1].argmax() < 10


def test_the_judge_shows_ceiling_and_floor() -> None:
    """A still face is recognised no better than by chance, the recorded one always."""
    classifier = EmotionClassifier.fit(*_faces(20, seed=0))
    motions, labels = _faces(10, seed=1)
    motions, labels = motions[:-4], labels[:-4]  # 10 happy, 10 angry, 6 sad
    still = [np.zeros_like(motion) for motion in motions]
    judged = classifier.judge(still, motions, labels)
    assert judged.recorded == 1.0
    assert judged.majority == pytest.approx(10 / 26)
    assert judged.predicted <= judged.majority


def test_the_same_data_give_the_same_classifier() -> None:
    """A judge that varies between runs makes runs incomparable."""
    first, second = (EmotionClassifier.fit(*_faces(5, seed=0)) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)


def test_training_reaches_the_minimum_of_its_loss() -> None:
    """An unfinished optimisation depends on its steps; at the minimum the gradient is 0."""
    motions, labels = _faces(15, seed=0, shown=0.05)
    classifier = EmotionClassifier.fit(motions, labels)
    inputs = (pooled_statistics(motions) - classifier.centre) / classifier.scale
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    targets = np.array([[label == name for name in classifier.labels] for label in labels])
    residual = classifier.probabilities(motions) - targets
    gradient = inputs.T @ residual / len(labels) + RIDGE * classifier.weights
    assert np.abs(gradient).max() < 1e-6


def test_channels_that_never_moved_in_training_do_not_count() -> None:
    """The corpus did not capture them; a prediction may still move them."""
    motions, labels = _faces(10, seed=0)
    tongue = ARKIT_NAMES.index("tongueOut")
    for motion in motions:
        motion[:, tongue] = 0.0
    classifier = EmotionClassifier.fit(motions, labels)
    moved = [motion.copy() for motion in motions]
    for motion in moved:
        motion[:, tongue] = np.random.default_rng(0).random(len(motion))
    np.testing.assert_array_equal(
        classifier.probabilities(moved), classifier.probabilities(motions)
    )


def test_a_detail_that_a_tokenizer_removes_decides_nothing() -> None:
    """A channel of a thousandth gave the emotion away as surely as a smile, until it was gone."""
    motions, labels = _faces(20, seed=0)
    tell = index_of("tongueOut")
    for motion, label in zip(motions, labels, strict=True):
        motion[:, tell] = 0.001 * (label == "happy")
    classifier = EmotionClassifier.fit(motions, labels)
    assert classifier.scale[tell] == SMALLEST_SCALE
    faces, truth = _faces(10, seed=1)
    for face in faces:
        face[:, tell] = 0.0
    assert classifier.accuracy(faces, truth) == 1.0
    swapped = [np.array(face) for face in faces]
    for face in swapped:
        face[:, tell] = 0.001
    moved = classifier.probabilities(swapped) - classifier.probabilities(faces)
    assert np.abs(moved).max() < 0.02


def test_more_ridge_means_less_weight() -> None:
    """The argument must reach the loss."""
    motions, labels = _faces(10, seed=0)
    loose, tight = (EmotionClassifier.fit(motions, labels, ridge=r) for r in (0.01, 1.0))
    assert np.square(tight.weights).sum() < 0.2 * np.square(loose.weights).sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"motions": []}, "`motions` must hold at least one utterance, got none"),
        ({"motions": [np.zeros((3, 51))]}, "`motions[0]` must have shape (T, 52) with T at least"),
        ({"motions": [np.zeros((0, 52))]}, "with T at least 1, got (0, 52)"),
        ({"motions": [np.full((3, 52), np.nan)]}, "`motions[0]` must be finite, got nan"),
        ({"labels": ["sad"]}, "`labels` must hold one per motion (2), got 1"),
        ({"labels": ["sad", "sad"]}, "`labels` must hold at least 2 emotions, got ['sad']"),
        ({"ridge": 0.0}, "`ridge` must be above 0, got 0.0"),
        ({"ridge": np.nan}, "`ridge` must be above 0, got nan"),
    ],
)
def test_training_data_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    """One emotion is always recognised, and no ridge has no minimum on separable data."""
    arguments: dict[str, Any] = {"motions": np.zeros((2, 3, 52)), "labels": ["sad", "happy"]}
    with pytest.raises(InputError, match=re.escape(message)):
        EmotionClassifier.fit(**{**arguments, **change})


def test_an_emotion_that_was_not_in_training_is_refused() -> None:
    """It could only be wrong, and would pull the accuracy down unnoticed."""
    classifier = EmotionClassifier.fit(*_faces(3, seed=0))
    message = "`labels` must be among ('angry', 'happy', 'sad'), got ['calm']"
    with pytest.raises(InputError, match=re.escape(message)):
        classifier.accuracy(np.zeros((2, 3, 52)), ["sad", "calm"])
    with pytest.raises(InputError, match=re.escape("one per motion (2), got 1")):
        classifier.accuracy(np.zeros((2, 3, 52)), ["sad"])


def _strong_faces(n_each: int, seed: int) -> tuple[list[np.ndarray], list[str], list[int]]:
    """Return noisy motions whose channel is raised by the intensity of the emotion."""
    rng = np.random.default_rng(seed)
    motions, labels, levels = [], [], []
    for label in ("happy", "sad"):
        for level in (1, 2, 3) * n_each:
            motion = rng.random((20, 52)).astype(np.float32) * 0.2
            motion[:, index_of(_SHOWN[label])] += 0.25 * level
            motions.append(motion)
            labels.append(label)
            levels.append(level)
    return motions, labels, levels


def test_the_strength_of_an_emotion_is_read_from_new_motion() -> None:
    """In its own unit, so that 1 is weak and 3 strong; another emotion has another channel."""
    judge = IntensityJudge.fit(*_strong_faces(10, seed=0))
    motions, labels, levels = _strong_faces(5, seed=1)
    strengths = judge.strengths(motions, labels)
    np.testing.assert_allclose(strengths, levels, atol=0.5)
    assert np.isnan(judge.strengths(motions[:1], ["calm"])).all()
    swapped = judge.strengths(motions[2:3], ["sad"])
    assert swapped[0] < 2


def test_intensities_are_in_order_where_all_three_rise() -> None:
    """A tie is no order: a policy deaf to intensity shows one strength three times."""
    triples = [[1, 2, 3], [1, 3, 2], [2, 2, 2], [0.1, 0.2, 0.3], [1, np.nan, 3]]
    np.testing.assert_array_equal(intensity_order(triples), [1, 0, 0, 1, np.nan])
    with pytest.raises(InputError, match=re.escape("must have shape (N, 3), got (3,)")):
        intensity_order([1, 2, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ridge": 0.0}, "`ridge` must be above 0, got 0.0"),
        ({"emotions": ["sad"]}, "`labels` must hold one per motion (2), got 1"),
        ({"intensities": [1, 2, 3]}, "`intensities` must hold one per motion (2), got 3"),
        ({"intensities": [2, 2]}, "`intensities` must hold at least 2 of one emotion, got fewer"),
        ({"emotions": ["sad", "calm"]}, "`intensities` must hold at least 2 of one emotion"),
    ],
)
def test_intensities_that_teach_nothing_are_refused(change: dict[str, Any], message: str) -> None:
    """Of one intensity alone every strength would be the same, and every order a tie."""
    arguments: dict[str, Any] = {
        "motions": np.zeros((2, 3, 52)),
        "emotions": ["sad", "sad"],
        "intensities": [1, 3],
    }
    with pytest.raises(InputError, match=re.escape(message)):
        IntensityJudge.fit(**{**arguments, **change})
