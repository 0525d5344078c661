"""Validation of motion: coefficients in [0, 1], and gaps where the tracker lost the face.

Short gaps are filled, long ones are refused.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.track import MotionTrack, regular_times
from esarm_env.face.names import ARKIT_NAMES

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, DoubleArray, FloatArray

# Smoothing and solving overshoot [0, 1] by some hundredths. Beyond a tenth it is another scale,
# another rig, or damage, and clipping would flatten speech without a word.
TOLERANCE = 0.1
# Rounding; not worth a note.
_SILENT = 1e-4
PERCENT = 100.0
_LEAST_PERCENT = 10.0  # some channel of speech reaches a tenth
_TOLD_CHANNELS, _TOLD_FRAMES = 6, 4
# Linear interpolation may bridge a vowel; over a syllable (0.2 to 0.3 s) it would erase speech.
LONGEST_GAP_S = 0.25
_TOLD = 5


def check_values(track: MotionTrack, source: str | Path) -> tuple[list[str], FloatArray]:
    """Validate coefficients; return notes, and the coefficients clipped to [0, 1].

    Args:
        track: Its gaps filled (`fill_gaps`).
        source: The file, for messages and notes.

    Returns:
        A line for each thing that was changed, and the values, shape (T, 52), float32.

    Raises:
        InputError: If there is NaN or infinity, coefficients are in percent, or any is more than
            `TOLERANCE` outside [0, 1]; the message names channels and frames.
    """
    values = track.values
    bad = ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{source}: coefficients must be finite, got NaN or infinite ones in {_where(bad)}; "
            "export it again"
        )
    if _is_percent(values):
        raise InputError(
            f"{source}: coefficients must be in [0, 1], got percent (up to {values.max():g}); "
            f"divide by {PERCENT:g}"
        )
    far = (values < -TOLERANCE) | (values > 1 + TOLERANCE)
    if far.any():
        got = f"{values.min():g} to {values.max():g} in {_where(far)}"
        raise InputError(
            f"{source}: coefficients must be within {TOLERANCE:g} of [0, 1], got {got}; "
            "is this another rig?"
        )
    outside = (values < -_SILENT) | (values > 1 + _SILENT)
    notes = []
    if outside.any():
        got = f"{values.min():.3f} to {values.max():.3f}"
        notes.append(f"{source}: clipped to [0, 1] from {got} in {_where(outside)}")
    return notes, np.clip(values, 0.0, 1.0)


def _is_percent(values: FloatArray) -> bool:
    """Return whether values are percentages: most channels that move go far beyond 1."""
    peaks = values.max(axis=0)
    if not _LEAST_PERCENT <= peaks.max() <= (1 + TOLERANCE) * PERCENT:
        return False
    if values.min() < -TOLERANCE * PERCENT:
        return False
    moving = peaks > TOLERANCE
    return bool((peaks > 1 + TOLERANCE).sum() > moving.sum() / 2)


def _where(marked: BoolArray) -> str:
    """Format marked values of shape (T, 52) as `jawOpen (frames 3-5, 9), ...`."""
    channels = np.flatnonzero(marked.any(axis=0))
    told = [
        f"{ARKIT_NAMES[channel]} ({_runs(np.flatnonzero(marked[:, channel]).tolist())})"
        for channel in channels[:_TOLD_CHANNELS]
    ]
    if len(channels) > _TOLD_CHANNELS:
        told.append(f"{len(channels) - _TOLD_CHANNELS} more channels")
    return ", ".join(told)


def _runs(frames: list[int]) -> str:
    """Format ascending frame numbers as `frames 3-5, 9`."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    told = [f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:_TOLD_FRAMES]]
    more = ", ..." if len(runs) > _TOLD_FRAMES else ""
    return f"frame{'s' if len(frames) > 1 else ''} {', '.join(told)}{more}"


def fill_gaps(
    track: MotionTrack,
    source: str | Path,
    *,
    longest_s: float = LONGEST_GAP_S,
    rate_hz: float | None = None,
) -> MotionTrack:
    """Fill lost frames by linear interpolation, at the ends by the nearest frame.

    Filled frames have quality 0 and finite values, which nothing else has.

    Args:
        track: As read; a frame is lost if no captured channel has a number. Numbers missing in
            some channels only are left to `check_values`.
        source: The file, for messages.
        longest_s: Longest time from one frame with a face to the next, or to either end, be it
            that frames are lost or that the file has none.
        rate_hz: Frame rate of a track that does not know its times; not used otherwise.

    Raises:
        InputError: If a gap is longer (all are told), or there is no face at all.
    """
    lost = track.lost
    time_s = track.time_s
    if time_s is None and not lost.any():
        return track
    if time_s is None:
        if rate_hz is None:
            raise InputError(
                f"{source}: states no frame rate, which filling lost frames needs; "
                "add times or a rate to the file"
            )
        time_s = regular_times(len(track.values), rate_hz)
    _check_gaps(source, time_s, lost, longest_s=longest_s)
    if not lost.any():
        return track
    values = track.values.copy()
    for channel in np.flatnonzero(track.captured):
        curve = values[:, channel]
        curve[lost] = np.interp(time_s[lost], time_s[~lost], curve[~lost])
    quality = np.ones(len(values), np.float32) if track.quality is None else track.quality
    return dataclasses.replace(
        track, values=values, quality=np.where(lost, 0.0, quality).astype(np.float32)
    )


def _check_gaps(
    source: str | Path, time_s: DoubleArray, lost: BoolArray, *, longest_s: float
) -> None:
    """Raise an error if the face is lost for longer than `longest_s`."""
    if lost.all():
        raise InputError(f"{source}: must show a face, got none in {len(lost)} frames")
    start_s = min(0.0, time_s[0])  # a face that appears late was lost before
    seen_s = np.concatenate([[start_s], time_s[~lost], time_s[-1:]])
    gaps = np.flatnonzero(np.diff(seen_s) > longest_s)
    if len(gaps):
        told = ", ".join(f"{seen_s[i]:.2f} to {seen_s[i + 1]:.2f} s" for i in gaps[:_TOLD])
        more = f" and {len(gaps) - _TOLD} more" if len(gaps) > _TOLD else ""
        raise InputError(
            f"{source}: must show a face at least every {longest_s:g} s, "
            f"got none from {told}{more}; cut the take there"
        )
