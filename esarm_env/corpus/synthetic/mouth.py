"""The speaking mouth: visemes blended by dominance, lips shut for p, b and m.

Coarticulation after Cohen and Massaro 1993 ("Modeling coarticulation in synthetic visual
speech"): every sound pulls each channel to its own target, with a dominance that falls off with
the distance in time, and the channel is their weighted mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.corpus.synthetic import rules
from esarm_env.corpus.synthetic.espeak import Phoneme
from esarm_env.corpus.synthetic.prosody import smooth
from esarm_env.face.names import ARKIT_NAMES, index_of
from esarm_env.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray, IntArray

_OVERSAMPLING = 4  # visemes are laid out at 120 Hz, then low-passed: no stop falls between frames
_SMOOTHING_S = 0.022  # Gaussian; 3 dB down at 6 Hz, as captured jaws are
_DOMINANCE_REACH_S = 0.045
_SHORTEST_SEGMENT_S = 0.03
_STRESS_MARKS = "ˈˌ"
_JAW = index_of("jawOpen")
# What closed lips leave no room for.
_OPENINGS = [index_of(n) for n in ARKIT_NAMES if n.startswith(("mouthUpperUp", "mouthLowerDown"))]
_OPENINGS += [index_of("mouthFunnel"), index_of("tongueOut")]
_CLASS_OF = {sound: name for name, sounds in rules.SOUNDS.items() for sound in sounds}
_CLASSES = list(rules.VISEMES)


@dataclass(frozen=True)
class Segments:
    """The sounds of an utterance, S of them, each with one viseme.

    Attributes:
        viseme: Shape (S,), index into `rules.VISEMES`.
        centre_s: Shape (S,).
        duration_s: Shape (S,).
        gain: Shape (S,), by stress; 1 for consonants.
    """

    viseme: IntArray
    centre_s: npt.NDArray[np.float64]
    duration_s: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]


def channels_of(name: str) -> list[int]:
    """Return the columns of `name`; one without side, such as `mouthSmile`, has two."""
    if name in ARKIT_NAMES:
        return [index_of(name)]
    return [index_of(f"{name}Left"), index_of(f"{name}Right")]


def segments_of(phonemes: Sequence[Phoneme]) -> Segments:
    """Split `phonemes` into sounds; the parts of a diphthong share its time."""
    rows: list[tuple[int, float, float, float]] = []
    for phoneme in phonemes:
        names = [_CLASS_OF[c] for c in phoneme.ipa if c in _CLASS_OF] or ["pause"]
        marks = "".join(c for c in phoneme.ipa if c in _STRESS_MARKS)
        part_s = (phoneme.end_s - phoneme.start_s) / len(names)
        for index, name in enumerate(names):
            stress = rules.STRESS_GAIN[marks[:1]] if name in rules.VOWEL_CLASSES else 1.0
            middle_s = phoneme.start_s + (index + 0.5) * part_s
            rows.append((_CLASSES.index(name), middle_s, part_s, stress))
    viseme, centre_s, duration_s, gain = np.array(rows, dtype=np.float64).T
    return Segments(viseme.astype(np.int64), centre_s, duration_s, gain)


def speaking_mouth(segments: Segments, n_frames: int, *, effort: float) -> FloatArray:
    """Blend the visemes into motion, lips not yet shut.

    Args:
        segments: The sounds, times from the first frame.
        n_frames: Length T.
        effort: Scale of the poses; 1 is the neutral voice's.

    Returns:
        Shape (T, 52), at or above 0.
    """
    poses, jaw_weight, lip_weight = _viseme_tables()
    n_fine = n_frames * _OVERSAMPLING
    time_s = np.arange(n_fine)[:, None] / (FRAME_RATE_HZ * _OVERSAMPLING)  # (T', 1)
    half_s = 0.5 * np.maximum(segments.duration_s, _SHORTEST_SEGMENT_S)
    # Beyond its own edge a sound keeps pulling, less and less; smooth at its centre.
    distance = np.sqrt((time_s - segments.centre_s) ** 2 + (0.3 * half_s) ** 2) - half_s
    fall_off = np.exp(-distance / _DOMINANCE_REACH_S).clip(max=np.e**2)  # (T', S)
    targets = poses[segments.viseme] * segments.gain[:, None] * effort  # (S, 52)
    jaw = fall_off * jaw_weight[segments.viseme]
    lips = fall_off * lip_weight[segments.viseme]
    motion = (lips @ targets) / (lips.sum(axis=1, keepdims=True) + 1e-6)  # (T', 52)
    motion[:, _JAW] = (jaw @ targets[:, _JAW]) / (jaw.sum(axis=1) + 1e-6)
    fine = smooth(motion.astype(np.float32), _SMOOTHING_S * FRAME_RATE_HZ * _OVERSAMPLING)
    return np.ascontiguousarray(fine[::_OVERSAMPLING])  # (T, 52)


def lip_closure(phonemes: Sequence[Phoneme], n_frames: int) -> FloatArray:
    """Return how far the lips are pressed shut, shape (T,): 1 throughout each p, b and m."""
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    closure = np.zeros(n_frames)
    for phoneme in phonemes:
        sound = phoneme.ipa.strip(_STRESS_MARKS)[:1]
        if sound not in rules.CLOSURE_LEAD_S:
            continue
        begin_s = phoneme.start_s - rules.CLOSURE_LEAD_S[sound]
        release_s = rules.CLOSURE_RELEASE_S
        end_s = phoneme.end_s - release_s if sound == "m" else phoneme.start_s + release_s
        end_s = max(end_s, begin_s + rules.CLOSURE_SHORTEST_S)
        outside_s = np.maximum(np.maximum(begin_s - time_s, time_s - end_s), 0)
        ramp = np.clip(1 - outside_s / rules.CLOSURE_RAMP_S, 0, 1)
        closure = np.maximum(closure, 0.5 - 0.5 * np.cos(np.pi * ramp))
    return closure.astype(np.float32)


def shut_lips(motion: FloatArray, closure: FloatArray) -> None:
    """Close the mouth in place where `closure` says so.

    The jaw itself rises most of the way, and `mouthClose` brings the lips together over what is
    left: with ARKit they meet where it equals `jawOpen`.
    """
    share = rules.CLOSURE_JAW_SHARE
    motion[:, index_of("mouthClose")] = (1 - share) * motion[:, _JAW] * closure
    motion[:, _JAW] *= 1 - share * closure
    motion[:, _OPENINGS] *= 1 - closure[:, None]


def _viseme_tables() -> tuple[npt.NDArray[np.float64], ...]:
    """Return poses (V, 52) and the dominances of jaw and lips, (V,) each."""
    poses = np.zeros((len(_CLASSES), N_CHANNELS))
    for row, viseme in enumerate(rules.VISEMES.values()):
        for name, value in viseme.pose.items():
            poses[row, channels_of(name)] = value
    jaw = np.array([viseme.jaw for viseme in rules.VISEMES.values()])
    lips = np.array([viseme.lips for viseme in rules.VISEMES.values()])
    return poses, jaw, lips
