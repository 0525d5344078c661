"""`add_liveliness`: blinks, gaze and rest movement over decoded motion.

Eyes rest on a listener with small movements, jump to somewhere else and back in saccades, both
eyes together (Lee, Badler and Badler 2002, "Eyes Alive": 94 frames on the listener and 28 away at
30 fps, 6.9 degrees a jump). Brows and lids drift by a tenth of a millimetre. No channel that moves
the lips is touched. What the motion does itself is left alone, unless its own blinks are taken
away first: there is neither blink nor gaze of ours near its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ
from esarm_env.face.names import index_of
from esarm_env.liveliness.blinks import (
    BLINK_CHANNELS,
    WIDE_EYES,
    BlinkHabit,
    check_motion,
    draw_blinks,
    ease,
    find_blinks,
    lids_of,
    without_blinks,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.liveliness.blinks import Array

# Around a blink of the motion's own it blinks by itself: intervals are rarely longer.
OWN_BLINK_REACH_S = 6.0
# Whoever talks longer without a blink stares, so it is drawn anew until there is one.
STARE_S = 3.0
_WHOLE_S = 0.35  # before the end, or the eyes are shut when it comes
_TRIES = 1000  # of that; every second one succeeds at the usual rate

_AT_LISTENER_S, _AWAY_S = 94 / 30, 28 / 30
_FIXATION_S = (0.3, 0.8)  # each place looked at while away
_SMALL_STEPS_S = (0.4, 1.6)  # between small movements on the listener
_SMALL_STEP = 0.02  # deviation, of 1: below one degree
_AWAY_STEP, _AWAY_LIMITS = 6.9 / 40, (0.06, 0.35)  # 40 degrees per unit of `eyeLook`
_VERTICAL_SHARE = 0.6
_SACCADE_S = 0.06
_OWN_SACCADE = 0.03  # change from frame to frame that is a saccade of the motion's own
_OWN_GAZE_REACH_S, _FADE_S = 3.0, 0.5

# Deviation of the slow drift, of 1: 0.1 mm at the brows, and nothing at the lips.
_DRIFT = (
    (("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), 0.02),
    (("browDownLeft", "browDownRight"), 0.015),
    (("eyeSquintLeft", "eyeSquintRight"), 0.012),
)
_DRIFT_S = 0.4
# Channels of each eye for a turn to the speaker's left and up, and for the opposite.
_YAW = (("eyeLookOutLeft", "eyeLookInLeft"), ("eyeLookInRight", "eyeLookOutRight"))
_PITCH = (("eyeLookUpLeft", "eyeLookDownLeft"), ("eyeLookUpRight", "eyeLookDownRight"))


def add_liveliness(
    motion: npt.ArrayLike,
    *,
    seed: int = 0,
    habit: BlinkHabit | None = None,
    blinks: bool = True,
    gaze: bool = True,
    rest: bool = True,
    own_blinks: bool = True,
) -> FloatArray:
    """Return motion with blinks, eye movements and a face that never quite rests.

    For whole recordings of any length, after decoding; a piece of one gets others. The evaluation
    of policies does not use it.

    Args:
        motion: Coefficients (T, 52) at 30 fps; not written into.
        seed: The same seed gives the same motion; at least 0.
        habit: How to blink, for instance `BlinkHabit.fit` of a speaker's recordings; by default as
            people who talk.
        blinks: Whether to add blinks where the motion has none within 6 s.
        gaze: Whether to move the eyes where they do not move within 3 s.
        rest: Whether brows and lids drift.
        own_blinks: Whether the motion's own blinks stay, as they should in recordings. A policy
            foresees none: it blinks where its training recordings did, half or too often, so that
            `False` takes them away, see `without_blinks`.

    Returns:
        Shape (T, 52), float32, in [0, 1]; the mouth's channels as they were.

    Raises:
        InputError: If the motion does not fit or is not finite, or the seed is below 0.
    """
    alive = check_motion(motion).copy() if own_blinks else without_blinks(motion)
    own = find_blinks(alive)
    if seed < 0:
        raise InputError(f"`seed` must be at least 0, got {seed}")
    # A generator each: the gaze is the same with and without blinks.
    for_blinks, for_gaze, for_rest = np.random.default_rng(seed).spawn(3)
    if rest:
        _drift(alive, for_rest)
    if gaze:
        _look_around(alive, for_gaze)
    if blinks:
        _blink(alive, own, habit or BlinkHabit(), for_blinks)
    return alive


def _blink(motion: FloatArray, own: IntArray, habit: BlinkHabit, rng: np.random.Generator) -> None:
    """Add blinks in place, out of reach of the motion's own."""
    n_frames = len(motion)
    duration_s = n_frames / FRAME_RATE_HZ
    begins_s, ends_s = own.T / FRAME_RATE_HZ - np.array([[1], [-1]]) * OWN_BLINK_REACH_S
    for _ in range(_TRIES):
        drawn = draw_blinks(duration_s, habit, rng)
        inside = (drawn[:, None] > begins_s) & (drawn[:, None] < ends_s)  # (n, own blinks)
        moments_s = drawn[~inside.any(axis=1) & (drawn < duration_s - _WHOLE_S)]
        if len(moments_s) or len(own) or duration_s <= STARE_S:
            break
    lids = lids_of(n_frames, moments_s, habit, rng)
    for channel in BLINK_CHANNELS:
        motion[:, channel] = np.maximum(motion[:, channel], lids)
    motion[:, WIDE_EYES] *= (1 - 0.8 * lids)[:, None]  # closing lids override wide eyes


