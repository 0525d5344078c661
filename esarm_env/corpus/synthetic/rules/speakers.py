"""Speaker and voice tables: ranges of speaker styles, emotions in the voice, room noise.

Speakers differ: every range is drawn from once per speaker, evenly. The ranges are chosen by eye
and ear, so that speakers differ as colleagues do. `RULES_VERSION` is part of the key of every
cached corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Raise it with every change to these tables or to the modules that read them, or corpora made
# before are served from the cache.
RULES_VERSION = 4


# espeak-ng variants with ordinary, distinguishable timbres; taken in turn.
VOICES = (
    *("m3", "f2", "m1", "f4", "m7", "f3", "m2", "f5", "m6", "f1", "m4", "Annie", "adam"),
    *("linda", "Michael", "steph", "benjamin", "belinda", "m8", "Alicia", "caleb", "Andrea"),
    *("Alex", "anika"),
)
SPEAKER_RATE_WPM = (126, 150)
SPEAKER_PITCH = (42, 58)
SPEAKER_RANGE = (42, 62)
SPEAKER_LEVEL_DB = (-26.0, -22.0)  # long-term level of the neutral voice below full scale
SPEAKER_JAW_GAIN = (0.88, 1.14)
SPEAKER_LIP_GAIN = (0.88, 1.12)
SPEAKER_BROW_GAIN = (0.75, 1.25)
SPEAKER_EXPRESSIVENESS = (0.88, 1.12)
SPEAKER_ASYMMETRY = (-0.08, 0.08)
RIGHT_SIDED_EVERY = 5  # one speaker in five sneers on the right, the others on the left
SPEAKER_JAW_SWING = 0.8  # sideways jaw per jawOpen and asymmetry, to the near side
SPEAKER_SMILE_BIAS = (0.0, 0.03)
SPEAKER_BLINK_GAIN = (0.7, 1.3)
# Resting face of a speaker: up to this much of each.
SPEAKER_NEUTRAL: Mapping[str, float] = {
    "browDown": 0.05,
    "browInnerUp": 0.04,
    "eyeSquint": 0.05,
    "mouthFrown": 0.03,
    "mouthShrugLower": 0.03,
}


@dataclass(frozen=True)
class VoiceChange:
    """Change of the voice by an emotion at full intensity; 0 is no change.

    Attributes:
        pitch: Added to espeak's pitch (0-99 scale, 50 = normal).
        pitch_range: Added to espeak's range (0-99 scale, 50 = normal).
        rate: Relative change of words per minute.
        level_db: Change of loudness.
        tilt: Spectral slope, in -1..1; above 0 brighter (pressed), below 0 darker (lax).
    """

    pitch: float = 0.0
    pitch_range: float = 0.0
    rate: float = 0.0
    level_db: float = 0.0
    tilt: float = 0.0


# Directions after Scherer 2003 ("Vocal communication of emotion", table 2) and Banse and Scherer
# 1996; sizes chosen so that espeak stays intelligible.
EMOTION_VOICE: Mapping[str, VoiceChange] = {
    "neutral": VoiceChange(),
    "calm": VoiceChange(pitch=-4, pitch_range=-10, rate=-0.08, level_db=-2.0, tilt=-0.30),
    "happy": VoiceChange(pitch=14, pitch_range=26, rate=0.08, level_db=3.0, tilt=0.25),
    "sad": VoiceChange(pitch=-8, pitch_range=-28, rate=-0.18, level_db=-5.0, tilt=-0.60),
    "angry": VoiceChange(pitch=6, pitch_range=34, rate=0.14, level_db=6.0, tilt=0.80),
    "fear": VoiceChange(pitch=26, pitch_range=-14, rate=0.20, level_db=-1.0, tilt=0.10),
    "surprised": VoiceChange(pitch=24, pitch_range=44, rate=0.02, level_db=3.5, tilt=0.10),
    "disgusted": VoiceChange(pitch=-12, pitch_range=10, rate=-0.12, level_db=1.0, tilt=0.45),
    "contempt": VoiceChange(pitch=-10, pitch_range=-8, rate=-0.06, level_db=-1.0, tilt=-0.10),
}

# Chosen so that silence and noise around the speech look like a quiet studio's.
ROOM_NOISE_DB = -66.0
SILENCE_BEFORE_S = (0.15, 0.30)
SILENCE_AFTER_S = (0.20, 0.40)
