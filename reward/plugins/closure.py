"""Reward `closure`: whether the lips shut where the speech sounds like it.

No corpus tells when its sounds are spoken, so closed lips are heard: a detector learns from the
training recordings how speech sounds while the lips are shut.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import MOUTH
from esarm_env.metrics.closure import CLOSED_MM
from esarm_env.metrics.mouth import mouth_opening
from reward.plugins.frame_sums import chunk_count, sums_by_chunk
from reward.plugins.recordings import HeardLoudness, need_opening, training_sample

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

CONTEXT = 3  # frames heard on each side, 100 ms: a p is silent before its burst and loud after
WIDEST = 512  # features with context; a WavLM state is wider, and has heard its neighbours
RIDGE = 1e-3
_STEPS = 8  # of Newton's method; the loss no longer changes in its sixth digit
_SMALLEST_DEVIATION = 1e-6

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClosureDetector:
    """Logistic regression from audio features to "the lips are shut"; make one with `fit`.

    Attributes:
        context: Frames heard on each side.
        centre: Shape (F,), mean of each input in training.
        scale: Shape (F,), their deviation.
        weights: Shape (F + 1,), the last is the bias.
    """

    context: int
    centre: Array
    scale: Array
    weights: Array

    @staticmethod
    def fit(
        features: list[FloatArray],
        shut: list[npt.NDArray[np.bool_]],
        counted: list[npt.NDArray[np.bool_]],
    ) -> ClosureDetector:
        """Learn from features (T_i, D), whether the lips are shut (T_i,), and what counts (T_i,).

        Raises:
            ValueError: If the lips are always shut or never in the frames that count.
        """
        inside = np.concatenate(counted)
        truth = np.concatenate(shut)[inside]
        if truth.all() or not truth.any():
            got = "shut" if truth.any() else "open"
            raise ValueError(f"`shut` must hold shut and open lips, got {got} ones only")
        context = CONTEXT if (2 * CONTEXT + 1) * features[0].shape[1] <= WIDEST else 0
        inputs = np.concatenate([_in_context(each, context) for each in features])[inside]
        centre, deviation = inputs.mean(axis=0), inputs.std(axis=0)
        scale = np.where(deviation > _SMALLEST_DEVIATION, deviation, 1.0)
        inputs = np.column_stack([(inputs - centre) / scale, np.ones(len(inputs))])
        return ClosureDetector(context, centre, scale, _logistic_regression(inputs, truth))

    def probabilities(self, features: FloatArray) -> Array:
        """Return how likely the lips are shut, shape (T,), in features (T, D)."""
        inputs = (_in_context(features, self.context) - self.centre) / self.scale
        return np.asarray(_logistic(inputs @ self.weights[:-1] + self.weights[-1]))


class ClosureReward:
    """How well shut lips match the sounds that shut them; implements `ChunkedReward`.

    `sum(p c) / sum(p) - sum((1 - p) c) / sum(1 - p)` over the frames t of speech (pauses over 0.3 s
    count as none), where p is how likely the lips sound shut and c is 1 if the animation's lips are
    less than 2 mm apart (`esarm_env.metrics.closure`), else 0. That is how much more of the sounds
    with shut lips than of the others finds them shut; no unit, in [-1, 1]. Lips that are always
    shut, or never, score 0, and so does an utterance without speech.

    p comes from a logistic regression on the audio features 100 ms around the frame, fitted once on
    the training recordings (`ClosureDetector`); the recording of the scored utterance is not looked
    at, unless it is one of these. On the shipped corpus a shut frame sounds more shut than an open
    one with a chance of 0.93 on new sentences and 0.89 on new speakers (area under the ROC curve;
    quietness alone has 0.78 and 0.83).

    On 80 held-out utterances of that corpus: recordings 0.49 (deviation 0.10), samples of the clone
    0.43 (0.11), animations of other utterances 0.15 (0.15), uniformly random tokens 0.00 (0.10).
    Among 16 clone samples of an utterance its rank correlation with minus LVE is 0.26 in the mean,
    with minus EVE 0.03. Lips that shut wherever p is above its mean beat every recording.

    Attributes:
        detector: What hears.
    """

    needs_ground_truth = False

    def __init__(self, task: AnimationTask) -> None:
        """Teach a detector from the training recordings of `task`.

        Raises:
            InputError: If the opening of the mouth was not captured, or no recording both opens and
                shuts it.
        """
        need_opening(task, reward="closure")
        self._task, self._heard = task, HeardLoudness(task)
        utterances = training_sample(task, reward="closure").tolist()
        features = [task.features[utterance] for utterance in utterances]
        shut = [self._shut(task.corpus[utterance].motion) for utterance in utterances]
        speech = [self._heard.of(utterance)[1] for utterance in utterances]
        try:
            self.detector = ClosureDetector.fit(features, shut, speech)
        except ValueError as error:
            raise InputError(
                "the corpus must have training recordings that open and shut the mouth for the "
                f"reward `closure`, got not both in {task.corpus.name!r}"
            ) from error

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return scores, shape (N,), in [-1, 1]."""
        return np.array([each.sum() for each in self._shares(trajectories)], dtype=np.float32)

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """The mouth alone shuts lips."""
        return (MOUTH,)

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return what the frames of each chunk add to the score, shape (N, C, 1)."""
        shares = self._shares(trajectories)
        chunks = sums_by_chunk(
            np.concatenate([*shares, np.zeros(0)]),
            np.array([len(each) for each in shares], dtype=np.int64),
            frames_per_chunk=self._task.tokenizer.frames_per_chunk,
            n_chunks=chunk_count(self._task, trajectories),
        )
        return chunks[..., None].astype(np.float32)

    def _shares(self, trajectories: Trajectories) -> list[Array]:
        """Return what each frame of each animation adds to its score, N times (T_i,)."""
        if not len(trajectories):
            return []
        closed = self._shut(self._task.decode(trajectories))  # (N, T)
        shares = []
        for row, utterance in enumerate(trajectories.utterance.tolist()):
            likely, speech = self.heard(utterance), self._heard.of(utterance)[1]
            each = np.zeros(len(speech))
            each[speech] = _agreement(likely[speech], closed[row, : len(speech)][speech])
            shares.append(each)
        return shares

    def heard(self, utterance: int) -> Array:
        """Return how likely the lips sound shut in each frame of an utterance, shape (T,)."""
        return self.detector.probabilities(self._task.features[utterance])

    def _shut(self, motion: FloatArray) -> npt.NDArray[np.bool_]:
        captured = self._task.corpus.captured
        opening = mouth_opening(motion, head=self._task.head, captured=captured)
        return np.asarray(opening < CLOSED_MM)


def _agreement(likely: Array, closed: npt.NDArray[np.bool_]) -> Array:
    """Return how much more of the likely than of the unlikely frames are closed, by frame, (n,)."""
    unlikely = 1 - likely
    hits = likely / max(likely.sum(), 1e-12)
    return np.asarray(closed * (hits - unlikely / max(unlikely.sum(), 1e-12)))


def _in_context(features: FloatArray, context: int) -> Array:
    """Return each frame beside its neighbours, shape (T, (2 * context + 1) * D)."""
    padded = np.pad(features.astype(np.float64), ((context, context), (0, 0)), mode="edge")
    return np.concatenate(
        [padded[shift : shift + len(features)] for shift in range(2 * context + 1)], axis=1
    )


def _logistic(scores: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * scores)))  # never overflows


def _logistic_regression(inputs: Array, truth: npt.NDArray[np.bool_]) -> Array:
    """Return the weights of least mean cross-entropy plus a small ridge, by Newton's method."""
    n, width = inputs.shape
    weights = np.zeros(width)
    for _ in range(_STEPS):
        likely = _logistic(inputs @ weights)
        gradient = inputs.T @ (likely - truth) / n + RIDGE * weights
        curvature = (inputs * (likely * (1 - likely))[:, None]).T @ inputs / n
        weights = weights - np.linalg.solve(curvature + RIDGE * np.eye(width), gradient)
    return weights


def open_closure(task: AnimationTask, run: Path | None) -> ClosureReward:
    """Lips shut where the speech sounds like it and nowhere else, -1 to 1."""
    return ClosureReward(task)
