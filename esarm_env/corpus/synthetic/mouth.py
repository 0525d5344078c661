"""Speech motion of the mouth: visemes blended by dominance functions, and lip contacts.

Coarticulation after Cohen and Massaro 1993 ("Modeling coarticulation in synthetic visual
speech"): every sound pulls each channel to its own target, with a dominance that falls off with
the distance in time, and the channel is their weighted mean. Contacts then close the lips for p, b
and m, and lay the lower one at the teeth for f and v.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray, IntArray
from esarm_env.corpus.synthetic import rules
from esarm_env.corpus.synthetic.curves import smooth
from esarm_env.face.names import ARKIT_NAMES, index_of

if TYPE_CHECKING:
    from esarm_env.corpus.synthetic.espeak import Phoneme

STRESS_MARKS = "ˈˌ"

_OVERSAMPLING = 4  # visemes are laid out at 120 Hz, then low-passed: no stop falls between frames
_SHORTEST_SEGMENT_S = 0.03
_JAW = index_of("jawOpen")
SLOW_LIPS = [index_of(name) for name in ARKIT_NAMES if name.startswith(rules.SLOW_LIPS)]
_CLASS_OF = {sound: name for name, sounds in rules.SOUNDS.items() for sound in sounds}
_CLASSES = list(rules.VISEMES)
_VOWELS = frozenset("".join(rules.SOUNDS[name] for name in rules.VOWEL_CLASSES))
# Channels that are 0 while the lips are closed.
_OPENINGS = [index_of(n) for n in ARKIT_NAMES if n.startswith(("mouthUpperUp", "mouthLowerDown"))]
_OPENINGS += [index_of("mouthFunnel"), index_of("tongueOut")]


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
        marks = "".join(c for c in phoneme.ipa if c in STRESS_MARKS)
        part_s = (phoneme.end_s - phoneme.start_s) / len(names)
        for index, name in enumerate(names):
            stress = rules.STRESS_GAIN[marks[:1]] if name in rules.VOWEL_CLASSES else 1.0
            middle_s = phoneme.start_s + (index + 0.5) * part_s
            rows.append((_CLASSES.index(name), middle_s, part_s, stress))
    viseme, centre_s, duration_s, gain = np.array(rows, dtype=np.float64).T
    return Segments(viseme.astype(np.int64), centre_s, duration_s, gain)


def speaking_mouth(segments: Segments, n_frames: int, *, effort: float) -> FloatArray:
    """Blend visemes into motion (T, 52), before lip contacts.

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
    jaw_near, lips_near = (
        np.exp(-distance / reach_s).clip(max=np.e**2)  # (T', S)
        for reach_s in (rules.JAW_REACH_S, rules.LIPS_REACH_S)
    )
    targets = poses[segments.viseme] * segments.gain[:, None] * effort  # (S, 52)
    jaw = jaw_near * jaw_weight[segments.viseme]
    lips = lips_near * lip_weight[segments.viseme]
    motion = (lips @ targets) / (lips.sum(axis=1, keepdims=True) + 1e-6)  # (T', 52)
    motion[:, _JAW] = (jaw @ targets[:, _JAW]) / (jaw.sum(axis=1) + 1e-6)
    fine_hz = FRAME_RATE_HZ * _OVERSAMPLING
    fine = smooth(motion.astype(np.float32), rules.SMOOTHING_S * fine_hz)
    fine[:, SLOW_LIPS] = smooth(fine[:, SLOW_LIPS], rules.SLOW_LIPS_SMOOTHING_S * fine_hz)
    return np.ascontiguousarray(fine[::_OVERSAMPLING])  # (T, 52)


