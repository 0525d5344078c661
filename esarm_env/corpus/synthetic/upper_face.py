"""Emotion and upper face: action units over time, brows on accents, blinks and gaze.

Blinks and gaze follow from neither the sounds nor the emotion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray
from esarm_env.corpus.synthetic import rules
from esarm_env.corpus.synthetic.curves import Prosody, ease, smooth
from esarm_env.corpus.synthetic.mouth import channels_of
from esarm_env.face.names import ARKIT_NAMES, index_of

if TYPE_CHECKING:
    from esarm_env.corpus.synthetic.speakers import SpeakerStyle

_SIDES = ("Left", "Right")


def emotional_face(
    emotion: str,
    strength: float,
    *,
    prosody: Prosody,
    speech_s: tuple[float, float],
    style: SpeakerStyle,
) -> FloatArray:
    """Return the emotion's action units over time, shape (T, 52).

    Onset, apex and offset around the speech, the apex swelling with loudness and pitch.

    Args:
        emotion: Key of `rules.EMOTION_FACE`.
        strength: 1 is full intensity.
        prosody: Of the utterance, T frames.
        speech_s: Start and end of the speech.
        style: Of the speaker.
    """
    apex = np.zeros(N_CHANNELS)
    units = rules.EMOTION_FACE[emotion]
    for unit, habit in zip(units, style.habits[emotion], strict=True):
        apex[channels_of(unit.channel.replace("Near", style.near_side))] = unit.size * habit
    time_s = np.arange(len(prosody.loudness)) / FRAME_RATE_HZ
    rise = ease((time_s - speech_s[0] + rules.EMOTION_ONSET_S / 2) / rules.EMOTION_ONSET_S)
    fall = ease((speech_s[1] + rules.EMOTION_OFFSET_S - time_s) / rules.EMOTION_OFFSET_S)
    level = rules.EMOTION_REST_LEVEL + (1 - rules.EMOTION_REST_LEVEL) * rise * fall
    loudness, accent = (
        smooth(curve, rules.EMOTION_SWELL_FRAMES) for curve in (prosody.loudness, prosody.accent)
    )
    swell = rules.EMOTION_LOUDNESS_GAIN * (loudness - rules.EMOTION_LOUDNESS_MIDDLE)
    swell = swell + rules.EMOTION_PITCH_GAIN * accent * np.clip(loudness, 0, 1)
    level = level * np.maximum(1 + swell, 0)
    size = strength * style.expressiveness
    face: FloatArray = (level[:, None] * apex * size).astype(np.float32)
    return face


def prosodic_face(prosody: Prosody, style: SpeakerStyle, rng: np.random.Generator) -> FloatArray:
    """Return brows that rise with pitch accents and cheeks that follow loudness, shape (T, 52)."""
    n_frames = len(prosody.accent)
    accent = np.clip(_without_declination(prosody) / rules.ACCENT_FULL_SEMITONES, 0, 1.5)
    accent = _as_performed(accent * np.clip(prosody.loudness / 0.4, 0, 1), rng)
    where = np.arange(n_frames)
    accent = np.interp(where + rules.ACCENT_LEAD_S * FRAME_RATE_HZ, where, accent)
    accent = accent + _lone_raises(n_frames, rng)
    motion = np.zeros((n_frames, N_CHANNELS), np.float32)
    for name, value in rules.PROSODY_FACE.items():
        motion[:, channels_of(name)] += (value * style.brow_gain * accent)[:, None]
    for name, value in rules.LOUDNESS_FACE.items():
        motion[:, channels_of(name)] += (value * smooth(prosody.loudness, 2.0))[:, None]
    return smooth(motion, 1.0)


def resting_face(style: SpeakerStyle) -> FloatArray:
    """Return the speaker's neutral pose, shape (52,)."""
    rest = np.zeros(N_CHANNELS, np.float32)
    for name, value in zip(rules.SPEAKER_NEUTRAL, style.neutral, strict=True):
        rest[channels_of(name)] = value
    rest[channels_of("mouthSmile")] = style.smile_bias
    return rest


def asymmetry_gain(style: SpeakerStyle) -> FloatArray:
    """Return the left-right asymmetry gain of each channel, shape (52,)."""
    gain = np.ones(N_CHANNELS, np.float32)
    for name in ARKIT_NAMES:
        if name.endswith(_SIDES) and not name.startswith("eyeLook"):
            sign = 1 if name.endswith("Left") else -1
            gain[index_of(name)] += sign * style.asymmetry
    return gain


