"""From displacements of vertices to one figure per frame, then per utterance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from esarm_env.metrics.inputs import Batch, mean_per_row
from esarm_env.metrics.region import Region
from esarm_env.types import FloatArray

# Reduction over vertices ("max" or "mean") and power of the distance (1 or 2).
Kind = tuple[str, int]


def reduced_displacements(
    batch: Batch, region: Region, kinds: Sequence[Kind]
) -> dict[Kind, npt.NDArray[np.float64]]:
    """Return per utterance the mean over frames of a region's reduced displacements.

    Args:
        batch: Differences of two motions, or of neighbouring frames.
        region: Whose vertices are displaced.
        kinds: Pairs of reduction ("max" or "mean" over vertices) and power (1 or 2).

    Returns:
        Shape (B,) for each kind, in mm or mm²; nan where too little of the region is captured or
        no frame counts.
    """
    if not region.measured(batch.captured):
        return {kind: np.full(len(batch), np.nan) for kind in kinds}
    per_frame = displacements_per_frame(batch, region, kinds)
    return {kind: mean_per_row(values, batch.counts) for kind, values in per_frame.items()}


def displacements_per_frame(
    batch: Batch, region: Region, kinds: Sequence[Kind]
) -> dict[Kind, npt.NDArray[np.float64]]:
    """Return a region's reduced displacements, shape (N,) for each kind: row after row."""
    channels = region.used(batch.captured)
    frames = batch.frames(channels)  # (N, C)
    per_frame = {kind: np.empty(len(frames)) for kind in kinds}
    for block, squared in region.squared_displacements(frames, channels):
        for kind, values in reduce_squared(squared, kinds).items():
            per_frame[kind][block] = values
    return per_frame


def reduce_squared(
    squared: FloatArray | npt.NDArray[np.float64], kinds: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], npt.NDArray[np.float64]]:
    """Return one error per frame of squared distances (n, R); may overwrite them."""
    reduced = {}
    if any(reduce == "max" for reduce, _ in kinds):
        worst = squared.max(axis=1).astype(np.float64)
        reduced.update({("max", 1): np.sqrt(worst), ("max", 2): worst})
    if ("mean", 2) in kinds:
        reduced["mean", 2] = squared.mean(axis=1, dtype=np.float64)
    if ("mean", 1) in kinds:
        reduced["mean", 1] = np.sqrt(squared, out=squared).mean(axis=1, dtype=np.float64)
    return {kind: reduced[kind] for kind in kinds}
