"""Rewards that use the ground truth, `accuracy`, `lve`, `eve`, `closure_f1`: upper bounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import REGION_OF_STREAM, STREAMS, DifferentiableScores
from esarm_env.metrics import closure_events, mouth_opening
from esarm_env.metrics.inputs import difference_of
from esarm_env.metrics.region import blocks_of, displacements_per_frame, region_of
from esarm_env.task.episode_metrics import EVE, LVE, STREAM_OF_ERROR
from reward.plugins.frame_sums import no_chunks, sums_by_chunk
from reward.plugins.recordings import need_opening

if TYPE_CHECKING:
    from torch import Tensor

    from esarm_env.core.types import BoolArray, FloatArray, IntArray, Trajectories
    from esarm_env.metrics.region import Region
    from esarm_env.task.animation_task import AnimationTask

_LEAST_SQUARE_MM = 1e-10  # the root has no slope at 0


_LARGEST = ("max", 1)  # of a region's vertices in a frame, as LVE and EVE have it


class ErrorReward:
    """Minus the mean of true errors, in mm; implements `StreamedReward` and `ChunkedReward`.

    LVE is earned by the mouth's tokens, EVE by those of the upper face, and by each chunk what its
    frames add to the mean over all frames. An error that the corpus
    cannot tell (a region it never captured) is left out of the mean.
    """

    needs_ground_truth = True

    def __init__(self, task: AnimationTask, names: tuple[str, ...]) -> None:
        """Score by the errors called `names`: `lve`, `eve`.

        Raises:
            InputError: If the corpus can tell none of them.
        """
        captured = task.corpus.captured
        measured = [
            n
            for n in names
            if region_of(task.head, REGION_OF_STREAM[STREAM_OF_ERROR[n]]).measured(captured)
        ]
        if not measured:
            quoted = " or ".join(f"`{name}`" for name in names)
            raise InputError(
                f"the corpus must have captured what {quoted} measures, "
                f"got none of it in {task.corpus.name!r}"
            )
        self._task, self._names = task, measured

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return scores, shape (N,), at most 0."""
        errors = self._task.errors(trajectories)
        mean: FloatArray = np.mean([errors[name] for name in self._names], axis=0)
        return -mean

    @property
    def streams(self) -> tuple[str, ...]:
        """Both streams, also where one error alone is measured."""
        return STREAMS

    def score_streams(self, trajectories: Trajectories) -> dict[str, FloatArray]:
        """Return each stream's share of the scores, (N,), 0 for one that no error measures."""
        errors = self._task.errors(trajectories)
        nothing = np.zeros(len(trajectories), dtype=np.float32)
        weight = np.float32(-1 / len(self._names))
        shares: dict[str, FloatArray] = {
            STREAM_OF_ERROR[n]: weight * errors[n] for n in self._names
        }
        return {stream: shares.get(stream, nothing) for stream in STREAMS}

    @property
    def chunk_streams(self) -> tuple[str, ...]:
        """Both streams, as `streams`."""
        return STREAMS

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return minus what the frames of each chunk add to the errors, shape (N, C, 2), mm."""
        task, chunks = self._task, no_chunks(self._task, trajectories)
        if not len(trajectories):
            return chunks
        target = task.target_motion(trajectories.utterance)  # (N, T, 52)
        motion = task.decode(trajectories)[:, : target.shape[1]]
        counts, captured = task.n_frames[trajectories.utterance], task.corpus.captured
        apart = difference_of(motion, target, lengths=counts, captured=captured)
        for name in self._names:
            stream = STREAM_OF_ERROR[name]
            region = region_of(task.head, REGION_OF_STREAM[stream])
            sums = sums_by_chunk(
                displacements_per_frame(apart, region, [_LARGEST])[_LARGEST],
                counts,
                frames_per_chunk=task.tokenizer.frames_per_chunk,
                n_chunks=chunks.shape[1],
            )
            chunks[..., STREAMS.index(stream)] = -sums / (len(self._names) * counts[:, None])
        return chunks

    def differentiable_score(
        self, choices: Tensor, utterances: IntArray, lengths: IntArray, condition: FloatArray
    ) -> DifferentiableScores:
        """Return `score` with a gradient to the choices, see `DifferentiableReward`."""
        import torch

        task = self._task
        n_frames = torch.from_numpy(task.n_frames[utterances])
        target = torch.from_numpy(task.target_motion(utterances))  # (N, T, 52)
        motion = task.tokenizer.decode_choices(choices, lengths)[:, : target.shape[1]]
        inside = torch.arange(target.shape[1]) < n_frames[:, None]
        apart = (motion - target)[inside]  # (F, 52), all frames of all rows
        rows = inside.nonzero()[:, 0]
        total = motion.new_zeros(len(motion))
        for name in self._names:
            region = region_of(task.head, REGION_OF_STREAM[STREAM_OF_ERROR[name]])
            per_frame = largest_displacements(apart, region, task.corpus.captured)
            total = total.index_add(0, rows, per_frame)
        score = -total / n_frames / len(self._names)
        return DifferentiableScores(score, score.new_zeros(score.shape))


def largest_displacements(apart: Tensor, region: Region, captured: BoolArray) -> Tensor:
    """Return the largest vertex displacement of a region in each frame, (F,) mm, with a gradient.

    The worst vertices are found without one: the slope of a largest value is that of its own place.

    Args:
        apart: Shape (F, 52), differences of coefficients.
        region: Whose vertices are displaced.
        captured: Shape (52,), the channels that count.
    """
    import torch

    channels = region.used(captured)
    moved = apart[:, channels]
    planes = torch.from_numpy(region.planes[channels])  # (D, 3 * R)
    worst = torch.empty(len(apart), dtype=torch.long)
    for block in blocks_of(len(apart), region.n_vertices):
        places = (moved[block].detach() @ planes).view(-1, 3, region.n_vertices)
        worst[block] = places.square().sum(1).argmax(1)
    chosen = planes.view(len(channels), 3, -1)[:, :, worst]  # (D, 3, F)
    displaced = torch.einsum("fd,dxf->fx", moved, chosen)
    return (displaced.square().sum(-1) + _LEAST_SQUARE_MM).sqrt()


class ClosureTruthReward:
    """F1 of the mouth's closures against those of the recording; implements `RewardFunction`.

    `esarm_env.metrics.closure_events` per utterance: a closure is a run of frames with the lips
    less than 2 mm apart, and matches one of the recording within 2 frames; no unit, in [0, 1]. An
    utterance in which neither side ever shuts the mouth scores 1. On 80 held-out utterances of the
    shipped corpus: recordings through the tokenizer 0.98, samples of the clone 0.86 (deviation
    0.13), uniformly random tokens 0.49 (0.23). The reward `closure` needs no ground truth: it hears
    where closures belong.
    """

    needs_ground_truth = True

    def __init__(self, task: AnimationTask) -> None:
        """Score animations of `task`.

        Raises:
            InputError: If its corpus did not capture the opening of the mouth.
        """
        need_opening(task, reward="closure_f1")
        self._task = task

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return F1, shape (N,), in [0, 1]."""
        task = self._task
        target = task.target_motion(trajectories.utterance)
        motion = task.decode(trajectories)[:, : target.shape[1]]
        ours, truth = (
            mouth_opening(each, head=task.head, captured=task.corpus.captured)
            for each in (motion, target)
        )
        counts = closure_events(ours, truth, lengths=task.n_frames[trajectories.utterance])
        return np.nan_to_num(counts.f1, nan=1.0).astype(np.float32)


def open_closure_f1(task: AnimationTask, run: Path | None) -> ClosureTruthReward:
    """F1 of the mouth's closures against those of the recording, 0 to 1."""
    return ClosureTruthReward(task)


def open_accuracy(task: AnimationTask, run: Path | None) -> ErrorReward:
    """Minus the mean of the true errors LVE and EVE, in mm."""
    return ErrorReward(task, (LVE, EVE))


def open_lve(task: AnimationTask, run: Path | None) -> ErrorReward:
    """Minus the true error of the lips, LVE, in mm."""
    return ErrorReward(task, (LVE,))


def open_eve(task: AnimationTask, run: Path | None) -> ErrorReward:
    """Minus the true error of eyes and forehead, EVE, in mm."""
    return ErrorReward(task, (EVE,))
