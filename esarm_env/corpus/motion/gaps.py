"""Where a tracker lost the face for a moment: filled if short, refused if long."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from esarm_env.corpus.motion.timing import DoubleArray, regular_times
from esarm_env.corpus.motion.track import MotionTrack
from esarm_env.errors import InputError
from esarm_env.types import BoolArray

# A straight line is no worse than a guess for a vowel, and wrong for a syllable (0.2 to 0.3 s).
LONGEST_GAP_S = 0.25
_TOLD = 5


def fill_gaps(
    track: MotionTrack,
    source: str | Path,
    *,
    longest_s: float = LONGEST_GAP_S,
    rate_hz: float | None = None,
) -> MotionTrack:
    """Return the track with lost frames filled: linearly, at the ends with the nearest frame.

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
            raise InputError(f"{source}: must tell its frame rate to fill lost frames, got none")
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
    """Refuse a track without a face for longer than `longest_s`."""
    if lost.all():
        raise InputError(f"{source}: must show a face, got none in {len(lost)} frames")
    start_s = min(0.0, time_s[0])  # a face that comes late was lost before
    seen_s = np.concatenate([[start_s], time_s[~lost], time_s[-1:]])
    gaps = np.flatnonzero(np.diff(seen_s) > longest_s)
    if len(gaps):
        told = ", ".join(f"{seen_s[i]:.2f} to {seen_s[i + 1]:.2f} s" for i in gaps[:_TOLD])
        more = f" and {len(gaps) - _TOLD} more" if len(gaps) > _TOLD else ""
        raise InputError(
            f"{source}: must show a face at least every {longest_s:g} s, "
            f"got none from {told}{more}; cut the take there"
        )
