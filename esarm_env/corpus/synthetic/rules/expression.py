"""Facial expression tables: action units of each emotion, brows, blinks, gaze and noise.

Which action units belong to an emotion is from EMFACS (Friesen and Ekman 1983) and from Ekman and
Friesen 1975 ("Unmasking the Face"); every strength is chosen by eye on a rendered head. ARKit's
names for the units follow its documentation. Brows that mark accents, blinks, gaze and noise do not
depend on the emotion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EMFACS, UNMASKING, BY_EYE = "EMFACS", "Unmasking the Face", "chosen by eye"


@dataclass(frozen=True)
class Unit:
    """FACS action unit of an expression, as an ARKit channel.

    Attributes:
        au: Number in the Facial Action Coding System; 0 for what it does not number.
        channel: ARKit's name; without side both sides, with `Near` the one that the speaker uses
            for one-sided expressions.
        size: Coefficient at full intensity (3).
        source: Who says that it belongs to the emotion.
    """

    au: int
    channel: str
    size: float
    source: str


EMOTION_FACE: Mapping[str, tuple[Unit, ...]] = {
    "neutral": (),
    # RAVDESS's "calm": a relaxed face with a trace of a smile.
    "calm": (
        Unit(12, "mouthSmile", 0.16, BY_EYE),
        Unit(6, "eyeSquint", 0.08, BY_EYE),
        Unit(1, "browInnerUp", 0.06, BY_EYE),
        Unit(64, "eyeLookDown", 0.06, BY_EYE),
    ),
    "happy": (
        Unit(6, "cheekSquint", 0.60, EMFACS),
        Unit(12, "mouthSmile", 0.68, EMFACS),
        Unit(14, "mouthDimple", 0.12, BY_EYE),
        Unit(6, "eyeSquint", 0.30, EMFACS),
        Unit(10, "mouthUpperUp", 0.10, BY_EYE),
        Unit(2, "browOuterUp", 0.10, BY_EYE),
    ),
    "sad": (
        Unit(1, "browInnerUp", 0.72, EMFACS),
        Unit(4, "browDown", 0.22, EMFACS),
        Unit(15, "mouthFrown", 0.62, EMFACS),
        Unit(17, "mouthShrugLower", 0.30, UNMASKING),
        Unit(64, "eyeLookDown", 0.22, UNMASKING),
        Unit(7, "eyeSquint", 0.16, BY_EYE),
    ),
    "angry": (
        Unit(4, "browDown", 0.85, EMFACS),
        Unit(5, "eyeWide", 0.26, EMFACS),
        Unit(7, "eyeSquint", 0.45, EMFACS),
        Unit(9, "noseSneer", 0.28, BY_EYE),
        Unit(23, "mouthPress", 0.26, EMFACS),
        Unit(15, "mouthFrown", 0.18, BY_EYE),
        Unit(29, "jawForward", 0.14, BY_EYE),
    ),
    "fear": (
        Unit(1, "browInnerUp", 0.70, EMFACS),
        Unit(2, "browOuterUp", 0.34, EMFACS),
        Unit(4, "browDown", 0.28, EMFACS),
        Unit(5, "eyeWide", 0.62, EMFACS),
        Unit(20, "mouthStretch", 0.42, EMFACS),
        Unit(26, "jawOpen", 0.03, EMFACS),
    ),
    "surprised": (
        Unit(1, "browInnerUp", 0.80, EMFACS),
        Unit(2, "browOuterUp", 0.78, EMFACS),
        Unit(5, "eyeWide", 0.55, EMFACS),
        Unit(26, "jawOpen", 0.07, EMFACS),
        Unit(22, "mouthFunnel", 0.06, BY_EYE),
    ),
    "disgusted": (
        Unit(9, "noseSneer", 0.74, EMFACS),
        Unit(10, "mouthUpperUp", 0.30, UNMASKING),
        Unit(15, "mouthFrown", 0.30, EMFACS),
        Unit(16, "mouthLowerDown", 0.10, EMFACS),
        Unit(4, "browDown", 0.40, UNMASKING),
        Unit(6, "cheekSquint", 0.34, UNMASKING),
        Unit(7, "eyeSquint", 0.28, BY_EYE),
    ),
    "contempt": (
        Unit(12, "mouthSmileNear", 0.34, EMFACS),
        Unit(0, "mouthNear", 0.10, BY_EYE),
        Unit(14, "mouthDimpleNear", 0.52, EMFACS),
        Unit(24, "mouthPressNear", 0.18, BY_EYE),
        Unit(2, "browOuterUpNear", 0.26, BY_EYE),
        Unit(7, "eyeSquint", 0.20, BY_EYE),
        Unit(64, "eyeLookDown", 0.12, BY_EYE),
        Unit(17, "mouthShrugUpper", 0.10, BY_EYE),
    ),
}

# All below is chosen by eye, so that emotions overlap a little without being confused.
INTENSITY_GAIN: Mapping[int, float] = {1: 0.4, 2: 0.7, 3: 1.0}
# Strength of an utterance's emotion: one factor for face and voice, and one for the face alone.
STRENGTH_SPREAD = 0.09  # standard deviation of the logarithm
STRENGTH_UNHEARD_SPREAD = 0.04
STRENGTH_LIMITS = (0.7, 1.4)
# Of each unit, per speaker and emotion: nobody's anger is the textbook's.
HABIT_RANGE = (0.92, 1.08)
EMOTION_ONSET_S = 0.30
EMOTION_OFFSET_S = 0.35
EMOTION_REST_LEVEL = 0.65  # of the apex, before onset and after offset: actors hold the face
# The expression swells with what is heard: per unit of loudness, and per semitone of pitch, both
# smoothed over a syllable and taken from their middle.
EMOTION_LOUDNESS_GAIN = 0.70
EMOTION_LOUDNESS_MIDDLE = 0.6
EMOTION_PITCH_GAIN = 0.04
EMOTION_SWELL_FRAMES = 3.0

# Effort of articulation at full intensity, 1 = neutral. Directions after Scherer 2003 (aroused
# speech is more forceful), sizes by eye.
EMOTION_ARTICULATION: Mapping[str, float] = {
    "angry": 1.22,
    "happy": 1.14,
    "surprised": 1.16,
    "fear": 1.06,
    "calm": 0.94,
    "contempt": 0.92,
    "disgusted": 1.02,
    "sad": 0.80,
}


# ---- Brows -------------------------------------------------------------------------------------

# Brows follow pitch accents, some are missed and some raises come alone: of the brow raises, 71 %
# go with rises of F0 (Cavé et al. 1996). Sizes and times are chosen by eye.
ACCENT_FULL_SEMITONES = 2.5  # above the falling line of the utterance
ACCENT_LEAD_S = 0.033
PROSODY_FACE: Mapping[str, float] = {"browInnerUp": 0.46, "browOuterUp": 0.36, "eyeWide": 0.12}
ACCENT_MISSED = 0.12  # probability
ACCENT_MISSED_GAIN = 0.25
ACCENT_GAIN = (0.85, 1.15)
LONE_RAISE_RATE_HZ = 5 / 60
LONE_RAISE_SIZE = (0.4, 0.8)  # of a full accent
LONE_RAISE_UP_S, LONE_RAISE_HOLD_S, LONE_RAISE_DOWN_S = 0.13, 0.10, 0.27
LOUDNESS_FACE: Mapping[str, float] = {"cheekSquint": 0.05, "noseSneer": 0.03, "browDown": 0.04}

# ---- Blinks ------------------------------------------------------------------------------------

# Rate: Bentivoglio et al. 1997 counted 17 per minute at rest and 26 in conversation; the two kinds
# here make about 19 together. Nakano and Kitazawa 2010: blinks gather at pauses.
BLINK_RATE_HZ = 12 / 60
BLINK_AT_PHRASE_END = 0.25  # probability, chosen to give that rate
BLINK_SHORTEST_GAP_S = 0.6  # by eye
# Lids close faster than they open (VanderWerf et al. 2003); lengths chosen so that a blink lasts
# 0.1 to 0.4 s (Schiffman 2001, "Sensation and Perception").
BLINK_CLOSING_S, BLINK_CLOSED_S, BLINK_OPENING_S = 0.085, 0.045, 0.160
BLINK_DEPTH = (0.82, 1.0)  # by eye

# ---- Gaze --------------------------------------------------------------------------------------

# Speakers look at the listener for 93.9 frames on average and away for 27.8, at 30 fps, and eyes
# turn by 6.9 degrees on average (Lee, Badler and Badler 2002, "Eyes Alive").
GAZE_AT_LISTENER_S = 93.9 / 30
GAZE_AWAY_S = 27.8 / 30
GAZE_AWAY_FIXATION_S = (0.3, 0.8)  # each place looked at while away; by eye
GAZE_AWAY_SIZE = 6.9 / 40  # 40 degrees per unit of `eyeLook`: by eye on a rendered head
GAZE_SIZE_LIMITS = (0.06, 0.45)
GAZE_UP_DOWN_SHARE = 0.6  # by eye: eyes turn more to the sides
GAZE_AT_LISTENER_STD = 0.012
GAZE_SACCADE_S = 0.06  # by eye; two frames

# ---- Noise -------------------------------------------------------------------------------------

NOISE_SHARE = 0.05  # of the channel's value; by eye
NOISE_FLOOR: Mapping[str, float] = {"brow": 0.005, "eyeSquint": 0.004, "cheekSquint": 0.003}
NOISE_TIME_S = 0.16
# Jitter from frame to frame, as a share of the value, that gives the captured takes' share of
# velocity above 8 Hz; mouth and jaw alone, no other channel was captured there.
CAPTURE_JITTER_SHARE = 0.025