def _as_performed(
    accent: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Scale each accent (a stretch above 0) at random, and drop a few."""
    edges = np.diff(np.concatenate([[False], accent > 0]).astype(np.int8)) > 0
    number = np.cumsum(edges)  # of the accent a frame belongs to, counted from 1
    gain = rng.uniform(*rules.ACCENT_GAIN, number[-1] + 1)
    missed = rng.uniform(size=len(gain)) < rules.ACCENT_MISSED
    gain[missed] *= rules.ACCENT_MISSED_GAIN
    return np.asarray(accent * gain[number])


def _lone_raises(n_frames: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return brow raises without an accent, shape (T,), in units of a full accent."""
    duration_s = n_frames / FRAME_RATE_HZ
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    raises = np.zeros(n_frames)
    for start_s in rng.uniform(0, duration_s, rng.poisson(rules.LONE_RAISE_RATE_HZ * duration_s)):
        falls_s = start_s + rules.LONE_RAISE_UP_S + rules.LONE_RAISE_HOLD_S
        shape = ease((time_s - start_s) / rules.LONE_RAISE_UP_S)
        shape = shape * ease(1 - (time_s - falls_s) / rules.LONE_RAISE_DOWN_S)
        raises = np.maximum(raises, shape * rng.uniform(*rules.LONE_RAISE_SIZE))
    return raises


def _without_declination(prosody: Prosody) -> npt.NDArray[np.float64]:
    """Remove the pitch's linear declination, or only the first accent would raise a brow."""
    where = np.arange(len(prosody.accent), dtype=np.float64)
    if len(where) < 2:
        return np.zeros(len(where))
    slope, level = np.polyfit(where, prosody.accent, 1, w=prosody.loudness + 1e-3)
    return np.asarray(prosody.accent - slope * where - level)


def blinks(
    n_frames: int, *, phrase_ends_s: list[float], style: SpeakerStyle, rng: np.random.Generator
) -> FloatArray:
    """Return lid closure, shape (T,): at random, and now and then where a phrase ends."""
    duration_s = n_frames / FRAME_RATE_HZ
    rate_hz = rules.BLINK_RATE_HZ * style.blink_gain
    # Begun before the first frame, or no utterance would start in the middle of a blink.
    spontaneous = rng.uniform(-0.3, duration_s, rng.poisson(rate_hz * (duration_s + 0.3)))
    at_ends = [
        end_s + rng.uniform(-0.05, 0.12)
        for end_s in phrase_ends_s
        if rng.uniform() < rules.BLINK_AT_PHRASE_END * style.blink_gain
    ]
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    lids = np.zeros(n_frames)
    last_s = -np.inf
    for start_s in sorted([*spontaneous, *at_ends]):
        if start_s - last_s < rules.BLINK_SHORTEST_GAP_S:
            continue
        last_s = start_s
        shut_s = start_s + rules.BLINK_CLOSING_S
        opens_s = shut_s + rules.BLINK_CLOSED_S
        shape = ease((time_s - start_s) / rules.BLINK_CLOSING_S)
        shape = shape * ease(1 - (time_s - opens_s) / rules.BLINK_OPENING_S)
        lids = np.maximum(lids, shape * rng.uniform(*rules.BLINK_DEPTH))
    return lids.astype(np.float32)


def close_lids(motion: FloatArray, lids: FloatArray) -> None:
    """Apply blinks in place: closing lids override wide and squinting eyes."""
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        motion[:, index_of(name)] += lids
    for name in ("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"):
        motion[:, index_of(name)] *= 1 - 0.8 * lids


def gaze(n_frames: int, rng: np.random.Generator) -> FloatArray:
    """Return gaze at the listener and away, joined by saccades, as `eyeLook` channels (T, 52)."""
    starts_s, targets = _fixations(n_frames / FRAME_RATE_HZ, rng)
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    steps = ease((time_s[:, None] - starts_s[1:]) / rules.GAZE_SACCADE_S)  # (T, fixations - 1)
    yaw, pitch = (targets[0] + steps @ np.diff(targets, axis=0)).T
    motion = np.zeros((n_frames, N_CHANNELS), np.float32)
    # To the speaker's left, the left eye turns outwards and the right one inwards.
    for name, value in (
        ("eyeLookOutLeft", yaw),
        ("eyeLookInRight", yaw),
        ("eyeLookInLeft", -yaw),
        ("eyeLookOutRight", -yaw),
        ("eyeLookUp", pitch),
        ("eyeLookDown", -pitch),
    ):
        motion[:, channels_of(name)] = np.maximum(value, 0)[:, None]
    return motion


def _fixations(
    duration_s: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Draw gaze fixations: start times (n,) and directions (n, 2), to the left and up."""
    at_listener_s, away_s = rules.GAZE_AT_LISTENER_S, rules.GAZE_AWAY_S
    starts_s: list[float] = []
    targets: list[npt.NDArray[np.float64]] = []
    # Phases of exponential length have no memory: the clip may begin anywhere in one.
    now_s, away = 0.0, bool(rng.uniform() < away_s / (at_listener_s + away_s))
    while now_s < duration_s:
        end_s = now_s + rng.exponential(away_s if away else at_listener_s)
        while now_s < end_s:
            starts_s.append(now_s)
            targets.append(_away(rng) if away else rng.normal(0, rules.GAZE_AT_LISTENER_STD, 2))
            now_s += rng.uniform(*rules.GAZE_AWAY_FIXATION_S) if away else end_s - now_s
        now_s, away = end_s, not away
    return np.array(starts_s), np.array(targets)


def _away(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    size = np.clip(rng.exponential(rules.GAZE_AWAY_SIZE), *rules.GAZE_SIZE_LIMITS)
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(angle), rules.GAZE_UP_DOWN_SHARE * np.sin(angle)])
    away: npt.NDArray[np.float64] = direction * size
    return away
