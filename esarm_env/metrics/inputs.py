"""Checked input batches of the metrics on coefficients: motion, lengths, captured channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Batch:
    """Padded batch of motion with its lengths and captured channels.

    Attributes:
        motion: Shape (B, T, 52), float32.
        counts: Shape (B,), int64, the frames of each row that count.
        captured: Shape (52,), bool.
        name: What messages call the motion.
    """

    motion: FloatArray
    counts: IntArray
    captured: BoolArray
    name: str

    @staticmethod
    def of(
        motion: npt.ArrayLike,
        *,
        lengths: npt.ArrayLike | None = None,
        captured: npt.ArrayLike | None = None,
        name: str = "motion",
    ) -> Batch:
        """Check `motion`, shape (T, 52) or (B, T, 52), `lengths` and `captured`."""
        checked = _motion(motion, name)
        counts = frame_counts(lengths, *checked.shape[:2])
        return Batch(checked, counts, _captured_channels(captured), f"`{name}`")

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self.motion)

    def frames(self, channels: IntArray) -> FloatArray:
        """Return the frames within each row's length, concatenated, shape (N, D)."""
        inside = np.arange(self.motion.shape[1]) < self.counts[:, None]  # (B, T)
        within = self.motion.reshape(-1, N_CHANNELS) if inside.all() else self.motion[inside]
        counted = within[:, channels]
        if not np.all(np.isfinite(counted)):
            raise InputError(f"{self.name} must be finite, got nan or infinity")
        return counted

    def differenced(self, order: int) -> Batch:
        """Return the `order`-th finite differences in time; rows too short have no frames."""
        width = self.motion.shape[1]
        empty = np.zeros((len(self), 0, N_CHANNELS), dtype=np.float32)
        with np.errstate(invalid="ignore"):  # inf - inf past an utterance's end counts for nothing
            motion = np.diff(self.motion, n=order, axis=1) if width > order else empty
        return Batch(motion, np.maximum(self.counts - order, 0), self.captured, self.name)


def difference_of(
    predicted: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    lengths: npt.ArrayLike | None = None,
    captured: npt.ArrayLike | None = None,
) -> Batch:
    """Return `predicted - target` as a batch."""
    first, second = np.asarray(predicted), np.asarray(target)
    check_one_shape(first, second)
    with np.errstate(invalid="ignore"):  # inf - inf past an utterance's end counts for nothing
        difference = _motion(first, "predicted") - _motion(second, "target")
    counts = frame_counts(lengths, *difference.shape[:2])
    mask = _captured_channels(captured)
    return Batch(difference, counts, mask, "`predicted` and `target`")


def check_one_shape(predicted: npt.NDArray[np.generic], target: npt.NDArray[np.generic]) -> None:
    """Refuse a pair of different shapes."""
    if predicted.shape != target.shape:
        got = f"{predicted.shape} and {target.shape}"
        raise InputError(f"`predicted` and `target` must have one shape, got {got}")


def frame_counts(lengths: npt.ArrayLike | None, batch: int, frames: int) -> IntArray:
    """Return the valid frames of each of `batch` rows: `lengths`, checked, or all `frames`."""
    if lengths is None:
        return np.full(batch, frames, dtype=np.int64)
    counts = np.atleast_1d(np.asarray(lengths))
    if counts.shape != (batch,) or not np.issubdtype(counts.dtype, np.integer):
        got = f"{counts.dtype} {counts.shape}"
        raise InputError(f"`lengths` must be integers of shape ({batch},), got {got}")
    if np.any((counts < 1) | (counts > frames)):
        raise InputError(f"`lengths` must be in 1..{frames}, got {counts.tolist()}")
    return counts.astype(np.int64)


def mean_per_row(values: npt.NDArray[np.float64], counts: IntArray) -> npt.NDArray[np.float64]:
    """Return the mean of each row of concatenated values, shape (B,); nan for an empty row."""
    sums = np.zeros(len(counts))
    held = counts > 0
    starts = np.concatenate([[0], np.cumsum(counts[held])[:-1]]).astype(np.int64)
    if held.any():
        sums[held] = np.add.reduceat(values, starts)
    return np.where(held, sums / np.maximum(counts, 1), np.nan)


def _motion(motion: npt.ArrayLike, name: str) -> FloatArray:
    """Return motion as (B, T, 52), float32."""
    given = np.asarray(motion)
    if given.ndim not in (2, 3) or given.shape[-1] != N_CHANNELS or given.shape[-2] < 1:
        rule = f"(T, {N_CHANNELS}) or (B, T, {N_CHANNELS}) with T at least 1"
        raise InputError(f"`{name}` must have shape {rule}, got {given.shape}")
    with np.errstate(over="ignore"):  # too large for float32 is inf, refused where it counts
        return np.asarray(given.reshape(-1, *given.shape[-2:]), dtype=np.float32)


def _captured_channels(captured: npt.ArrayLike | None) -> BoolArray:
    """Return the mask of channels that count."""
    if captured is None:
        return np.ones(N_CHANNELS, dtype=np.bool_)
    mask = np.asarray(captured)
    if mask.shape != (N_CHANNELS,) or mask.dtype != np.bool_:
        got = f"{mask.dtype} {mask.shape}"
        raise InputError(f"`captured` must be bool of shape ({N_CHANNELS},), got {got}")
    return mask
