"""Moments of the strips: evenly spaced frames, and those at which the lips shut and open widest.

They are chosen from one curve, the opening of the recorded mouth, and hold for every row: a method
cannot look good by frames of its own. Without recorded motion, phones tell when lips
should be shut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio.encoders.phone_classes import BILABIALS
from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.metrics.closure import CLOSED_MM, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.audio.encoders.phone_spans import PhoneSpan
    from esarm_env.core.types import DoubleArray

EVEN, SHUT, OPEN = "even", "shut", "open"
TO_SHUT = "should be shut"  # by the phones: nobody saw the lips
COLUMNS = 10
_LEAST_APART = 2  # frames between two columns: neighbours look the same


@dataclass(frozen=True, order=True)
class Moment:
    """One column: its frame, and why it was chosen: one of the four names above."""

    frame: int
    why: str


def choose_moments(
    n_frames: int,
    *,
    opening_mm: DoubleArray | None = None,
    phones: Sequence[PhoneSpan] = (),
    columns: int = COLUMNS,
) -> list[Moment]:
    """Return the columns of the strips, ascending.

    Up to half of them are closures, from the longest on, and widest openings, by turns; the others
    are spaced evenly. All are two frames apart at least; an even one that is nearer to what was
    chosen moves to the middle of the widest gap. An utterance of fewer frames has them all.

    Args:
        n_frames: Of the utterance.
        opening_mm: Of the recorded mouth, shape (n_frames,); None or nan where it is not known.
        phones: Of the utterance; p, b and m tell closures where the opening is not known.
        columns: How many, at least 2.

    Raises:
        InputError: If `columns` is below 2.
    """
    if columns < 2:
        raise InputError(f"`columns` must be at least 2, got {columns}")
    chosen: list[Moment] = []
    for event in _events(n_frames, opening_mm, phones):
        if len(chosen) < columns // 2 and _is_apart(event.frame, chosen):
            chosen.append(event)
    n_even = columns - len(chosen)
    for frame in np.round((np.arange(n_even) + 0.5) * n_frames / n_even - 0.5).astype(int).tolist():
        if _is_apart(frame, chosen):
            chosen.append(Moment(frame, EVEN))
    while len(chosen) < min(columns, n_frames):
        chosen.append(Moment(_middle_of_widest_gap(sorted(chosen), n_frames), EVEN))
    return sorted(chosen)


def _is_apart(frame: int, chosen: Sequence[Moment]) -> bool:
    return all(abs(frame - other.frame) >= _LEAST_APART for other in chosen)


def _middle_of_widest_gap(chosen: Sequence[Moment], n_frames: int) -> int:
    """Return a frame as far as can be from all that are chosen; of several the first."""
    frames = np.arange(n_frames)
    taken = np.array([moment.frame for moment in chosen])
    return int(np.abs(frames[:, None] - taken).min(axis=1).argmax())


def _events(
    n_frames: int, opening_mm: DoubleArray | None, phones: Sequence[PhoneSpan]
) -> list[Moment]:
    """Return closures and openings by turns, the most telling first."""
    if opening_mm is None or not np.isfinite(opening_mm).all():
        middles = [
            round((span.start_s + span.end_s) / 2 * FRAME_RATE_HZ)
            for span in phones
            if span.label in BILABIALS
        ]
        return [Moment(frame, TO_SHUT) for frame in middles if frame < n_frames]
    shut, wide = _closures(opening_mm), _openings(opening_mm)
    turns = [
        moment
        for k in range(max(len(shut), len(wide)))
        for moment in (*shut[k : k + 1], *wide[k : k + 1])
    ]
    return turns


def _closures(opening_mm: DoubleArray) -> list[Moment]:
    """Return the tightest frame of each closure between openings, the longest closure first."""
    inner = [
        (int(a), int(b))
        for a, b in runs(opening_mm < CLOSED_MM)
        if a > 0 and b < len(opening_mm)  # the lips that are shut before and after are no closure
    ]
    inner.sort(key=lambda run: (run[0] - run[1], run[0]))
    return [Moment(a + int(opening_mm[a:b].argmin()), SHUT) for a, b in inner]


def _openings(opening_mm: DoubleArray) -> list[Moment]:
    """Return the widest frame of each opening, the widest first."""
    peaks = [a + int(opening_mm[a:b].argmax()) for a, b in runs(opening_mm >= CLOSED_MM).tolist()]
    peaks.sort(key=lambda frame: (-opening_mm[frame], frame))
    return [Moment(frame, OPEN) for frame in peaks]
