"""Lips that touch: shut for p, b and m, the lower one at the teeth for f and v."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.corpus.synthetic import rules
from esarm_env.corpus.synthetic.espeak import Phoneme
from esarm_env.corpus.synthetic.mouth import STRESS_MARKS, channels_of
from esarm_env.face.names import ARKIT_NAMES, index_of
from esarm_env.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray

_VOWELS = frozenset("".join(rules.SOUNDS[name] for name in rules.VOWEL_CLASSES))
_JAW = index_of("jawOpen")
# What closed lips leave no room for.
_OPENINGS = [index_of(n) for n in ARKIT_NAMES if n.startswith(("mouthUpperUp", "mouthLowerDown"))]
_OPENINGS += [index_of("mouthFunnel"), index_of("tongueOut")]


@dataclass(frozen=True)
class Touch:
    """One contact of an utterance: its rule, its times, and the share of its look."""

    contact: rules.Contact
    begin_s: float
    end_s: float
    gain: float


def touches(phonemes: Sequence[Phoneme]) -> Iterator[Touch]:
    """Yield the contacts of an utterance; a short one is widened to both sides."""
    for index, phoneme in enumerate(phonemes):
        contact = rules.CONTACTS.get(phoneme.ipa.strip(STRESS_MARKS)[:1])
        if contact is None:
            continue
        begin_s = phoneme.start_s + contact.begin_s
        end_s = (phoneme.end_s if contact.from_end else phoneme.start_s) + contact.end_s
        missing_s = max(0.0, rules.CONTACT_SHORTEST_S - (end_s - begin_s))
        gain = 1.0 if _stress_follows(phonemes[index + 1 :]) else contact.unstressed
        yield Touch(contact, begin_s - missing_s / 2, end_s + missing_s / 2, gain)


def _stress_follows(phonemes: Sequence[Phoneme]) -> bool:
    """Return whether the next vowel is stressed; espeak marks the vowel, not the syllable."""
    for phoneme in phonemes:
        if _VOWELS.intersection(phoneme.ipa):
            return phoneme.ipa.startswith(STRESS_MARKS[0])
    return False


def lip_closure(phonemes: Sequence[Phoneme], n_frames: int) -> FloatArray:
    """Return how far the lips are shut, shape (T,): 1 throughout each p, b and m."""
    closure = np.zeros(n_frames)
    for touch in touches(phonemes):
        if touch.contact.shuts:
            curve = _plateau(n_frames, touch.begin_s, touch.end_s, rules.CLOSURE_RAMP_S)
            closure = np.maximum(closure, curve)
    return closure.astype(np.float32)


def contact_face(phonemes: Sequence[Phoneme], n_frames: int) -> FloatArray:
    """Return lips pressed and rolled while they touch, shape (T, 52)."""
    motion = np.zeros((n_frames, N_CHANNELS))
    for touch in touches(phonemes):
        # Strongest in the middle half only: lips meet before they press.
        quarter_s = 0.25 * (touch.end_s - touch.begin_s)
        inner = (touch.begin_s + quarter_s, touch.end_s - quarter_s)
        curve = touch.gain * _plateau(n_frames, *inner, rules.CONTACT_RAMP_S)  # (T,)
        for name, value in touch.contact.face.items():
            for channel in channels_of(name):
                motion[:, channel] = np.maximum(motion[:, channel], value * curve)
    return motion.astype(np.float32)


def shut_lips(motion: FloatArray, closure: FloatArray) -> None:
    """Close the mouth in place where `closure` says so.

    The jaw itself rises most of the way, and `mouthClose` brings the lips together over what is
    left: with ARKit they meet where it equals `jawOpen`.
    """
    share = rules.CLOSURE_JAW_SHARE
    motion[:, index_of("mouthClose")] = (1 - share) * motion[:, _JAW] * closure
    motion[:, _JAW] *= 1 - share * closure
    motion[:, _OPENINGS] *= 1 - closure[:, None]


def _plateau(n_frames: int, begin_s: float, end_s: float, ramp_s: float) -> npt.NDArray[np.float64]:
    """Return 1 from `begin_s` to `end_s`, half a cosine down to 0 on either side, shape (T,)."""
    time_s = np.arange(n_frames) / FRAME_RATE_HZ
    outside_s = np.maximum(np.maximum(begin_s - time_s, time_s - end_s), 0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(1 - outside_s / ramp_s, 0, 1)))
