"""Reward `synchrony`: whether the mouth opens when the speech is loud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from reward.plugins.recordings import Curve, HeardLoudness, need_opening

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

LAGS = (0, -1, 1, -2, 2)  # frames; viewers tolerate sound that is 125 ms late (ITU-R BT.1359-1)
SHORTEST = 3  # frames; two always correlate perfectly
_FLAT_DB, _FLAT_MM = 1e-3, 1e-3  # what varies less is one value with rounding


class SynchronyReward:
    """How far the mouth's opening follows the loudness; implements `RewardFunction`.

    `max over lags k of r(loudness_dB[t], opening_mm[t + k])`, Pearson's correlation over the frames
    of speech (pauses over 0.3 s count as none), for lags of -2 to 2 frames; no unit, in [-1, 1]. A
    mouth that does not move, and an utterance without three frames of speech, score 0. Loudness is
    that of `esarm_env.corpus.realism`, opening that of `esarm_env.metrics.mouth_opening`.

    On 80 held-out utterances of the shipped corpus: recordings 0.63 (deviation 0.09), samples of
    the clone 0.59 (0.09), animations of other utterances 0.32 (0.17), uniformly random tokens 0.10
    (0.22). Among 16 clone samples of an utterance its rank correlation with minus LVE is 0.25 in
    the mean, with minus EVE 0.04. A mouth that flaps with the loudness beats every recording.
    """

    needs_ground_truth = False

    def __init__(self, task: AnimationTask) -> None:
        """Score animations of `task`.

        Raises:
            InputError: If its corpus did not capture the opening of the mouth.
        """
        need_opening(task, reward="synchrony")
        self._task, self._heard = task, HeardLoudness(task)

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return correlations, shape (N,), in [-1, 1]."""
        from esarm_env.metrics.mouth import mouth_opening

        task = self._task
        motion = task.decode(trajectories)  # (N, T, 52)
        openings = mouth_opening(motion, head=task.head, captured=task.corpus.captured)  # (N, T)
        scores = np.zeros(len(trajectories), dtype=np.float32)
        for row, utterance in enumerate(trajectories.utterance.tolist()):
            loudness, speech = self._heard.of(utterance)
            scores[row] = best_correlation(loudness, openings[row, : len(loudness)], speech)
        return scores


def best_correlation(loudness: Curve, opening: Curve, speech: npt.NDArray[np.bool_]) -> float:
    """Return the greatest correlation over `LAGS` of two curves (T,) where there is speech (T,)."""
    return max(_correlation(loudness, opening, speech, lag) for lag in LAGS)


def _correlation(loudness: Curve, opening: Curve, speech: npt.NDArray[np.bool_], lag: int) -> float:
    """Return the correlation of the loudness with the opening `lag` frames later; 0 if flat."""
    n_frames = len(loudness)
    first, last = max(0, -lag), min(n_frames, n_frames - lag)
    inside = np.flatnonzero(speech[first:last]) + first
    if len(inside) < SHORTEST:
        return 0.0
    heard, seen = loudness[inside], opening[inside + lag]
    heard, seen = heard - heard.mean(), seen - seen.mean()
    spreads = np.sqrt(np.square(heard).mean()), np.sqrt(np.square(seen).mean())
    if spreads[0] < _FLAT_DB or spreads[1] < _FLAT_MM:
        return 0.0
    return float(np.clip((heard * seen).mean() / (spreads[0] * spreads[1]), -1, 1))


def open_synchrony(task: AnimationTask, run: Path | None) -> SynchronyReward:
    """Correlation of loudness with the mouth's opening, -1 to 1."""
    return SynchronyReward(task)
