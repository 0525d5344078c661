"""Reward `synchrony`: whether the mouth opens when the speech is loud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.types import MOUTH
from reward.plugins.frame_sums import chunk_count, sums_by_chunk
from reward.plugins.recordings import Curve, HeardLoudness, need_opening

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray, Trajectories
    from esarm_env.task.animation_task import AnimationTask

LAGS = (0, -1, 1, -2, 2)  # frames; viewers tolerate sound that is 125 ms late (ITU-R BT.1359-1)
SHORTEST = 3  # frames; two always correlate perfectly
_FLAT_DB, _FLAT_MM = 1e-3, 1e-3  # what varies less is one value with rounding


class SynchronyReward:
    """How far the mouth's opening follows the loudness; implements `ChunkedReward`.

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
        scores = np.zeros(len(trajectories), dtype=np.float32)
        for row, (utterance, opening) in enumerate(self._openings(trajectories)):
            loudness, speech = self._heard.of(utterance)
            scores[row] = best_correlation(loudness, opening, speech)
        return scores

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """The mouth alone opens."""
        return (MOUTH,)

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return what the frames of each chunk add to the correlation, shape (N, C, 1).

        A correlation is a mean of products of two curves' deviations from their means: each frame
        of the mouth answers for its own, at the lag that correlates best.
        """
        shares, counts = [np.zeros(0)], []
        for utterance, opening in self._openings(trajectories):
            loudness, speech = self._heard.of(utterance)
            lag = max(LAGS, key=lambda k: _correlation(loudness, opening, speech, k))
            each = np.zeros(len(opening))
            places, products = _products(loudness, opening, speech, lag)
            each[places] = products
            shares.append(each)
            counts.append(len(each))
        chunks = sums_by_chunk(
            np.concatenate(shares),
            np.array(counts, dtype=np.int64),
            frames_per_chunk=self._task.tokenizer.frames_per_chunk,
            n_chunks=chunk_count(self._task, trajectories),
        )
        return chunks[..., None].astype(np.float32)

    def _openings(self, trajectories: Trajectories) -> list[tuple[int, Curve]]:
        """Return the utterance of each animation, and how far its mouth is open, (T_i,) in mm."""
        from esarm_env.metrics.mouth import mouth_opening

        if not len(trajectories):
            return []
        task = self._task
        motion = task.decode(trajectories)  # (N, T, 52)
        openings = mouth_opening(motion, head=task.head, captured=task.corpus.captured)  # (N, T)
        utterances = trajectories.utterance.tolist()
        return [(u, row[: task.n_frames[u]]) for u, row in zip(utterances, openings, strict=True)]


def best_correlation(loudness: Curve, opening: Curve, speech: npt.NDArray[np.bool_]) -> float:
    """Return the greatest correlation over `LAGS` of two curves (T,) where there is speech (T,)."""
    return max(_correlation(loudness, opening, speech, lag) for lag in LAGS)


def _correlation(loudness: Curve, opening: Curve, speech: npt.NDArray[np.bool_], lag: int) -> float:
    """Return the correlation of the loudness with the opening `lag` frames later; 0 if flat."""
    return float(np.clip(_products(loudness, opening, speech, lag)[1].sum(), -1, 1))


def _products(
    loudness: Curve, opening: Curve, speech: npt.NDArray[np.bool_], lag: int
) -> tuple[IntArray, Curve]:
    """Return frames of the opening (n,), and what each adds to the correlation (n,)."""
    n_frames = len(loudness)
    first, last = max(0, -lag), min(n_frames, n_frames - lag)
    inside = np.flatnonzero(speech[first:last]) + first
    nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    if len(inside) < SHORTEST:
        return nothing
    heard, seen = loudness[inside], opening[inside + lag]
    heard, seen = heard - heard.mean(), seen - seen.mean()
    spreads = np.sqrt(np.square(heard).mean()), np.sqrt(np.square(seen).mean())
    if spreads[0] < _FLAT_DB or spreads[1] < _FLAT_MM:
        return nothing
    return inside + lag, heard * seen / (len(inside) * spreads[0] * spreads[1])


def open_synchrony(task: AnimationTask, run: Path | None) -> SynchronyReward:
    """Correlation of loudness with the mouth's opening, -1 to 1."""
    return SynchronyReward(task)
