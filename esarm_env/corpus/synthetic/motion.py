"""From sounds, prosody, emotion and speaker to 52 curves: the whole rule model in one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from esarm_env.corpus.synthetic import expression, mouth, rules
from esarm_env.corpus.synthetic.espeak import Phoneme
from esarm_env.corpus.synthetic.prosody import measure_prosody, smooth
from esarm_env.corpus.synthetic.speakers import SpeakerStyle
from esarm_env.face.names import ARKIT_NAMES, index_of
from esarm_env.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray

_PAUSE_S = 0.12  # a shorter one ends no phrase
_JAW = index_of("jawOpen")


def face_motion(
    audio: FloatArray,
    phonemes: Sequence[Phoneme],
    *,
    emotion: str,
    intensity: int,
    style: SpeakerStyle,
    rng: np.random.Generator,
) -> FloatArray:
    """Move the face of one utterance.

    Args:
        audio: Shape (n_samples,), 16 kHz; its loudness and pitch drive jaw and brows.
        phonemes: With times in `audio`; pauses are those with an empty name.
        emotion: Key of `rules.EMOTION_FACE`.
        intensity: 1 to 3; of no effect when neutral.
        style: Of the speaker.
        rng: For blinks, gaze and noise.

    Returns:
        Shape (T, 52), float32 in [0, 1], 30 fps, T = n_frames_of(len(audio)).
    """
    prosody = measure_prosody(audio)
    n_frames = len(prosody.loudness)
    spoken = [phoneme for phoneme in phonemes if phoneme.ipa]
    speech_s = (spoken[0].start_s, spoken[-1].end_s)

    speech = _speech(phonemes, n_frames, effort=_effort(emotion, intensity))
    loud = 1 - rules.LOUDNESS_JAW_GAIN + rules.LOUDNESS_JAW_GAIN * prosody.loudness
    speech *= style.lip_gain
    speech[:, _JAW] *= loud * style.jaw_gain / style.lip_gain
    swing = rules.SPEAKER_JAW_SWING * abs(style.asymmetry)
    speech[:, index_of(f"jaw{style.near_side}")] = swing * speech[:, _JAW]
    emotional = expression.emotional_face(
        emotion, intensity, prosody=prosody, speech_s=speech_s, style=style
    )
    motion = speech + _yield_to(speech, emotional)
    motion += expression.prosodic_face(prosody, style) + expression.resting_face(style)
    motion = _with_noise(motion * expression.asymmetry_gain(style), rng)
    motion = _below_one(motion + expression.gaze(n_frames, rng))
    mouth.shut_lips(motion, mouth.lip_closure(phonemes, n_frames))
    lids = expression.blinks(n_frames, phrase_ends_s=_phrase_ends_s(phonemes), style=style, rng=rng)
    _close_lids(motion, lids)
    return np.clip(motion, 0, 1).astype(np.float32)


def _speech(phonemes: Sequence[Phoneme], n_frames: int, *, effort: float) -> FloatArray:
    return mouth.speaking_mouth(mouth.segments_of(phonemes), n_frames, effort=effort)


def _effort(emotion: str, intensity: int) -> float:
    """Return how much wider or narrower the mouth moves than in neutral speech."""
    full = rules.EMOTION_ARTICULATION.get(emotion, 1.0)
    return 1 + (full - 1) * rules.INTENSITY_GAIN[intensity]


def _yield_to(speech: FloatArray, emotional: FloatArray) -> FloatArray:
    """Return `emotional` with its lips giving way where sounds need them (rounding)."""
    rounding = speech[:, index_of("mouthPucker")] + speech[:, index_of("mouthFunnel")]
    room = 1 - 0.6 * np.clip(rounding, 0, 1)
    corners = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("mouthS", "mouthD"))]
    emotional[:, corners] *= room[:, None]
    return emotional


def _with_noise(motion: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add what nobody can predict: slow, smooth, in proportion to the channel (and a floor)."""
    sigma = rules.NOISE_TIME_S * FRAME_RATE_HZ
    white = rng.standard_normal((len(motion) + 8, N_CHANNELS)).astype(np.float32)
    # Smoothing divides the spread by sqrt(2 sqrt(pi) sigma).
    noise = smooth(white, sigma)[: len(motion)] * np.sqrt(2 * np.sqrt(np.pi) * sigma)
    floor = np.zeros(N_CHANNELS, np.float32)
    for prefix, value in rules.NOISE_FLOOR.items():
        floor[[name.startswith(prefix) for name in ARKIT_NAMES]] = value
    return np.asarray(motion * (1 + rules.NOISE_SHARE * noise) + floor * noise, dtype=np.float32)


def _below_one(motion: FloatArray) -> FloatArray:
    """Bend values above about 0.7 so that they approach 1; a hard limit would leave corners."""
    above = np.maximum(motion, 0)
    return np.asarray(above / (1 + above**4) ** 0.25, dtype=np.float32)


def _phrase_ends_s(phonemes: Sequence[Phoneme]) -> list[float]:
    return [p.start_s for p in phonemes if not p.ipa and p.end_s - p.start_s >= _PAUSE_S]


def _close_lids(motion: FloatArray, lids: FloatArray) -> None:
    """Blink in place: closing lids override wide and squinting eyes."""
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        motion[:, index_of(name)] += lids
    for name in ("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"):
        motion[:, index_of(name)] *= 1 - 0.8 * lids
