"""The tables of the rule model: what each sound, emotion and speaker does to face and voice.

Numbers only, no code that moves. Raise `RULES_VERSION` with every change here or in the modules
that read it, or corpora made before are served from the cache.

Coefficients are ARKit's, in [0, 1]. A name without side (`mouthUpperUp`) means both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RULES_VERSION = 2

# ---- Mouth: sounds ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Viseme:
    """The mouth of one class of sounds.

    Attributes:
        pose: Coefficients at the sound's centre, normal effort.
        jaw: Dominance over its neighbours in `jawOpen`; vowels 1.
        lips: Dominance in every other channel.
    """

    pose: Mapping[str, float] = field(default_factory=dict)
    jaw: float = 1.0
    lips: float = 1.0


# Poses after the descriptions of visemes in Cohen and Massaro 1993 ("Modeling coarticulation in
# synthetic visual speech") and JALI (Edwards et al. 2016); jaw openings scaled to captured takes
# (95th percentile of jawOpen 0.38, lips 0.25-0.35). Sibilants hold the jaw (teeth together) and
# leave the lips alone; rounded vowels hold the lips.
VISEMES: Mapping[str, Viseme] = {
    "bilabial": Viseme(
        {
            "jawOpen": 0.06,
            "mouthPress": 0.22,
            "mouthRollLower": 0.14,
            "mouthRollUpper": 0.14,
            "cheekPuff": 0.06,
        },
        jaw=1.6,
        lips=1.3,
    ),
    "labiodental": Viseme(
        {"jawOpen": 0.09, "mouthRollLower": 0.29, "mouthUpperUp": 0.12, "mouthShrugLower": 0.08},
        jaw=1.4,
        lips=2.2,
    ),
    "dental": Viseme(
        {"jawOpen": 0.16, "tongueOut": 0.22, "mouthUpperUp": 0.06, "mouthLowerDown": 0.10},
        jaw=0.9,
        lips=0.8,
    ),
    "alveolar": Viseme(
        {"jawOpen": 0.15, "mouthLowerDown": 0.06, "mouthUpperUp": 0.03}, jaw=0.8, lips=0.3
    ),
    "lateral": Viseme(
        {"jawOpen": 0.21, "mouthLowerDown": 0.06, "tongueOut": 0.04}, jaw=0.6, lips=0.3
    ),
    "sibilant": Viseme(
        {"jawOpen": 0.06, "mouthStretch": 0.16, "mouthLowerDown": 0.13, "mouthUpperUp": 0.05},
        jaw=2.0,
        lips=0.7,
    ),
    "postalveolar": Viseme(
        {"jawOpen": 0.08, "mouthFunnel": 0.42, "mouthPucker": 0.12, "mouthLowerDown": 0.08},
        jaw=1.8,
        lips=1.6,
    ),
    "velar": Viseme({"jawOpen": 0.20, "mouthLowerDown": 0.04}, jaw=0.5, lips=0.2),
    "glottal": Viseme({"jawOpen": 0.22}, jaw=0.2, lips=0.1),
    "rhotic": Viseme(
        {"jawOpen": 0.14, "mouthFunnel": 0.24, "mouthPucker": 0.18}, jaw=0.8, lips=1.1
    ),
    "labiovelar": Viseme(
        {"jawOpen": 0.09, "mouthPucker": 0.58, "mouthFunnel": 0.19}, jaw=1.2, lips=2.4
    ),
    "palatal": Viseme(
        {"jawOpen": 0.12, "mouthStretch": 0.14, "mouthSmile": 0.08}, jaw=0.9, lips=0.6
    ),
    "close_front": Viseme(
        {"jawOpen": 0.23, "mouthStretch": 0.20, "mouthSmile": 0.14, "mouthLowerDown": 0.10},
        lips=1.0,
    ),
    "near_close_front": Viseme(
        {"jawOpen": 0.28, "mouthStretch": 0.10, "mouthSmile": 0.06, "mouthLowerDown": 0.08},
        lips=0.8,
    ),
    "mid_front": Viseme(
        {"jawOpen": 0.41, "mouthStretch": 0.10, "mouthUpperUp": 0.06, "mouthLowerDown": 0.13}
    ),
    "open_front": Viseme(
        {"jawOpen": 0.61, "mouthStretch": 0.14, "mouthUpperUp": 0.09, "mouthLowerDown": 0.18},
        jaw=1.3,
    ),
    "open": Viseme(
        {"jawOpen": 0.68, "mouthUpperUp": 0.04, "mouthLowerDown": 0.11}, jaw=1.4, lips=0.9
    ),
    "open_mid": Viseme(
        {"jawOpen": 0.48, "mouthLowerDown": 0.08, "mouthUpperUp": 0.03}, jaw=1.1, lips=0.7
    ),
    "central": Viseme({"jawOpen": 0.29, "mouthLowerDown": 0.05}, jaw=0.6, lips=0.4),
    "rhotic_vowel": Viseme(
        {"jawOpen": 0.27, "mouthFunnel": 0.26, "mouthPucker": 0.14}, jaw=0.9, lips=1.2
    ),
    "open_rounded": Viseme(
        {"jawOpen": 0.55, "mouthFunnel": 0.36, "mouthPucker": 0.08, "mouthLowerDown": 0.05},
        jaw=1.2,
        lips=1.5,
    ),
    "mid_rounded": Viseme(
        {"jawOpen": 0.36, "mouthFunnel": 0.36, "mouthPucker": 0.27}, jaw=1.0, lips=1.8
    ),
    "near_close_rounded": Viseme(
        {"jawOpen": 0.23, "mouthFunnel": 0.24, "mouthPucker": 0.32}, jaw=1.0, lips=1.5
    ),
    "close_rounded": Viseme(
        {"jawOpen": 0.16, "mouthFunnel": 0.20, "mouthPucker": 0.54}, jaw=1.1, lips=2.2
    ),
    "pause": Viseme(jaw=0.9, lips=0.7),
}

# Which sounds make which class; a diphthong or affricate is read character by character.
SOUNDS: Mapping[str, str] = {
    "bilabial": "pbm",
    "labiodental": "fv",
    "dental": "θð",
    "alveolar": "tdnɾ",
    "lateral": "lɫ",
    "sibilant": "sz",
    "postalveolar": "ʃʒ",
    "velar": "kɡŋx",  # noqa: RUF001 - IPA
    "glottal": "hʔ",  # noqa: RUF001 - IPA
    "rhotic": "ɹr",
    "labiovelar": "w",
    "palatal": "j",
    "close_front": "i",
    "near_close_front": "ɪᵻ",
    "mid_front": "eɛ",
    "open_front": "aæ",
    "open": "ɑ",  # noqa: RUF001 - IPA
    "open_mid": "ʌɐ",
    "central": "ə",
    "rhotic_vowel": "ɜɚ",
    "open_rounded": "ɒɔ",
    "mid_rounded": "o",
    "near_close_rounded": "ʊ",
    "close_rounded": "u",
}
VOWEL_CLASSES = frozenset(list(SOUNDS)[list(SOUNDS).index("close_front") :])
# espeak marks the burst of a stop, the lips meet before it.
CLOSURE_LEAD_S: Mapping[str, float] = {"p": 0.060, "b": 0.050, "m": 0.030}
CLOSURE_RELEASE_S = 0.010  # p and b open this long after the mark, m this long before its end
CLOSURE_SHORTEST_S = 0.070  # two frames at 30 fps, so that every closure is seen
CLOSURE_RAMP_S = 0.075
CLOSURE_JAW_SHARE = 0.7  # of jawOpen that rises for a closure; mouthClose does the rest
STRESS_GAIN: Mapping[str, float] = {"ˈ": 1.12, "ˌ": 1.0, "": 0.82}  # noqa: RUF001 - IPA
LOUDNESS_JAW_GAIN = 0.65  # share of jawOpen that follows loudness

# ---- Emotion: face ---------------------------------------------------------------------------

# Full intensity (3). Action units after EMFACS (Friesen and Ekman 1983) and Ekman and Friesen's
# "Unmasking the Face" (1975); ARKit's names for them after its documentation. `Near` is the side
# that the speaker uses for one-sided expressions.
EMOTION_FACE: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    # AU 6 + 12, weakly: a relaxed face with a trace of a smile (RAVDESS's "calm").
    "calm": {"mouthSmile": 0.16, "eyeSquint": 0.08, "browInnerUp": 0.06, "eyeLookDown": 0.06},
    # AU 6 + 12, with 25.
    "happy": {
        "cheekSquint": 0.60,
        "mouthSmile": 0.68,
        "mouthDimple": 0.12,
        "eyeSquint": 0.30,
        "mouthUpperUp": 0.10,
        "browOuterUp": 0.10,
    },
    # AU 1 + 4 + 15 (+ 17).
    "sad": {
        "browInnerUp": 0.72,
        "browDown": 0.22,
        "mouthFrown": 0.62,
        "mouthShrugLower": 0.30,
        "eyeLookDown": 0.22,
        "eyeSquint": 0.16,
    },
    # AU 4 + 5 + 7 + 23.
    "angry": {
        "browDown": 0.85,
        "eyeWide": 0.26,
        "eyeSquint": 0.45,
        "noseSneer": 0.28,
        "mouthPress": 0.26,
        "mouthFrown": 0.18,
        "jawForward": 0.14,
    },
    # AU 1 + 2 + 4 + 5 + 20 + 26.
    "fear": {
        "browInnerUp": 0.70,
        "browOuterUp": 0.34,
        "browDown": 0.28,
        "eyeWide": 0.62,
        "mouthStretch": 0.42,
        "jawOpen": 0.03,
    },
    # AU 1 + 2 + 5 + 26.
    "surprised": {
        "browInnerUp": 0.80,
        "browOuterUp": 0.78,
        "eyeWide": 0.55,
        "jawOpen": 0.07,
        "mouthFunnel": 0.06,
    },
    # AU 9 + 10 + 15 + 16.
    "disgusted": {
        "noseSneer": 0.74,
        "mouthUpperUp": 0.30,
        "mouthFrown": 0.30,
        "mouthLowerDown": 0.10,
        "browDown": 0.40,
        "cheekSquint": 0.34,
        "eyeSquint": 0.28,
    },
    # AU 12 + 14 on one side.
    "contempt": {
        "mouthSmileNear": 0.34,
        "mouthNear": 0.10,
        "mouthDimpleNear": 0.52,
        "mouthPressNear": 0.18,
        "browOuterUpNear": 0.26,
        "eyeSquint": 0.20,
        "eyeLookDown": 0.12,
        "mouthShrugUpper": 0.10,
    },
}
INTENSITY_GAIN: Mapping[int, float] = {1: 0.4, 2: 0.7, 3: 1.0}
# Effort of articulation at full intensity, 1 = neutral (Scherer 2003: high arousal, wider mouth).
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
EMOTION_ONSET_S = 0.30
EMOTION_OFFSET_S = 0.35
EMOTION_REST_LEVEL = 0.65  # of the apex, before onset and after offset: actors hold the face
EMOTION_ENERGY_GAIN = 0.35  # rise of the expression per unit of relative loudness

# ---- Emotion: voice --------------------------------------------------------------------------


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

# ---- Prosody, blinks, gaze, noise ------------------------------------------------------------

# Brows follow pitch accents (Cavé et al. 1996: 71 % of brow rises go with rises of F0).
ACCENT_FULL_SEMITONES = 2.5  # above the falling line of the utterance
ACCENT_LEAD_S = 0.033
PROSODY_FACE: Mapping[str, float] = {
    "browInnerUp": 0.46,
    "browOuterUp": 0.36,
    "eyeWide": 0.12,
}
LOUDNESS_FACE: Mapping[str, float] = {"cheekSquint": 0.05, "noseSneer": 0.03, "browDown": 0.04}

BLINK_RATE_HZ = 13 / 60  # with those at phrase ends 17 per minute (Bentivoglio et al. 1997)
BLINK_AT_PHRASE_END = 0.25  # Nakano and Kitazawa 2010: blinks gather at pauses
BLINK_SHORTEST_GAP_S = 0.6
BLINK_CLOSING_S, BLINK_CLOSED_S, BLINK_OPENING_S = 0.085, 0.045, 0.160  # VanderWerf et al. 2003
BLINK_DEPTH = (0.82, 1.0)

GAZE_FIXATION_S = (0.6, 1.8)
GAZE_STD = 0.07
GAZE_SACCADE_S = 0.06

NOISE_SHARE = 0.05  # of the channel's value
NOISE_FLOOR: Mapping[str, float] = {"brow": 0.005, "eyeSquint": 0.004, "cheekSquint": 0.003}
NOISE_TIME_S = 0.16

# ---- Speakers --------------------------------------------------------------------------------

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
SPEAKER_SMILE_BIAS = (0.0, 0.05)
SPEAKER_BLINK_GAIN = (0.7, 1.3)
# Resting face of a speaker: up to this much of each.
SPEAKER_NEUTRAL: Mapping[str, float] = {
    "browDown": 0.05,
    "browInnerUp": 0.04,
    "eyeSquint": 0.05,
    "mouthFrown": 0.03,
    "mouthPress": 0.03,
    "mouthShrugLower": 0.03,
}

ROOM_NOISE_DB = -66.0
SILENCE_BEFORE_S = (0.15, 0.30)
SILENCE_AFTER_S = (0.20, 0.40)
