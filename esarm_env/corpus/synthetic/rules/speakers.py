"""How speakers differ: every range is drawn from once per speaker, evenly.

The ranges are chosen by eye and ear, so that speakers differ as colleagues do.
"""

from __future__ import annotations

from collections.abc import Mapping

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
