"""Clock of a take's motion against its sound: where it starts, and how long its seconds are.

A table of curves starts at the first sample of the sound, at the first picture, or at the time of
day; its frames are counted as 60 a second where 59.94 pass. Sound and motion of a take check one
another, and what they cannot decide is left as the file states it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.corpus.motion.track import COUNTED_HZ, FARTHEST_START_S
from esarm_env.formats.timecodes import NTSC

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

FRAME_S = 1 / FRAME_RATE_HZ
END_TOLERANCE_S = 3 * FRAME_S  # by which motion and audio of one take may end apart
# By which two readings of a take must differ to be told apart: three quarters of a frame.
_TOLD_S = 0.75 * FRAME_S
_FINE_HZ = 48.0  # from which a take ends within that of its last frame
_TIE_S = 1e-3
_ROUNDING_HZ = 5e-3  # of 29.97 and the like
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


class Counted(NamedTuple):
    """Take whose frames count a rate.

    Attributes:
        nominal_hz: Frames a second; None if unknown.
        labelled: Whether its file says so; else all that say nothing have one rate.
        motion_s: When its motion ends by that, from its start in the sound.
        audio_s: When its sound ends.
    """

    nominal_hz: float | None
    labelled: bool
    motion_s: float
    audio_s: float


@dataclass(frozen=True)
class Readings:
    """Whether frames that are counted last as long as they say, or 1.001 times that, by the sound.

    Attributes:
        slow: Rates, and whether labelled, whose frames last longer.
        unsure: Those of which the sound does not tell, and how far in seconds most takes end
            beside it, as counted and if slow.
    """

    slow: frozenset[tuple[float, bool]]
    unsure: dict[tuple[float, bool], tuple[float, float]]

    @classmethod
    def of(cls, takes: Iterable[Counted]) -> Readings:
        """Decide for all takes together that count alike.

        Takes decide in which the readings are a frame at 30 fps apart: most of these must end
        within half a frame of their sound if slow, and more than a frame beside it if not (a last
        frame that was left out is no clock). Of frames half as long, three quarters of a frame are
        enough for takes that fit twice as well.
        """
        all_takes = list(takes)
        coarse, fine = _misfits(all_takes, FRAME_S), _misfits(all_takes, _TOLD_S)
        slow = {
            key
            for key, (counted_s, slow_s) in coarse.items()
            if counted_s > FRAME_S + _TIE_S and slow_s <= FRAME_S / 2
        } | {
            key
            for key, (counted_s, slow_s) in fine.items()
            if key[0] >= _FINE_HZ and counted_s >= _TOLD_S and slow_s <= FRAME_S / 4
        }
        unsure = {
            key: (counted_s, slow_s)
            for key, (counted_s, slow_s) in fine.items()
            if key not in slow
            and counted_s >= _TOLD_S
            and slow_s <= min(FRAME_S, counted_s - FRAME_S / 2)
        }
        return cls(frozenset(slow), unsure)

    def is_slow(self, nominal_hz: float | None, *, labelled: bool) -> bool:
        """Return whether frames that count this last 1.001 times as long."""
        return (nominal_hz, labelled) in self.slow

    def note(self, nominal_hz: float | None, labelled: bool, *, rate_hz: float) -> str:
        """Return what was decided about a rate, or could not be; empty if it is as counted.

        Args:
            nominal_hz: What frames count a second.
            labelled: Whether their file says so.
            rate_hz: At which they are read.
        """
        if nominal_hz is None:
            return ""
        whole, slow = f"{nominal_hz:g}", f"{round(nominal_hz / NTSC, 3):g}"
        if self.is_slow(nominal_hz, labelled=labelled):
            return (
                f"frames counted {whole} a second read at {nominal_hz / NTSC:.2f} fps, as long as "
                f"the sound; if {whole} is right, state `--rate {whole}`, or a column `rate` in "
                "metadata.csv"
            )
        if (nominal_hz, labelled) not in self.unsure:
            return ""
        counted_s, slow_s = self.unsure[nominal_hz, labelled]
        return (
            f"read at {rate_hz:.5g} fps, which its sound does not settle: most takes end "
            f"{counted_s:.3f} s beside it at {whole} fps, {slow_s:.3f} s at {slow} fps; state "
            f"`--rate {whole}` or `--rate {slow}`, or a column `rate` in metadata.csv"
        )


def whole_rate(rate_hz: float | None) -> float | None:
    """Return the rate that a frame rate counts, itself or 1.001 times; None for other rates."""
    whole = float(round(rate_hz or 0))
    if rate_hz is None or whole not in COUNTED_HZ:
        return None
    is_near = min(abs(rate_hz - whole), abs(rate_hz - whole / NTSC)) < _ROUNDING_HZ
    return whole if is_near else None


def _misfits(
    takes: Iterable[Counted], least_s: float
) -> dict[tuple[float, bool], tuple[float, float]]:
    """Return by how much most takes end beside their sound: as counted, and if slow.

    Of takes in which the two readings are `least_s` apart or more. The middle of amounts and not
    of differences: sound that is longer by as much in long takes and short ones is no clock.
    """
    groups: defaultdict[tuple[float, bool], list[tuple[float, float]]] = defaultdict(list)
    for nominal_hz, labelled, motion_s, audio_s in takes:
        if nominal_hz is not None and motion_s * (NTSC - 1) >= least_s:
            pair = (abs(audio_s - motion_s), abs(audio_s - NTSC * motion_s))
            groups[nominal_hz, labelled].append(pair)
    found = {}
    for key, pairs in groups.items():
        counted_s, slow_s = np.median(pairs, axis=0).tolist()
        found[key] = (counted_s, slow_s)
    return found
