"""What each emotion does to the voice, and the room it is heard in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class VoiceChange:
    """What an emotion does to the voice at full intensity; 0 leaves it as it is.

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
