"""Phoneme tables: visemes, dominances and lip contacts of each class of sounds.

Unless a line says otherwise, the numbers are fitted by hand to captured takes of one speaker's
neutral speech: mean, spread, speed and spectrum of each channel, closures, and the correlation of
loudness with the jaw. What is opened, spread and rounded follows the descriptions of visemes in
Cohen and Massaro 1993 ("Modeling coarticulation in synthetic visual speech") and JALI (Edwards et
al. 2016).

Coefficients are ARKit's, in [0, 1]. A name without side (`mouthUpperUp`) means both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Viseme:
    """Viseme: target pose and dominance of one class of sounds.

    Attributes:
        pose: Coefficients at the sound's centre, normal effort.
        jaw: Dominance over its neighbours in `jawOpen`; vowels about 1.
        lips: Dominance in every other channel.
    """

    pose: Mapping[str, float] = field(default_factory=dict)
    jaw: float = 1.0
    lips: float = 1.0


# Sibilants hold the jaw (teeth together) and leave the lips alone, rounded vowels hold the lips.
# Lips are spread by `mouthSmile`: the takes hardly use `mouthStretch` in speech.
VISEMES: Mapping[str, Viseme] = {
    "bilabial": Viseme({"jawOpen": 0.08}, jaw=1.3, lips=1.3),
    "labiodental": Viseme({"jawOpen": 0.12, "mouthShrugLower": 0.08}, jaw=1.1, lips=2.0),
    "dental": Viseme(
        {"jawOpen": 0.21, "tongueOut": 0.22, "mouthLowerDown": 0.07}, jaw=0.72, lips=0.8
    ),
    "alveolar": Viseme({"jawOpen": 0.20, "mouthLowerDown": 0.04}, jaw=0.64, lips=0.3),
    "lateral": Viseme(
        {"jawOpen": 0.27, "mouthLowerDown": 0.04, "tongueOut": 0.04}, jaw=0.48, lips=0.3
    ),
    "sibilant": Viseme(
        {"jawOpen": 0.08, "mouthSmile": 0.06, "mouthLowerDown": 0.10, "mouthUpperUp": 0.04},
        jaw=1.6,
        lips=0.7,
    ),
    "postalveolar": Viseme(
        {"jawOpen": 0.10, "mouthFunnel": 0.42, "mouthPucker": 0.05, "mouthLowerDown": 0.05},
        jaw=1.4,
        lips=1.6,
    ),
    "velar": Viseme({"jawOpen": 0.26, "mouthLowerDown": 0.04}, jaw=0.4, lips=0.2),
    "glottal": Viseme({"jawOpen": 0.29}, jaw=0.16, lips=0.1),
    "rhotic": Viseme(
        {"jawOpen": 0.18, "mouthFunnel": 0.24, "mouthPucker": 0.06}, jaw=0.64, lips=1.1
    ),
    "labiovelar": Viseme(
        {"jawOpen": 0.12, "mouthPucker": 0.44, "mouthFunnel": 0.19}, jaw=0.96, lips=2.2
    ),
    "palatal": Viseme({"jawOpen": 0.16, "mouthSmile": 0.12}, jaw=0.72, lips=0.6),
    "close_front": Viseme({"jawOpen": 0.27, "mouthSmile": 0.20, "mouthLowerDown": 0.08}),
    "near_close_front": Viseme(
        {"jawOpen": 0.30, "mouthSmile": 0.08, "mouthLowerDown": 0.06}, lips=0.8
    ),
    "mid_front": Viseme(
        {"jawOpen": 0.37, "mouthSmile": 0.06, "mouthUpperUp": 0.07, "mouthLowerDown": 0.14}
    ),
    "open_front": Viseme(
        {"jawOpen": 0.50, "mouthSmile": 0.06, "mouthUpperUp": 0.11, "mouthLowerDown": 0.26},
        jaw=1.3,
    ),
    "open": Viseme(
        {"jawOpen": 0.54, "mouthUpperUp": 0.05, "mouthLowerDown": 0.14}, jaw=1.4, lips=0.9
    ),
    "open_mid": Viseme(
        {"jawOpen": 0.42, "mouthUpperUp": 0.04, "mouthLowerDown": 0.08}, jaw=1.1, lips=0.7
    ),
    "central": Viseme({"jawOpen": 0.30, "mouthLowerDown": 0.04}, jaw=0.6, lips=0.4),
    "rhotic_vowel": Viseme(
        {"jawOpen": 0.29, "mouthFunnel": 0.26, "mouthPucker": 0.06}, jaw=0.9, lips=1.2
    ),
    "open_rounded": Viseme(
        {"jawOpen": 0.47, "mouthFunnel": 0.36, "mouthPucker": 0.08, "mouthLowerDown": 0.06},
        jaw=1.2,
        lips=1.5,
    ),
    "mid_rounded": Viseme({"jawOpen": 0.35, "mouthFunnel": 0.36, "mouthPucker": 0.22}, lips=1.8),
    "near_close_rounded": Viseme(
        {"jawOpen": 0.26, "mouthFunnel": 0.24, "mouthPucker": 0.25}, lips=1.5
    ),
    "close_rounded": Viseme(
        {"jawOpen": 0.22, "mouthFunnel": 0.20, "mouthPucker": 0.43}, jaw=1.1, lips=2.2
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


@dataclass(frozen=True)
class Contact:
    """Lip contact rule of a class of sounds: its times and its strength.

    Attributes:
        begin_s: When the contact begins, from the start that espeak marks.
        end_s: When it ends, from that start too, or from the sound's end with `from_end`.
        from_end: See `end_s`.
        shuts: Whether both lips meet; else the lower lip touches the teeth.
        face: What is seen besides the closed mouth, before a stressed vowel.
        unstressed: Share of `face` elsewhere.
    """

    begin_s: float
    end_s: float
    from_end: bool
    shuts: bool
    face: Mapping[str, float]
    unstressed: float


# Times are measured on espeak-ng's own audio between vowels, 110 to 170 words per minute: sound
# falls silent 42 to 60 ms (median 48) before the mark of p, which stands at the burst as those of
# t and k do; b and m are marked where the sound dips (4 and 12 ms before), and it returns 32 and
# 22 ms before their end. In the takes the lips are pressed or rolled in under 5 % of speech, hence
# before stressed vowels only, and pressed only for p, the strongest of the three.
CONTACTS: Mapping[str, Contact] = {
    "p": Contact(
        *(-0.048, 0.0, False, True),
        {"mouthPress": 0.26, "mouthRollUpper": 0.16, "mouthRollLower": 0.12},
        unstressed=0.0,
    ),
    "b": Contact(
        *(-0.004, -0.032, True, True),
        {"mouthRollUpper": 0.03, "mouthRollLower": 0.06},
        unstressed=0.0,
    ),
    "m": Contact(*(-0.012, -0.022, True, True), {"mouthRollLower": 0.05}, unstressed=0.0),
    "f": Contact(
        *(0.0, 0.0, True, False), {"mouthRollLower": 0.16, "mouthUpperUp": 0.09}, unstressed=0.5
    ),
    "v": Contact(
        *(0.0, 0.0, True, False), {"mouthRollLower": 0.09, "mouthUpperUp": 0.05}, unstressed=0.5
    ),
}
CONTACT_SHORTEST_S = 0.070  # two frames at 30 fps, so that every closure is seen
CLOSURE_RAMP_S = 0.120  # from open to shut; the fastest that stays in the takes' spectrum
CONTACT_RAMP_S = 0.080
CLOSURE_JAW_SHARE = 0.6  # of jawOpen that rises for a closure; mouthClose does the rest

STRESS_GAIN: Mapping[str, float] = {"ˈ": 1.12, "ˌ": 1.0, "": 0.82}  # noqa: RUF001 - IPA; by eye
# How far a sound pulls beyond its own edges; rounding spreads further than the jaw.
JAW_REACH_S, LIPS_REACH_S = 0.045, 0.052
SMOOTHING_S = 0.017  # Gaussian; 3 dB down at 7.8 Hz
LOUDNESS_JAW_GAIN = 0.85  # share of jawOpen that follows loudness

# Lips baring the teeth are slower than the sounds, and rise with the loudness of the phrase.
SLOW_LIPS = ("mouthUpperUp", "mouthLowerDown")
SLOW_LIPS_SMOOTHING_S = 0.100
SLOW_LIPS_LOUDNESS_POWER = 3.0
SLOW_LIPS_LOUDNESS_FRAMES = 5.0
SLOW_LIPS_LOUDNESS_FULL = 0.7
