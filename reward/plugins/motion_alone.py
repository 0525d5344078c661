"""Rewards of the motion alone: `zero`, `jerk` (for a negative weight), `liveliness`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import (
    FRAME_RATE_HZ,
    REGION_OF_STREAM,
    STREAMS,
    FloatArray,
    IntArray,
    Trajectories,
)
from esarm_env.metrics import jerk
from esarm_env.metrics.inputs import Batch
from esarm_env.metrics.region import (
    displacements_per_frame,
    reduced_displacements,
    region_of,
)
from reward.plugins.frame_sums import no_chunks, sums_by_chunk
from reward.plugins.recordings import training_sample

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask


class ZeroReward:
    """Scores nothing and decodes nothing; implements `RewardFunction`."""

    needs_ground_truth = False

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return zeros, shape (N,)."""
        return np.zeros(len(trajectories), dtype=np.float32)


def open_zero(task: AnimationTask, run: Path | None) -> ZeroReward:
    """Always 0: for measuring speed and collecting data."""
    return ZeroReward()


REGIONS = tuple(REGION_OF_STREAM.values())
MM_PER_M = 1000.0
_JERK_ORDER = 3  # of the derivative
SHORTEST = 4  # frames; fewer have no third difference


class JerkReward:
    """The mean jerk of the decoded animation in m/s³; implements `ChunkedReward`.

    `esarm_env.metrics.jerk` (mean over frames and vertices of the third derivative's length, by
    finite differences at 30 fps) of the lips and of the upper face, averaged over the two; a region
    that the corpus never captured is left out. Recordings of the synthetic corpus have about 13,
    uniformly random tokens 18, so that -0.1 is a mild weight beside `learned`. At 0 the face stands
    still: on its own, jerk is no aim.
    """

    needs_ground_truth = False

    def __init__(self, task: AnimationTask) -> None:
        """Score animations of `task`.

        Raises:
            InputError: If its corpus captured neither lips nor upper face.
        """
        self._task = task
        captured = task.corpus.captured
        self._regions = tuple(
            name for name in REGIONS if region_of(task.head, name).measured(captured)
        )
        if not self._regions:
            raise InputError(
                "the corpus must have captured lips or upper face for the reward `jerk`, "
                f"got neither in {task.corpus.name!r}"
            )

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return the jerk, shape (N,), at least 0; 0 for less than 4 frames."""
        motion = self._task.decode(trajectories)  # (N, T, 52)
        lengths = self._task.n_frames[trajectories.utterance]
        jerks = [
            jerk(
                motion,
                head=self._task.head,
                region=region,
                captured=self._task.corpus.captured,
                lengths=lengths,
            )
            for region in self._regions
        ]
        mean = np.mean(jerks, axis=0) / MM_PER_M  # (N,)
        return np.where(lengths < SHORTEST, 0, mean).astype(np.float32)

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """`mouth` earns the jerk of the lips, `upper` that of the upper face."""
        return STREAMS

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return what each chunk adds to the jerk, (N, C, 2); that of 4 frames with the last."""
        task, chunks = self._task, no_chunks(self._task, trajectories)
        n_chunks = chunks.shape[1]
        if not len(trajectories):
            return chunks
        batch = _differences(task, task.decode(trajectories), trajectories.utterance, _JERK_ORDER)
        scale = FRAME_RATE_HZ**_JERK_ORDER / MM_PER_M / len(self._regions)
        for stream, name in enumerate(REGIONS):
            if name in self._regions:
                sums = _sums_of_region(task, batch, name, n_chunks=n_chunks, first=_JERK_ORDER)
                chunks[..., stream] = scale * sums / np.maximum(batch.counts, 1)[:, None]
        return chunks


def open_jerk(task: AnimationTask, run: Path | None) -> JerkReward:
    """Mean jerk of lips and upper face in m/s³; give it a negative weight."""
    return JerkReward(task)


QUANTILE = 0.25
_STILL_MM_S = 1e-3  # recordings that move less do not move

_MEAN = ("mean", 1)


def _differences(
    task: AnimationTask, motion: FloatArray, utterances: IntArray, order: int
) -> Batch:
    """Return the differences in time of motion (N, T, 52) to `utterances` (N,), of some order."""
    counts = task.n_frames[utterances]
    cut = motion[:, : int(counts.max())]
    return Batch.of(cut, lengths=counts, captured=task.corpus.captured).differenced(order)