def _viseme_tables() -> tuple[npt.NDArray[np.float64], ...]:
    """Return poses (V, 52) and the dominances of jaw and lips, (V,) each."""
    poses = np.zeros((len(_CLASSES), N_CHANNELS))
    for row, viseme in enumerate(rules.VISEMES.values()):
        for name, value in viseme.pose.items():
            poses[row, channels_of(name)] = value
    jaw = np.array([viseme.jaw for viseme in rules.VISEMES.values()])
    lips = np.array([viseme.lips for viseme in rules.VISEMES.values()])
    return poses, jaw, lips


@dataclass(frozen=True)
class LipContact:
    """Lip contact of an utterance: its rule, its interval and its gain."""

    contact: rules.Contact
    begin_s: float
    end_s: float
    gain: float


def lip_contacts(phonemes: Sequence[Phoneme]) -> Iterator[LipContact]:
    """Yield the lip contacts of an utterance; short ones are widened to both sides."""
    for index, phoneme in enumerate(phonemes):
        contact = rules.CONTACTS.get(phoneme.ipa.strip(STRESS_MARKS)[:1])
        if contact is None:
            continue
        begin_s = phoneme.start_s + contact.begin_s
        end_s = (phoneme.end_s if contact.from_end else phoneme.start_s) + contact.end_s
        missing_s = max(0.0, rules.CONTACT_SHORTEST_S - (end_s - begin_s))
        gain = 1.0 if _stress_follows(phonemes[index + 1 :]) else contact.unstressed
        yield LipContact(contact, begin_s - missing_s / 2, end_s + missing_s / 2, gain)


def _stress_follows(phonemes: Sequence[Phoneme]) -> bool:
    """Return whether the next vowel is stressed; espeak marks the vowel, not the syllable."""
    for phoneme in phonemes:
        if _VOWELS.intersection(phoneme.ipa):
            return phoneme.ipa.startswith(STRESS_MARKS[0])
    return False


def lip_closure(phonemes: Sequence[Phoneme], n_frames: int) -> FloatArray:
    """Return the lip closure, shape (T,): 1 throughout each p, b and m."""
    closure = np.zeros(n_frames)
    for touch in lip_contacts(phonemes):
        if touch.contact.shuts:
            curve = _plateau(n_frames, touch.begin_s, touch.end_s, rules.CLOSURE_RAMP_S)
            closure = np.maximum(closure, curve)
    return closure.astype(np.float32)


def contact_face(phonemes: Sequence[Phoneme], n_frames: int) -> FloatArray:
    """Return lips pressed and rolled while they touch, shape (T, 52)."""
    motion = np.zeros((n_frames, N_CHANNELS))
    for touch in lip_contacts(phonemes):
        # Strongest in the middle half only: lips meet before they press.
        quarter_s = 0.25 * (touch.end_s - touch.begin_s)
        inner = (touch.begin_s + quarter_s, touch.end_s - quarter_s)
        curve = touch.gain * _plateau(n_frames, *inner, rules.CONTACT_RAMP_S)  # (T,)
        for name, value in touch.contact.face.items():
            for channel in channels_of(name):
                motion[:, channel] = np.maximum(motion[:, channel], value * curve)
    return motion.astype(np.float32)


def shut_lips(motion: FloatArray, closure: FloatArray) -> None:
    """Apply lip closure to motion, in place.

    The jaw itself rises most of the way, and `mouthClose` brings the lips together over what is
    left: with ARKit they meet where it equals `jawOpen`.
    """
    share = rules.CLOSURE_JAW_SHARE
    motion[:, index_of("mouthClose")] = (1 - share) * motion[:, _JAW] * closure
    motion[:, _JAW] *= 1 - share * closure
    motion[:, _OPENINGS] *= 1 - closure[:, None]


def _plateau(n_frames: int, begin_s: float, end_s: float, ramp_s: float) -> npt.NDArray[np.float64]:
    """Return a raised-cosine window, shape (T,): 1 from `begin_s` to `end_s`, eased to 0."""
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    outside_s = np.maximum(np.maximum(begin_s - time_s, time_s - end_s), 0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(1 - outside_s / ramp_s, 0, 1)))
