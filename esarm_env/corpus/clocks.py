"""Clock of a take's motion against its sound: where it starts, and how long its seconds are.

A table of curves starts at the first sample of the sound, at the first picture, or at the time of
day; its frames are counted as 60 a second where 59.94 pass. Sound and motion of a take check one
another, and what they cannot decide is left as the file states it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.corpus.motion.track import FARTHEST_START_S
from esarm_env.formats.timecodes import NTSC

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

FRAME_S = 1 / FRAME_RATE_HZ
END_TOLERANCE_S = 3 * FRAME_S  # by which motion and audio of one take may end apart
# Of a rate that a user states, within which it is that of the labels and not of the frames.
_SAME_RATE = 0.02


@dataclass(frozen=True)
class Clock:
    """How a file's times become times of its take's sound.

    Attributes:
        stretch: Factor of its times.
        shift_s: What is taken off afterwards.
        notes: Why, one line each.
    """

    stretch: float = 1.0
    shift_s: float = 0.0
    notes: tuple[str, ...] = ()

    def times(self, time_s: DoubleArray) -> DoubleArray:
        """Return times of a file as times of the sound; those of an idle clock unchanged."""
        if self.stretch == 1.0 and self.shift_s == 0.0:
            return time_s
        return time_s * self.stretch - self.shift_s


def settle_start(
    start_s: float, *, motion_s: float, audio_s: float, late_s: float
) -> tuple[float, tuple[str, ...]]:
    """Return what to take off a motion's times so that they count from the sound, and why.

    Args:
        start_s: Time of its first frame.
        motion_s: How long it lasts.
        audio_s: How long the sound lasts.
        late_s: How much later than the picture the sound of a video starts; 0 for other sound.
    """
    if start_s >= FARTHEST_START_S:
        ends_with_it = abs(start_s + motion_s - audio_s) <= END_TOLERANCE_S
        return (0.0, ()) if ends_with_it else (start_s, ())
    # Our captures count from the sound; what starts with the picture has its clock.
    if abs(late_s) >= FRAME_S / 2 and abs(start_s) < FRAME_S / 2:
        order = "after" if late_s > 0 else "before"
        told = f"moved by {late_s:.2f} s: the video's sound starts {abs(late_s):.2f} s {order} it"
        return late_s, (f"motion {told}",)
    return 0.0, ()


def stated_stretch(rate_hz: float, *, stated_hz: float, nominal_hz: float | None) -> float:
    """Return the factor of times that makes a file's frames come at the rate that a user states.

    Args:
        rate_hz: As the user states it: of the frames, or of the labels that count them.
        stated_hz: Of the frames by the file's times.
        nominal_hz: What its labels count, if that is known.
    """
    counted = [each for each in (nominal_hz, stated_hz) if each]
    near = [each for each in counted if abs(each / rate_hz - 1) < _SAME_RATE]
    return (near[0] if near else stated_hz) / rate_hz


def slow_rates(takes: Iterable[tuple[float | None, float, float]]) -> set[float]:
    """Return the whole rates whose labels last 1.001 s a second by the sound of the takes.

    Takes decide in which that makes a frame at 30 fps, for all that count alike: most of these must
    end within half a frame of their sound if counted so, and a frame or more before it if not.

    Args:
        takes: Of each what its labels count (None if unknown), when its motion ends by them, and
            how long its sound lasts.
    """
    groups: defaultdict[float, list[tuple[float, float]]] = defaultdict(list)
    for nominal_hz, motion_s, audio_s in takes:
        if nominal_hz is not None and motion_s * (NTSC - 1) >= FRAME_S:
            groups[nominal_hz].append((audio_s - motion_s, audio_s - NTSC * motion_s))
    slow = set()
    for nominal_hz, pairs in groups.items():
        as_counted, if_slow = np.abs(np.median(pairs, axis=0))
        if as_counted >= FRAME_S and if_slow <= FRAME_S / 2:
            slow.add(nominal_hz)
    return slow