def _sums_of_region(
    task: AnimationTask, batch: Batch, region: str, *, n_chunks: int, first: int
) -> npt.NDArray[np.float64]:
    """Return the mean length of a region's differences, summed by chunk, shape (N, n_chunks)."""
    return sums_by_chunk(
        displacements_per_frame(batch, region_of(task.head, region), [_MEAN])[_MEAN],
        batch.counts,
        frames_per_chunk=task.tokenizer.frames_per_chunk,
        n_chunks=n_chunks,
        first=first,
    )


class LivelinessReward:
    """How much of the movement that speech has is there; implements `ChunkedReward`.

    `mean over regions of min(1, speed / reference)`; no unit, in [0, 1]. Speed is the mean over
    frames and vertices of a region (lips, upper face) in mm/s; the reference is the speed that
    three quarters of the training recordings reach. 0 is a frozen face; 1 is a face with at least
    that much movement in both regions, and more is not paid. A region that the corpus never
    captured is left out.

    On 80 held-out utterances of the shipped corpus: recordings 0.95 (deviation 0.08), samples of
    the clone 0.97 (0.07), the clone's most likely animations 0.85 (0.13), one chunk repeated 0.35
    (0.16), uniformly random tokens 1.00: it stops a policy from freezing, which smoothness and
    averages over many faces invite, and cannot tell a lively face from a trembling one. It is no
    aim of its own: among 16 clone samples of an utterance its rank correlation with minus EVE is
    -0.38 in the mean.

    Attributes:
        references: Speed in mm/s by region.
    """

    needs_ground_truth = False

    def __init__(self, task: AnimationTask) -> None:
        """Measure the training recordings of `task`.

        Raises:
            InputError: If there are none, or no region of them was captured and moves.
        """
        self._task = task
        recorded = training_sample(task, reward="liveliness")
        speeds = self._speeds(task.target_motion(recorded), recorded)  # (R, N)
        known = np.isfinite(speeds).any(axis=1)
        limits = np.nanquantile(speeds[known], QUANTILE, axis=1)  # (n known,)
        names = np.array(REGIONS)[known]
        self.references = {
            str(name): float(limit)
            for name, limit in zip(names, limits, strict=True)
            if limit > _STILL_MM_S
        }
        if not self.references:
            raise InputError(
                "the corpus must have captured lips or upper face in motion for the reward "
                f"`liveliness`, got neither in {task.corpus.name!r}"
            )

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return scores, shape (N,), in [0, 1]; 1 for less than 2 frames, which cannot move."""
        speeds = self._speeds(self._task.decode(trajectories), trajectories.utterance)  # (R, N)
        shares = [
            np.minimum(1, speeds[REGIONS.index(name)] / reference)
            for name, reference in self.references.items()
        ]
        return np.asarray(np.nan_to_num(np.mean(shares, axis=0), nan=1.0), dtype=np.float32)

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """`mouth` earns the movement of the lips, `upper` that of the upper face."""
        return STREAMS

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return what each chunk's movement earned, shape (N, C, 2).

        Once a region moves as much as is paid, more earns nothing: there all frames earn alike.
        """
        task, chunks = self._task, no_chunks(self._task, trajectories)
        n_chunks = chunks.shape[1]
        if not len(trajectories):
            return chunks
        batch = _differences(task, task.decode(trajectories), trajectories.utterance, 1)
        step = task.tokenizer.frames_per_chunk
        ones = np.ones(int(batch.counts.sum()))
        steps = sums_by_chunk(ones, batch.counts, frames_per_chunk=step, n_chunks=n_chunks, first=1)
        steps[batch.counts == 0, 0] = 1  # a single frame cannot move, and is paid in full
        of_all = steps / steps.sum(axis=1, keepdims=True)
        for name, reference in self.references.items():
            sums = _sums_of_region(task, batch, name, n_chunks=n_chunks, first=1)
            shares = sums * FRAME_RATE_HZ / (reference * np.maximum(batch.counts, 1)[:, None])
            enough = (shares.sum(axis=1) >= 1) | (batch.counts == 0)
            paid = np.where(enough[:, None], of_all, shares)
            chunks[..., REGIONS.index(name)] = paid / len(self.references)
        return chunks

    def _speeds(self, motion: FloatArray, utterances: IntArray) -> npt.NDArray[np.float64]:
        """Return the speed in mm/s of each region (R, N); nan where it cannot be told."""
        task = self._task
        steps = _differences(task, motion, utterances, 1)
        rows = [
            reduced_displacements(steps, region_of(task.head, name), [_MEAN])[_MEAN]
            for name in REGIONS
        ]
        return np.stack(rows) * FRAME_RATE_HZ


def open_liveliness(task: AnimationTask, run: Path | None) -> LivelinessReward:
    """Share of the movement that recordings have, 0 (frozen) to 1."""
    return LivelinessReward(task)
