"""F1 of mouth closures: on the phones p, b and m, or on every closure without an alignment.

Both work on opening curves in mm (`mouth_opening`), and count; counts of many utterances add up to
one F1, which a mean of their F1 values is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, BoolArray, IntArray
from esarm_env.metrics.mouth import paired_curves

# 6 % of the 33 mm that `jawOpen` opens the shipped head: lips that far apart show no gap worth
# the name, and recorded closures (lips pressed, never exactly at rest) lie below it.
CLOSED_MM = 2.0
# 67 ms; viewers notice sound that is 45 ms early or 125 ms late (ITU-R BT.1359-1).
TOLERANCE_FRAMES = 2

_MARGIN_S = 1 / FRAME_RATE_HZ  # phone boundaries are no better than that


@dataclass(frozen=True)
class ClosureCounts:
    """Confusion counts of closures per utterance: shape (B,), int64 each.

    Attributes:
        hits: Closed in both.
        false_alarms: Closed in the prediction alone.
        misses: Closed in the truth alone.
    """

    hits: IntArray
    false_alarms: IntArray
    misses: IntArray

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """Return the share of predicted closures that are true, (B,); nan without any."""
        return _share(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """Return the share of true closures that are predicted, (B,); nan without any."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> npt.NDArray[np.float64]:
        """Return the harmonic mean of both, (B,); nan where neither side ever closes."""
        return _share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)

    def pooled(self) -> ClosureCounts:
        """Return the counts of all utterances together, B = 1."""
        columns = np.stack([self.hits, self.false_alarms, self.misses])
        return ClosureCounts(*columns.sum(axis=1, keepdims=True))


def bilabial_closures(
    predicted_mm: npt.ArrayLike,
    target_mm: npt.ArrayLike,
    *,
    intervals: Sequence[npt.ArrayLike],
    lengths: npt.ArrayLike | None = None,
    closed_mm: float = CLOSED_MM,
) -> ClosureCounts:
    """Count true and false closures on the p, b and m of each utterance.

    An interval is closed if the opening falls below `closed_mm` anywhere in it or one frame around
    it. Only these intervals are looked at, so a mouth that never opens scores 1: read it beside the
    opening correlation or `closure_events`.

    Args:
        predicted_mm: Opening, shape (T,) or (B, T), for instance from `mouth_opening`.
        target_mm: The truth, same shape.
        intervals: For each utterance the start and end of its p, b and m, shape (n, 2), in seconds.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        closed_mm: Opening below which the mouth counts as shut, in mm.

    Returns:
        Counts of intervals per utterance.

    Raises:
        InputError: If shapes do not fit, an interval lies outside its utterance or ends before it
            starts, or a counted opening is not finite.
    """
    first, second, counts = _finite_curves(predicted_mm, target_mm, lengths)
    _check_intervals(intervals, len(first))
    table = np.zeros((len(first), 3), dtype=np.int64)
    for row, (times_s, count) in enumerate(zip(intervals, counts, strict=True)):
        for begin, end in _frames_of(times_s, int(count), row):
            ours = bool(first[row, begin:end].min() < closed_mm)
            truth = bool(second[row, begin:end].min() < closed_mm)
            table[row] += (ours and truth, ours and not truth, truth and not ours)
    return ClosureCounts(*table.T)


def closed_share(
    predicted_mm: npt.ArrayLike,
    *,
    intervals: Sequence[npt.ArrayLike],
    lengths: npt.ArrayLike | None = None,
    closed_mm: float = CLOSED_MM,
    margin_s: float = _MARGIN_S,
) -> npt.NDArray[np.float64]:
    """Return the share of p, b and m at which the mouth shuts, for recordings without motion.

    There is no truth to compare with: a mouth that never opens scores 1. Times of real recordings
    come from `esarm_env.audio.encoders.phone_spans.bilabial_times`.

    Args:
        predicted_mm: Opening, shape (T,) or (B, T), for instance from `mouth_opening`.
        intervals: For each utterance the start and end of its p, b and m, shape (n, 2), in seconds.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        closed_mm: Opening below which the mouth counts as shut, in mm.
        margin_s: How far around an interval a closure still counts, in seconds; one frame by
            default.

    Returns:
        Shape (B,), nan where an utterance has no interval.

    Raises:
        InputError: If shapes do not fit, an interval lies outside its utterance or ends before it
            starts, `margin_s` is below 0 or not finite, or a counted opening is not finite.
    """
    if not 0 <= margin_s < np.inf:
        raise InputError(f"`margin_s` must be at least 0 and finite, got {margin_s}")
    curves, _, counts = _finite_curves(predicted_mm, predicted_mm, lengths)
    _check_intervals(intervals, len(curves))
    shares = np.full(len(curves), np.nan)
    for row, (times_s, count) in enumerate(zip(intervals, counts, strict=True)):
        frames = _frames_of(times_s, int(count), row, margin_s=margin_s)
        if frames:
            shares[row] = np.mean([curves[row, a:b].min() < closed_mm for a, b in frames])
    return shares


