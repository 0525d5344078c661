"""`face_motion`: the rule model, from phonemes, prosody, emotion and speaker to 52 curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray
from esarm_env.corpus.synthetic import mouth, rules, upper_face
from esarm_env.corpus.synthetic.curves import Prosody, measure_prosody, smooth
from esarm_env.face.names import ARKIT_NAMES, index_of

if TYPE_CHECKING:
    from esarm_env.corpus.synthetic.espeak import Phoneme
    from esarm_env.corpus.synthetic.speakers import SpeakerStyle

_PAUSE_S = 0.12  # a shorter one ends no phrase
_JAW = index_of("jawOpen")
_SPEAKING = np.array([name.startswith(("mouth", "jaw")) for name in ARKIT_NAMES])
_NOISE_MARGIN = 8  # frames of noise beyond the last one, so that its smoothing has no edge there


def face_motion(
    audio: FloatArray,
    phonemes: Sequence[Phoneme],
    *,
    emotion: str,
    strength: float,
    style: SpeakerStyle,
    rng: np.random.Generator,
) -> FloatArray:
    """Generate the face motion of one utterance.

    Args:
        audio: Shape (n_samples,), 16 kHz; its loudness and pitch drive jaw and brows.
        phonemes: With times in `audio`; pauses are those with an empty name.
        emotion: Key of `rules.EMOTION_FACE`.
        strength: Of the emotion, 1 for full intensity; of no effect when neutral.
        style: Of the speaker.
        rng: For brows, blinks, gaze and noise.

    Returns:
        Shape (T, 52), float32 in [0, 1], 30 fps, T = n_frames_of(len(audio)).
    """
    prosody = measure_prosody(audio)
    n_frames = len(prosody.loudness)
    spoken = [phoneme for phoneme in phonemes if phoneme.ipa]
    speech_s = (spoken[0].start_s, spoken[-1].end_s)

    effort = 1 + (rules.EMOTION_ARTICULATION.get(emotion, 1.0) - 1) * strength
    speech = _speech(phonemes, prosody, effort=effort, style=style)
    emotional = upper_face.emotional_face(
        emotion, strength, prosody=prosody, speech_s=speech_s, style=style
    )
    motion = speech + _attenuate_lips(speech, emotional)
    motion += upper_face.prosodic_face(prosody, style, rng) + upper_face.resting_face(style)
    motion = _with_noise(motion * upper_face.asymmetry_gain(style), rng)
    motion += style.lip_gain * mouth.contact_face(phonemes, n_frames)
    motion = _below_one(motion + upper_face.gaze(n_frames, rng))
    mouth.shut_lips(motion, mouth.lip_closure(phonemes, n_frames))
    lids = upper_face.blinks(n_frames, phrase_ends_s=_phrase_ends_s(phonemes), style=style, rng=rng)
    upper_face.close_lids(motion, lids)
    return np.clip(motion, 0, 1).astype(np.float32)


def _speech(
    phonemes: Sequence[Phoneme], prosody: Prosody, *, effort: float, style: SpeakerStyle
) -> FloatArray:
    """Return the speech motion (T, 52), scaled by the speaker's style and the loudness."""
    loudness = prosody.loudness
    speech = mouth.speaking_mouth(mouth.segments_of(phonemes), len(loudness), effort=effort)
    speech *= style.lip_gain
    loud = 1 - rules.LOUDNESS_JAW_GAIN + rules.LOUDNESS_JAW_GAIN * loudness
    speech[:, _JAW] *= loud * style.jaw_gain / style.lip_gain
    swell = smooth(loudness, rules.SLOW_LIPS_LOUDNESS_FRAMES) / rules.SLOW_LIPS_LOUDNESS_FULL
    speech[:, mouth.SLOW_LIPS] *= (swell**rules.SLOW_LIPS_LOUDNESS_POWER)[:, None]
    swing = rules.SPEAKER_JAW_SWING * abs(style.asymmetry)
    speech[:, index_of(f"jaw{style.near_side}")] = swing * speech[:, _JAW]
    return speech


def _attenuate_lips(speech: FloatArray, emotional: FloatArray) -> FloatArray:
    """Attenuate the lip channels of `emotional` where sounds need the lips (rounding)."""
    rounding = speech[:, index_of("mouthPucker")] + speech[:, index_of("mouthFunnel")]
    room = 1 - 0.6 * np.clip(rounding, 0, 1)
    corners = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("mouthS", "mouthD"))]
    emotional[:, corners] *= room[:, None]
    return emotional


def _with_noise(motion: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add noise in proportion to each channel: slow drift and jitter."""
    sigma = rules.NOISE_TIME_S * FRAME_RATE_HZ
    n_frames = len(motion)
    white = rng.standard_normal((n_frames + _NOISE_MARGIN, N_CHANNELS)).astype(np.float32)
    # Smoothing divides the spread by sqrt(2 sqrt(pi) sigma).
    drift = smooth(white, sigma)[:n_frames] * np.sqrt(2 * np.sqrt(np.pi) * sigma)
    jitter = rng.standard_normal((n_frames, int(_SPEAKING.sum()))).astype(np.float32)
    floor = np.zeros(N_CHANNELS, np.float32)
    for prefix, value in rules.NOISE_FLOOR.items():
        floor[[name.startswith(prefix) for name in ARKIT_NAMES]] = value
    noisy = motion * (1 + rules.NOISE_SHARE * drift) + floor * drift
    noisy[:, _SPEAKING] *= 1 + rules.CAPTURE_JITTER_SHARE * jitter
    return np.asarray(noisy, dtype=np.float32)


def _below_one(motion: FloatArray) -> FloatArray:
    """Soft-clip values above about 0.7 towards 1; a hard limit would leave corners."""
    above = np.maximum(motion, 0)
    return np.asarray(above / (1 + above**4) ** 0.25, dtype=np.float32)


def _phrase_ends_s(phonemes: Sequence[Phoneme]) -> list[float]:
    return [p.start_s for p in phonemes if not p.ipa and p.end_s - p.start_s >= _PAUSE_S]
