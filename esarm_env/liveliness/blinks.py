"""Blinks: found in motion, taken away, their habit fitted from recordings, and drawn anew.

A blink is a short closing of both lids. Intervals between blinks are about log-normal, people who
speak blink 15 to 20 times a minute and more (Bentivoglio et al. 1997), and lids close faster than
they open (VanderWerf et al. 2003).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray, IntArray
from esarm_env.face.names import index_of

BLINK_CHANNELS = [index_of("eyeBlinkLeft"), index_of("eyeBlinkRight")]
# Closing lids override wide eyes and squints.
WIDE_EYES = [
    index_of(f"eye{action}{side}") for action in ("Wide", "Squint") for side in ("Left", "Right")
]
# Of the closing that counts as a blink, above the lids' level around it: narrowed eyes are none.
CLOSED = 0.3
_LEVEL_S = 0.5  # on each side, within which the lids' level is their widest opening there
LONGEST_BLINK_S = 0.6  # whose lids are down longer has shut the eyes
_SEEN = 0.05  # of a closing that is taken away, which wide eyes come back from
_LONGEST_GAP_S = 20.0  # the tail of a log-normal distribution has no end
_ENOUGH_GAPS = 20  # to tell their spread
_LEAD_GAPS = 8  # drawn before the first frame: a recording begins anywhere between two blinks

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BlinkHabit:
    """How often and how somebody blinks; `fit` reads it from recordings.

    Attributes:
        per_minute: Blinks a minute, above 0.
        gap_spread: Standard deviation of the logarithm of what the intervals between blinks have
            beyond the shortest.
        shortest_gap_s: From one blink's beginning to the next one's.
        closing_s: The lids' way down.
        closed_s: Down.
        opening_s: The way up.
        length_spread: Standard deviation of the logarithm of a blink's length.
        depth: Least and largest closing at the lowest point, of 1.
    """

    per_minute: float = 17.0
    gap_spread: float = 0.6
    shortest_gap_s: float = 0.6
    closing_s: float = 0.08
    closed_s: float = 0.05
    opening_s: float = 0.16
    length_spread: float = 0.12
    depth: tuple[float, float] = (0.85, 1.0)

    def __post_init__(self) -> None:
        """Refuse what nobody's lids can do."""
        for name in ("per_minute", "shortest_gap_s", "closing_s", "opening_s"):
            value = getattr(self, name)
            if not 0 < value < np.inf:
                raise InputError(f"`{name}` must be above 0 and finite, got {value}")
        for name in ("gap_spread", "closed_s", "length_spread"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise InputError(f"`{name}` must be at least 0 and finite, got {value}")
        if not self.per_minute * self.shortest_gap_s < 45:
            raise InputError(
                "`per_minute` must leave room for gaps of `shortest_gap_s`, got "
                f"{self.per_minute} and {self.shortest_gap_s}"
            )
        low, high = self.depth
        if not 0 < low <= high <= 1:
            raise InputError(f"`depth` must be two ascending numbers in (0, 1], got {self.depth}")

    @staticmethod
    def fit(motions: Iterable[npt.ArrayLike]) -> BlinkHabit:
        """Return the habit of recordings: those of one speaker or one emotion give theirs.

        Rate, lengths and depths are measured. So is the spread of the intervals where at least 20
        of them lie within recordings of 20 s and more (short ones hold only short intervals).

        Args:
            motions: Coefficients (T_i, 52) at 30 fps.

        Raises:
            InputError: If a motion does not fit, or none blinks (the lids were not captured).
        """
        n_frames, n_blinks = 0, 0
        lengths_s: list[float] = []
        depths: list[float] = []
        gaps_s: list[float] = []
        for motion in motions:
            lids, found = _lids(motion), find_blinks(motion)
            begun = found[found[:, 0] > 0]  # one that is under way at the start began before
            n_frames, n_blinks = n_frames + len(lids), n_blinks + len(begun)
            if len(lids) >= _LONGEST_GAP_S * FRAME_RATE_HZ:
                gaps_s += (np.diff(found[:, 0]) / FRAME_RATE_HZ).tolist()
            for begin, end in begun[begun[:, 1] < len(lids)].tolist():
                lengths_s.append((end - begin) / FRAME_RATE_HZ)
                depths.append(min(float(lids[begin:end].max()), 1.0))
        if not lengths_s:
            raise InputError("`motions` must hold blinks to learn from, got none")
        usual = BlinkHabit()
        stretch = float(np.mean(lengths_s)) / _seconds_above(CLOSED, usual)
        low, high = np.percentile(depths, [5, 95]).tolist()
        return dataclasses.replace(
            usual,
            per_minute=60 * n_blinks * FRAME_RATE_HZ / n_frames,
            gap_spread=_gap_spread(gaps_s, usual),
            closing_s=usual.closing_s * stretch,
            closed_s=usual.closed_s * stretch,
            opening_s=usual.opening_s * stretch,
            depth=(low, high),
        )


def find_blinks(motion: npt.ArrayLike) -> IntArray:
    """Return the blinks of motion (T, 52): first frame, and the one past the last, shape (n, 2).

    Both lids together (their mean) are more than `CLOSED` below their level of half a second
    around, for at most 0.6 s: narrowed and closed eyes do not blink.

    Raises:
        InputError: If the motion does not fit.
    """
    lids = _lids(motion)
    reach = round(_LEVEL_S * FRAME_RATE_HZ)
    # Outside a recording eyes count as open, so that a blink that either end cuts is one.
    lowest = np.lib.stride_tricks.sliding_window_view(np.pad(lids, reach), reach + 1).min(axis=1)
    # Open both before and after: the edges of eyes that stay shut are no blinks.
    level = np.maximum(lowest[: len(lids)], lowest[reach:])
    low = np.concatenate([[False], lids - level > CLOSED, [False]])
    edges = np.flatnonzero(np.diff(low.astype(np.int8)))
    found = edges.reshape(-1, 2).astype(np.int64)
    return found[found[:, 1] - found[:, 0] <= LONGEST_BLINK_S * FRAME_RATE_HZ]


def without_blinks(motion: npt.ArrayLike) -> FloatArray:
    """Return motion (T, 52) whose lids no longer close for a moment; not written into.

    Each lid falls to the highest level that it keeps up for more than 0.6 s: blinks go, whole ones
    and half ones, and narrowed or closed eyes stay. Wide eyes and squints come back from where the
    lids overrode them; the gaze stays.

    Raises:
        InputError: If the motion does not fit.
    """
    open_eyed = check_motion(motion).copy()
    before = open_eyed[:, BLINK_CHANNELS]
    level = _lasting(before)
    open_eyed[:, BLINK_CHANNELS] = level
    blinked = np.max(before - level, axis=1) > _SEEN
    lasting = -_lasting(-open_eyed[:, WIDE_EYES])
    open_eyed[np.ix_(blinked, WIDE_EYES)] = lasting[blinked]
    return open_eyed


def _lasting(curves: FloatArray) -> FloatArray:
    """Return curves (T, n) without what rises for 0.6 s or less (a morphological opening)."""
    width = min(round(LONGEST_BLINK_S * FRAME_RATE_HZ) + 1, len(curves))
    view = np.lib.stride_tricks.sliding_window_view
    lowest = view(curves, width, axis=0).min(axis=-1)
    # Windows lie within the recording: what is up at its first frame alone does not last.
    around = np.pad(lowest, ((width - 1, width - 1), (0, 0)), constant_values=-np.inf)
    return np.asarray(view(around, width, axis=0).max(axis=-1), dtype=np.float32)


def draw_blinks(duration_s: float, habit: BlinkHabit, rng: np.random.Generator) -> Array:
    """Return the moments at which blinks begin within `duration_s`, ascending, in seconds."""
    # A log-normal gap whose mean is what is left of the mean interval after the shortest one.
    mean_s = 60 / habit.per_minute - habit.shortest_gap_s
    middle = np.log(mean_s) - habit.gap_spread**2 / 2
    moments: list[float] = []
    now_s = -_LEAD_GAPS * 60 / habit.per_minute * rng.uniform(0.5, 1.5)
    while True:
        gap_s = habit.shortest_gap_s + rng.lognormal(middle, habit.gap_spread)
        now_s += min(gap_s, _LONGEST_GAP_S)
        if now_s >= duration_s:
            return np.array(moments)
        if now_s >= 0:
            moments.append(now_s)


def lids_of(
    n_frames: int, moments_s: Array, habit: BlinkHabit, rng: np.random.Generator
) -> FloatArray:
    """Return the closing of the lids, shape (n_frames,), of blinks that begin at `moments_s`."""
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    lids = np.zeros(n_frames)
    for moment_s in moments_s:
        pace = 1 / np.exp(rng.normal(0, habit.length_spread))
        shape = _blink((time_s - moment_s) * pace, habit) * rng.uniform(*habit.depth)
        lids = np.maximum(lids, shape)
    return lids.astype(np.float32)


def _blink(time_s: Array, habit: BlinkHabit) -> Array:
    """Return one blink of full depth that begins at 0 s."""
    opens_s = habit.closing_s + habit.closed_s
    return ease(time_s / habit.closing_s) * ease(1 - (time_s - opens_s) / habit.opening_s)


def ease(way: Array) -> Array:
    """Return a movement from 0 to 1 that starts and ends at rest."""
    along = np.clip(way, 0, 1)
    return np.asarray(along * along * (3 - 2 * along))


def _gap_spread(gaps_s: list[float], usual: BlinkHabit) -> float:
    """Return the spread of intervals, of `usual` where few are known."""
    if len(gaps_s) < _ENOUGH_GAPS:
        return usual.gap_spread
    beyond = np.maximum(np.array(gaps_s) - usual.shortest_gap_s, 1 / FRAME_RATE_HZ)
    return float(np.std(np.log(beyond)))


def _seconds_above(level: float, habit: BlinkHabit) -> float:
    """Return for how long a blink of middling depth is further down than `level`."""
    time_s = np.arange(0, 1, 0.001)
    return float(np.sum(_blink(time_s, habit) * np.mean(habit.depth) > level) * 0.001)


def _lids(motion: npt.ArrayLike) -> Array:
    """Return the mean closing of both lids, shape (T,), of checked motion (T, 52)."""
    return np.asarray(check_motion(motion)[:, BLINK_CHANNELS].mean(axis=1, dtype=np.float64))


def check_motion(motion: npt.ArrayLike) -> FloatArray:
    """Return motion (T, 52) as float32, checked."""
    given = np.asarray(motion)
    if given.ndim != 2 or given.shape[1] != N_CHANNELS or not len(given):
        rule = f"shape (T, {N_CHANNELS}) with T at least 1"
        raise InputError(f"`motion` must have {rule}, got {given.shape}")
    checked = given.astype(np.float32)
    if not np.all(np.isfinite(checked)):
        raise InputError("`motion` must be finite, got nan or infinity")
    return checked