def closure_events(
    predicted_mm: npt.ArrayLike,
    target_mm: npt.ArrayLike,
    *,
    lengths: npt.ArrayLike | None = None,
    closed_mm: float = CLOSED_MM,
    tolerance_frames: int = TOLERANCE_FRAMES,
) -> ClosureCounts:
    """Count matched closures of two opening curves, without a phone alignment.

    A closure is a run of frames with the opening below `closed_mm`. In order of time each predicted
    run is matched to at most one true run, if they come within `tolerance_frames` of each other; a
    mouth that stays shut is a single closure and misses all but one.

    Args:
        predicted_mm: Opening, shape (T,) or (B, T), for instance from `mouth_opening`.
        target_mm: The truth, same shape.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        closed_mm: Opening below which the mouth counts as shut, in mm.
        tolerance_frames: Open frames there may be between two runs that match; 0 asks for runs
            that touch or overlap.

    Returns:
        Counts of closures per utterance; they are not those of `bilabial_closures`.

    Raises:
        InputError: If shapes do not fit, `tolerance_frames` is below 0 or a counted opening is not
            finite.
    """
    if tolerance_frames < 0:
        raise InputError(f"`tolerance_frames` must be at least 0, got {tolerance_frames}")
    first, second, counts = _finite_curves(predicted_mm, target_mm, lengths)
    table = np.zeros((len(first), 3), dtype=np.int64)
    for row, count in enumerate(counts):
        ours = runs(first[row, :count] < closed_mm)
        truth = runs(second[row, :count] < closed_mm)
        hits = _matches(ours, truth, tolerance_frames)
        table[row] = (hits, len(ours) - hits, len(truth) - hits)
    return ClosureCounts(*table.T)


def _finite_curves(
    predicted_mm: npt.ArrayLike, target_mm: npt.ArrayLike, lengths: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], IntArray]:
    """Return two curves as (B, T), finite where they count, and the counts."""
    first, second, counts = paired_curves(predicted_mm, target_mm, lengths)
    outside = np.arange(first.shape[1]) >= counts[:, None]  # (B, T)
    for name, curve in (("predicted_mm", first), ("target_mm", second)):
        if not np.all(np.isfinite(curve) | outside):
            raise InputError(f"`{name}` must be finite, got nan or infinity")
    return first, second, counts


def _check_intervals(intervals: Sequence[npt.ArrayLike], n_utterances: int) -> None:
    if len(intervals) != n_utterances:
        rule = f"one array per utterance ({n_utterances})"
        raise InputError(f"`intervals` must hold {rule}, got {len(intervals)}")


def _frames_of(
    times_s: npt.ArrayLike, n_frames: int, row: int, *, margin_s: float = _MARGIN_S
) -> list[tuple[int, int]]:
    """Return the frames, first and one past the last, in and around each interval."""
    times = np.asarray(times_s, dtype=np.float64)
    if not times.size:
        return []
    if times.ndim != 2 or times.shape[1] != 2:
        raise InputError(f"`intervals[{row}]` must have shape (n, 2), got {times.shape}")
    duration_s = n_frames / FRAME_RATE_HZ
    if not np.all((times[:, 0] >= 0) & (times[:, 0] < times[:, 1]) & (times[:, 0] < duration_s)):
        rule = f"start in [0, {duration_s:.2f}) s and end after they start"
        raise InputError(f"`intervals[{row}]` must {rule}, got {times.tolist()}")
    # Rounded, for 0.1 * 30 is 3.0000000000000004 and would lose the frame it names.
    begin = np.ceil(np.round((times[:, 0] - margin_s) * FRAME_RATE_HZ, 6)).clip(0, n_frames - 1)
    end = np.floor(np.round((times[:, 1] + margin_s) * FRAME_RATE_HZ, 6)).clip(0, n_frames - 1)
    return [(int(b), int(e) + 1) for b, e in zip(begin, end, strict=True)]


def runs(closed: BoolArray) -> IntArray:
    """Return the first and one past the last frame of each run of True, shape (n, 2)."""
    steps = np.flatnonzero(np.diff(closed, prepend=False, append=False))
    return steps.reshape(-1, 2).astype(np.int64)


def _matches(ours: IntArray, truth: IntArray, tolerance: int) -> int:
    """Return the size of a one-to-one matching of runs, both lists in order of time."""
    hits = i = j = 0
    while i < len(ours) and j < len(truth):
        if ours[i, 1] + tolerance < truth[j, 0]:
            i += 1
        elif truth[j, 1] + tolerance < ours[i, 0]:
            j += 1
        else:
            hits, i, j = hits + 1, i + 1, j + 1
    return hits


def _share(part: IntArray, whole: IntArray) -> npt.NDArray[np.float64]:
    """Return `part / whole`, nan where `whole` is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
