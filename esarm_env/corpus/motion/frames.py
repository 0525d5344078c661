"""Frames that cost themselves: rows that cannot be read, repeated times, steps back in time.

What every reader of motion leaves out by the same rules and tells in notes, so that one line of a
recording of an hour does not cost the hour. A row whose time is known stays as a lost frame, which
`fill_gaps` bridges or refuses.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion.stamps import Stamps
from esarm_env.corpus.motion.track import (
    Extent,
    MotionTrack,
    check_times,
    regular_times,
    track_of_table,
)
from esarm_env.formats.files import MOST_WRONG, check_wrong
from esarm_env.formats.spellings import TIME_NAMES, keys_called

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, DoubleArray


@dataclass(frozen=True)
class KeptFrames:
    """Which frames of a file are used, and why others are not.

    Attributes:
        mask: Shape (T,), bool.
        notes: A line for each kind of frame that was left out.
    """

    mask: BoolArray
    notes: tuple[str, ...]


def track_of_frames(
    source: str | Path,
    names: Sequence[str],
    table: DoubleArray,
    *,
    stamps: Stamps | None = None,
    claimed_hz: float | None = None,
    quality: DoubleArray | None = None,
    wrong: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> MotionTrack:
    """Build a track from the frames of a file, without those that cannot be used.

    Args:
        source: The file, for messages.
        names: One per column, in any spelling.
        table: Shape (T, n); NaN in rows that cannot be read.
        stamps: The times of the frames; None where the file does not tell but in a column of
            `table`.
        claimed_hz: The frame rate that the file states.
        quality: Shape (T,), or None.
        wrong: What the rows have that cannot be read.
        notes: What was left out so far.

    Raises:
        InputError: If too many frames cannot be used, or as `track_of_table` and `check_times`.
    """
    notes = (*notes, *check_wrong(source, wrong, n_frames=len(table)))
    timed = keys_called(names, TIME_NAMES)
    if stamps is None and len(timed) == 1:
        place = list(names).index(timed[0])
        stamps = Stamps.called(timed[0], np.asarray(table[:, place], dtype=np.float64))
        names, table = [*names[:place], *names[place + 1 :]], np.delete(table, place, axis=1)
    known = None if quality is None else quality.astype(np.float32)
    if stamps is None:
        time_s = None if claimed_hz is None else regular_times(len(table), claimed_hz)
        return track_of_table(source, names, table, time_s=time_s, quality=known, notes=notes)
    kept = kept_frames(source, stamps.values)
    times, told = stamps.seconds(source, kept.mask, claimed_hz=claimed_hz)
    return track_of_table(
        source,
        names,
        table[kept.mask],
        time_s=check_times(source, times, claimed_hz=claimed_hz),
        quality=None if known is None else known[kept.mask],
        notes=(*notes, *kept.notes, *told),
    )


def extent_of_frames(
    source: str | Path,
    n_frames: int,
    *,
    stamps: Stamps | None,
    claimed_hz: float | None = None,
) -> Extent:
    """Return the extent that `track_of_frames` will give the same frames.

    Raises:
        InputError: If too many times cannot be used, or they have no plausible unit.
    """
    if stamps is None:
        if claimed_hz is None:
            return Extent(n_frames, None)
        times = regular_times(n_frames, claimed_hz)
    else:
        mask = kept_frames(source, stamps.values).mask
        times, _ = stamps.seconds(source, mask, claimed_hz=claimed_hz)
    return Extent.of_times(len(times), float(times[0]), float(times[-1]))


def kept_frames(source: str | Path, times: DoubleArray) -> KeptFrames:
    """Tell the frames whose times ascend; of frames with one time, the first is kept.

    Args:
        source: The file, for the message.
        times: Shape (T,), in the order of the file; NaN where a row has none.

    Raises:
        InputError: If more than `MOST_WRONG` of the frames have no time or one that steps back.
    """
    known = np.isfinite(times)
    _check_few(source, "be finite", times, ~known)
    mask = known.copy()
    seconds = times[known]
    mask[known] = np.concatenate([np.ones(min(1, len(seconds)), bool), seconds[1:] != seconds[:-1]])
    n_repeated = int(known.sum() - mask.sum())
    places = np.flatnonzero(mask)
    rising = _rising(times[places])
    back = np.zeros_like(mask)
    back[places[~rising]] = True
    _check_few(source, "ascend", times, back)
    mask &= ~back
    counts = (
        (n_repeated, "for a repeated time"),
        (int((~known).sum()), "without a time"),
        (int(back.sum()), "for a step back in time"),
    )
    notes = [f"frames left out {what}: {count}" for count, what in counts if count]
    return KeptFrames(mask, tuple(notes))


def _check_few(source: str | Path, rule: str, times: DoubleArray, wrong: BoolArray) -> None:
    """Raise an error if too many times are wrong to leave them out."""
    count = int(wrong.sum())
    if count > max(1, MOST_WRONG * len(times)) or 2 * count >= len(times) > 0:
        frame = int(np.argmax(wrong))
        raise InputError(f"{source}: times must {rule}, got {times[frame]} at frame {frame}")


def _rising(times: DoubleArray) -> BoolArray:
    """Mark a longest series of ascending times: one that jumps ahead costs none of the others."""
    if (times[1:] > times[:-1]).all():
        return np.ones(len(times), dtype=np.bool_)
    ends: list[float] = []  # the lowest end of a series of each length
    places: list[int] = []  # and where it stands
    before = np.full(len(times), -1)
    for place, time in enumerate(times.tolist()):
        length = bisect.bisect_left(ends, time)
        ends[length : length + 1], places[length : length + 1] = [time], [place]
        before[place] = places[length - 1] if length else -1
    mask = np.zeros(len(times), dtype=np.bool_)
    place = places[-1]
    while place >= 0:
        mask[place] = True
        place = int(before[place])
    return mask
