"""The face that feels: emotion, prosody-driven brows, blinks and gaze; not the sounds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.corpus.synthetic import rules
from esarm_env.corpus.synthetic.mouth import channels_of
from esarm_env.corpus.synthetic.prosody import Prosody, smooth
from esarm_env.corpus.synthetic.speakers import SpeakerStyle
from esarm_env.face.names import ARKIT_NAMES, index_of
from esarm_env.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray

_SIDES = ("Left", "Right")


def emotional_face(
    emotion: str,
    intensity: int,
    *,
    prosody: Prosody,
    speech_s: tuple[float, float],
    style: SpeakerStyle,
) -> FloatArray:
    """Return the emotion's action units over time, shape (T, 52).

    Onset, apex and offset around the speech, the apex swelling with loudness.

    Args:
        emotion: Key of `rules.EMOTION_FACE`.
        intensity: 1 to 3.
        prosody: Of the utterance, T frames.
        speech_s: Start and end of the speech.
        style: Of the speaker.
    """
    apex = np.zeros(N_CHANNELS)
    for name, value in rules.EMOTION_FACE[emotion].items():
        apex[channels_of(name.replace("Near", style.near_side))] = value
    time_s = np.arange(len(prosody.loudness)) / FRAME_RATE_HZ
    rise = _ease((time_s - speech_s[0] + rules.EMOTION_ONSET_S / 2) / rules.EMOTION_ONSET_S)
    fall = _ease((speech_s[1] + rules.EMOTION_OFFSET_S - time_s) / rules.EMOTION_OFFSET_S)
    level = rules.EMOTION_REST_LEVEL + (1 - rules.EMOTION_REST_LEVEL) * rise * fall
    slow_loudness = smooth(prosody.loudness, 4.0)
    level = level * (1 + rules.EMOTION_ENERGY_GAIN * (slow_loudness - 0.6))
    gain = rules.INTENSITY_GAIN[intensity] * style.expressiveness
    return (level[:, None] * apex * gain).astype(np.float32)


def prosodic_face(prosody: Prosody, style: SpeakerStyle) -> FloatArray:
    """Return brows that rise with pitch accents and cheeks that follow loudness, shape (T, 52)."""
    motion = np.zeros((len(prosody.accent), N_CHANNELS), np.float32)
    accent = np.clip(_without_declination(prosody) / rules.ACCENT_FULL_SEMITONES, 0, 1.5)
    accent = np.interp(
        np.arange(len(accent)) + rules.ACCENT_LEAD_S * FRAME_RATE_HZ,
        np.arange(len(accent)),
        accent * np.clip(prosody.loudness / 0.4, 0, 1),
    )
    for name, value in rules.PROSODY_FACE.items():
        motion[:, channels_of(name)] += (value * style.brow_gain * accent)[:, None]
    for name, value in rules.LOUDNESS_FACE.items():
        motion[:, channels_of(name)] += (value * smooth(prosody.loudness, 2.0))[:, None]
    return smooth(motion, 1.0)


def resting_face(style: SpeakerStyle) -> FloatArray:
    """Return the face the speaker falls back to, shape (52,)."""
    rest = np.zeros(N_CHANNELS, np.float32)
    for name, value in zip(rules.SPEAKER_NEUTRAL, style.neutral, strict=True):
        rest[channels_of(name)] = value
    rest[channels_of("mouthSmile")] = style.smile_bias
    return rest


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
        shape = _ease((time_s - start_s) / rules.BLINK_CLOSING_S)
        shape = shape * _ease(1 - (time_s - opens_s) / rules.BLINK_OPENING_S)
        lids = np.maximum(lids, shape * rng.uniform(*rules.BLINK_DEPTH))
    return lids.astype(np.float32)


def gaze(n_frames: int, rng: np.random.Generator) -> FloatArray:
    """Return small fixations joined by saccades, as `eyeLook` channels, shape (T, 52)."""
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    n_fixations = int(n_frames / FRAME_RATE_HZ / rules.GAZE_FIXATION_S[0]) + 2
    starts_s = np.cumsum(rng.uniform(*rules.GAZE_FIXATION_S, n_fixations)) - 1.0
    targets = rng.normal(0, rules.GAZE_STD, (n_fixations + 1, 2)) * (1.0, 0.6)
    steps = _ease((time_s[:, None] - starts_s) / rules.GAZE_SACCADE_S)  # (T, fixations)
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


def asymmetry_gain(style: SpeakerStyle) -> FloatArray:
    """Return a factor for each channel, shape (52,): one side stronger, the other weaker."""
    gain = np.ones(N_CHANNELS, np.float32)
    for name in ARKIT_NAMES:
        if name.endswith(_SIDES) and not name.startswith("eyeLook"):
            sign = 1 if name.endswith("Left") else -1
            gain[index_of(name)] += sign * style.asymmetry
    return gain


def _without_declination(prosody: Prosody) -> npt.NDArray[np.float64]:
    """Return the pitch above its own falling line, or only the first accent would raise a brow."""
    where = np.arange(len(prosody.accent), dtype=np.float64)
    if len(where) < 2:
        return np.zeros(len(where))
    slope, level = np.polyfit(where, prosody.accent, 1, w=prosody.loudness + 1e-3)
    return np.asarray(prosody.accent - slope * where - level)


def _ease(phase: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Go from 0 to 1 over `phase` 0..1 like half a cosine."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(phase, 0, 1)))
