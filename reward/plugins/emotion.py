"""Reward `emotion`: whether the face shows the emotion that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, FloatArray, Trajectories
from esarm_env.task.conditions import EMOTION_SLICE
from esarm_env.task.judges import emotion_judge

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask


class EmotionReward:
    """The probability of the wanted emotion; implements `RewardFunction`.

    `P(emotion of the condition | motion)` under `esarm_env.metrics.EmotionClassifier` (softmax
    regression on means, deviations and percentiles of the channels), fitted once on the recordings
    of the training split and on the same through the tokenizer; no unit, in [0, 1]. The emotion is
    the one in the trajectory's condition, not that of the recording, so that another may be asked
    for.

    On 48 test utterances of the shipped corpus: recordings 0.94 (deviation 0.11), samples of the
    clone 0.94 (0.15), recordings under another emotion's condition 0.01 (0.02), uniformly random
    tokens 0.15 (0.21). The judge names the emotion of each of these recordings right, which
    synthetic ones make easy. It reads pooled coefficients alone: a face that shows the emotion and
    never speaks scores as high as one that does. Among 16 clone samples of an utterance its rank
    correlation with minus EVE is 0.12 in the mean, with minus LVE 0.01.

    Attributes:
        classifier: The judge.
    """

    needs_ground_truth = False

    def __init__(self, task: AnimationTask) -> None:
        """Fit the classifier on the training split of `task`.

        Raises:
            InputError: If they show fewer than 2 emotions.
        """
        corpus = task.corpus
        judge = emotion_judge(task)
        if judge is None:
            labels = [corpus.records[int(index)].emotion for index in corpus.split("train")]
            raise InputError(
                "the corpus must have training recordings of at least 2 emotions for the reward "
                f"`emotion`, got {sorted(set(labels))} in {corpus.name!r}"
            )
        self._task = task
        self.classifier = judge

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return probabilities, shape (N,), in [0, 1].

        Raises:
            InputError: If a condition asks for no emotion, or for one that was not in training.
        """
        wanted = self._wanted(trajectories)
        n_frames = self._task.n_frames[trajectories.utterance]
        motions = self._task.decode_chunks(trajectories)
        shown = [motion[:count] for motion, count in zip(motions, n_frames, strict=True)]
        every = self.classifier.probabilities(shown)  # (N, n_classes)
        chosen: FloatArray = every[np.arange(len(wanted)), wanted].astype(np.float32)
        return chosen

    def _wanted(self, trajectories: Trajectories) -> list[int]:
        """Return the class that each condition asks for."""
        labels = self.classifier.labels
        classes = []
        for row in trajectories.condition[:, EMOTION_SLICE]:
            name = EMOTIONS[int(row.argmax())] if row.any() else "none"
            if name not in labels:
                raise InputError(
                    f"`condition` must ask for one of {', '.join(labels)} (the emotions of the "
                    f"training recordings) under the reward `emotion`, got {name}"
                )
            classes.append(labels.index(name))
        return classes


def open_emotion(task: AnimationTask, run: Path | None) -> EmotionReward:
    """Probability that a classifier of recordings gives the wanted emotion, 0 to 1."""
    return EmotionReward(task)