def _look_around(motion: FloatArray, rng: np.random.Generator) -> None:
    """Turn both eyes in place, where the motion does not move them itself."""
    starts_s, places = _fixations(len(motion) / FRAME_RATE_HZ, rng)
    time_s = np.arange(len(motion)) / FRAME_RATE_HZ
    place = np.searchsorted(starts_s, time_s, side="right") - 1  # the first begins at 0
    before = places[np.maximum(place - 1, 0)]
    jumped = ease((time_s - starts_s[place]) / _SACCADE_S)[:, None]
    turns = before + jumped * (places[place] - before)  # (T, 2)
    turns *= _still_eyes(motion)[:, None]
    for pairs, turn in ((_YAW, turns[:, 0]), (_PITCH, turns[:, 1])):
        for one, other in pairs:
            _turn(motion, index_of(one), index_of(other), turn.astype(np.float32))


def _turn(motion: FloatArray, one: int, other: int, turn: FloatArray) -> None:
    """Add a signed turn to a pair of opposite channels in place: it cancels what opposes it."""
    both = np.minimum(motion[:, one], motion[:, other])
    towards = motion[:, one] - motion[:, other] + turn
    motion[:, one] = np.clip(both + np.maximum(towards, 0), 0, 1)
    motion[:, other] = np.clip(both + np.maximum(-towards, 0), 0, 1)


def _still_eyes(motion: FloatArray) -> Array:
    """Return 1 where the motion's own eyes are still, 0 near its saccades, with a soft edge."""
    channels = [index_of(name) for pair in (*_YAW, *_PITCH) for name in pair]
    steps = np.abs(np.diff(motion[:, channels], axis=0, prepend=motion[:1, channels])).max(axis=1)
    moments = np.flatnonzero(steps > _OWN_SACCADE)
    frames = np.arange(len(motion))
    if not len(moments):
        return np.ones(len(motion))
    after = np.searchsorted(moments, frames).clip(0, len(moments) - 1)
    before = np.maximum(after - 1, 0)
    apart = np.minimum(np.abs(frames - moments[after]), np.abs(frames - moments[before]))
    return ease((apart / FRAME_RATE_HZ - _OWN_GAZE_REACH_S) / _FADE_S)


def _fixations(duration_s: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw where the eyes rest: from when, (n,), and the turn to the left and up, (n, 2)."""
    starts_s: list[float] = []
    places: list[Array] = []
    # Phases of exponential length have no memory: a recording may begin anywhere in one.
    now_s, away = 0.0, bool(rng.uniform() < _AWAY_S / (_AT_LISTENER_S + _AWAY_S))
    while now_s < duration_s:
        end_s = now_s + rng.exponential(_AWAY_S if away else _AT_LISTENER_S)
        while now_s < end_s:
            starts_s.append(now_s)
            places.append(_somewhere(rng) if away else rng.normal(0, _SMALL_STEP, 2))
            now_s += rng.uniform(*(_FIXATION_S if away else _SMALL_STEPS_S))
        now_s, away = end_s, not away
    return np.array(starts_s), np.array(places)


def _somewhere(rng: np.random.Generator) -> Array:
    """Return a place away from the listener."""
    size = np.clip(rng.exponential(_AWAY_STEP), *_AWAY_LIMITS)
    angle = rng.uniform(0, 2 * np.pi)
    return np.asarray(size * np.array([np.cos(angle), _VERTICAL_SHARE * np.sin(angle)]))


def _drift(motion: FloatArray, rng: np.random.Generator) -> None:
    """Add a slow random movement to brows and lids in place, both sides alike."""
    sigma = _DRIFT_S * FRAME_RATE_HZ
    window = np.arange(-round(3 * sigma), round(3 * sigma) + 1)
    kernel = np.exp(-0.5 * (window / sigma) ** 2)
    kernel /= np.sqrt(np.square(kernel).sum())  # of deviation 1
    for names, size in _DRIFT:
        noise = rng.standard_normal(len(motion) + len(window) - 1)
        drift = (size * np.convolve(noise, kernel, mode="valid")).astype(np.float32)
        for channel in map(index_of, names):
            motion[:, channel] = np.clip(motion[:, channel] + drift, 0, 1)
