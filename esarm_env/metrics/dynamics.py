"""Metrics of motion dynamics: upper-face dynamics deviation (FDD) and jerk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, FloatArray, IntArray
from esarm_env.metrics.inputs import Batch, check_one_shape, frame_counts
from esarm_env.metrics.region import Region, reduced_displacements, region_of
from esarm_env.metrics.vertex_error import as_meshes, length_scale, region_indices

if TYPE_CHECKING:
    from esarm_env.face.head import Head

_JERK_ORDER = 3


def face_dynamics_deviation(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    region: str = "upper",
    absolute: bool = False,
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return the upper-face dynamics deviation (FDD) of a region, per utterance.

    A vertex's activity is the standard deviation over time of its squared distance from the rest
    face; FDD is the mean over the region of the truth's minus the prediction's (CodeTalker, CVPR
    2023, released script). It is a difference: too lively and too still utterances cancel in a
    mean, which `absolute` prevents; within an utterance vertices still may.

    Args:
        predicted: Coefficients, shape (T, 52) or (B, T, 52), alphabetical order.
        target: The truth, same shape.
        head: Whose vertices move.
        region: "upper" (eyes and forehead, as in the papers) or another region.
        absolute: Whether to drop each utterance's sign.
        captured: Shape (52,), bool; False channels are at rest on both sides.
        lengths: Shape (B,), the frames of each utterance that count; all by default.

    Returns:
        Shape (B,), in mm²; positive where the prediction moves too little, nan where too little
        of the region is captured.

    Raises:
        InputError: If shapes do not fit, the region is unknown, or a counted coefficient is not
            finite.
    """
    check_one_shape(np.asarray(predicted), np.asarray(target))
    moved = region_of(head, region)
    ours = Batch.of(predicted, lengths=lengths, captured=captured, name="predicted")
    truth = Batch.of(target, lengths=lengths, captured=captured, name="target")
    deviation = _activity(truth, moved) - _activity(ours, moved)
    return np.abs(deviation) if absolute else deviation


def face_dynamics_deviation_of_meshes(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    template: npt.ArrayLike,
    vertices: npt.ArrayLike,
    mesh_unit: str,
    absolute: bool = False,
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return the FDD of meshes of any topology, per utterance.

    Args:
        predicted: Vertex positions, shape (T, V, 3) or (B, T, V, 3).
        target: The truth, same shape.
        template: The subject's rest face, shape (V, 3).
        vertices: Shape (R,), the indices of the region's vertices.
        mesh_unit: What the positions are in: "mm", "cm", "m" or "norm" (a scale without a length).
        absolute: Whether to drop each utterance's sign.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        unit: "mm" or "m"; "norm" if and only if `mesh_unit` is.

    Returns:
        Shape (B,), in `unit` squared; positive where the prediction moves too little.

    Raises:
        InputError: If shapes do not fit, a unit is unknown or a counted position is not finite.
    """
    scale = length_scale(mesh_unit, unit)
    first, second = as_meshes(predicted, "predicted"), as_meshes(target, "target")
    check_one_shape(first, second)
    rest = np.asarray(template, dtype=np.float64)
    if rest.shape != first.shape[2:]:
        raise InputError(f"`template` must have shape {first.shape[2:]}, got {rest.shape}")
    indices = region_indices(vertices, len(rest))
    counts = frame_counts(lengths, *first.shape[:2])
    deviation = np.empty(len(first))
    for row, count in enumerate(counts):
        activities = []
        for meshes in (second, first):
            offsets = meshes[row, :count, indices] - rest[indices, None]  # (R, n, 3)
            if not np.all(np.isfinite(offsets)):
                raise InputError("`predicted` and `target` must be finite, got nan or infinity")
            activities.append(np.einsum("rnk,rnk->rn", offsets, offsets).std(axis=1).mean())
        deviation[row] = (activities[0] - activities[1]) * scale**2
    return np.abs(deviation) if absolute else deviation


def jerk(
    motion: npt.ArrayLike,
    *,
    head: Head,
    region: str = "lips",
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return the mean length of the third derivative of a region's vertices, per utterance.

    Read it beside the truth's: more is jitter, less is over-smoothing. Derivatives are finite
    differences at 30 fps; the mean is over vertices and frames.

    Args:
        motion: Coefficients, shape (T, 52) or (B, T, 52), alphabetical order.
        head: Whose vertices move.
        region: "lips" or another region.
        captured: Shape (52,), bool; False channels are at rest.
        lengths: Shape (B,), the frames of each utterance that count; all by default.

    Returns:
        Shape (B,), in mm/s³; nan where too little of the region is captured or an utterance has
        fewer than 4 frames.

    Raises:
        InputError: If shapes do not fit, the region is unknown, or a counted coefficient is not
            finite.
    """
    batch = Batch.of(motion, lengths=lengths, captured=captured).differenced(_JERK_ORDER)
    kind = ("mean", 1)
    per_frame = reduced_displacements(batch, region_of(head, region), [kind])[kind]
    per_second: npt.NDArray[np.float64] = per_frame * FRAME_RATE_HZ**_JERK_ORDER
    return per_second


def _activity(batch: Batch, region: Region) -> npt.NDArray[np.float64]:
    """Return per utterance the mean over vertices of the deviation over time, (B,), in mm²."""
    if not region.measured(batch.captured):
        return np.full(len(batch), np.nan)
    channels = region.used(batch.captured)
    ends = np.cumsum(batch.counts)
    moments = _Moments(len(batch), region.n_vertices)
    for block, squared in region.squared_displacements(batch.frames(channels), channels):
        row = int(np.searchsorted(ends, block.start, side="right"))
        start = block.start
        while start < block.stop:
            stop = min(int(ends[row]), block.stop)
            moments.add(row, squared[start - block.start : stop - block.start])
            start, row = stop, row + 1
    means: npt.NDArray[np.float64] = moments.deviation(batch.counts).mean(axis=1)
    return means


class _Moments:
    """Mean and summed squared deviation of rows that come in pieces.

    Pieces are merged as in Chan, Golub and LeVeque (1979), so that an utterance of any length needs
    one block of memory.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._count = np.zeros(rows, dtype=np.int64)
        self._mean = np.zeros((rows, columns))
        self._squares = np.zeros((rows, columns))

    def add(self, row: int, piece: FloatArray) -> None:
        """Merge a piece, shape (n, columns), into a row."""
        mean = piece.mean(axis=0)
        centred = piece - mean
        before, after = self._count[row], self._count[row] + len(piece)
        step = mean - self._mean[row]
        self._mean[row] += step * (len(piece) / after)
        self._squares[row] += np.einsum("tr,tr->r", centred, centred)
        self._squares[row] += step**2 * (before * len(piece) / after)
        self._count[row] = after

    def deviation(self, counts: IntArray) -> npt.NDArray[np.float64]:
        """Return the standard deviation (divisor n) of each row and column."""
        return np.sqrt(self._squares / counts[:, None])
