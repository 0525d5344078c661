"""BEAT layout (Liu et al. 2022): `N_NAME_TYPE_FIRST_LAST.wav` and a `.json` of curves.

N and NAME are the speaker, TYPE the language and whether it is speech (even) or conversation (odd),
FIRST to LAST the sequences held. Speech of one number is read from one script by every speaker.

Emotions and splits follow the data's own README. The words are in `.TextGrid` for takes of a
minute, not for the sentences they are cut into, so takes have no text; `.txt` is about gestures,
`.csv` repeats the emotion for every frame.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.metadata import unstated_intensity
from esarm_env.corpus.layouts.pairing import Describe, Part
from esarm_env.corpus.takes import Fault, Take

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import File, Tree

_NAME = re.compile(r"(\d+)_([^\W\d_]+)_(\d)_(\d+)_(\d+)")
# Sequences of speech by emotion; conversation is neutral.
_EMOTIONS = {
    "neutral": range(0, 65),
    "happy": range(65, 73),
    "angry": range(73, 81),
    "sad": range(81, 87),
    "contempt": range(87, 95),
    "surprised": range(95, 103),
    "fear": range(103, 111),
    "disgusted": range(111, 119),
}
_ENGLISH_SPEECH, _ENGLISH_CONVERSATION = 0, 1
# Ten speakers recorded four hours each and twenty one hour; the splits differ.
_FOUR_HOURS = frozenset({1, 2, 3, 4, 6, 7, 8, 9, 11, 21})
# For the twenty, the README gives the first half of each emotion's first sequence to test and the
# second to validation. A take has one split here, so all of it is test.
_LONG_NEUTRAL = {"test": range(1, 9), "train": range(9, 57), "validation": range(57, 65)}
_SHORT_NEUTRAL = {"test": range(1, 5), "validation": range(5, 9), "train": range(9, 17)}


def recognises_beat(tree: Tree) -> bool:
    """Return whether a sound file is named as BEAT's are."""
    return any(file.is_media and _NAME.fullmatch(file.stem) for file in tree.files)


def describe_beat(tree: Tree) -> Describe:
    """Return the function that assigns files of `tree`, wherever they lie, to takes."""
    del tree

    def describe(file: File) -> Part | Fault | None:
        take = beat_take(file.stem)
        if take is None or file.kind == ".csv":
            return None
        if isinstance(take, str):
            return Fault(file.path, take)
        if file.is_media:
            return Part(take, "audio", rank=0 if file.is_sound else 1)
        return Part(take, "motion")

    return describe


def beat_take(stem: str) -> Take | str | None:
    """Parse a file name to a take, to a fault, or to None if it is not BEAT's."""
    name = _NAME.fullmatch(stem)
    if name is None:
        return None
    number, speaker = int(name[1]), name[2]
    recording, first, last = (int(name[group]) for group in (3, 4, 5))
    is_speech = recording % 2 == 0
    emotion = _emotion(first, last) if is_speech else "neutral"
    if emotion is None:
        return f"has sequences {first} to {last}, which are not of one emotion"
    splits = {_split(number, recording, sequence) for sequence in {first, last}}
    return Take(
        f"{number}/{stem}",
        audio=None,
        motion=None,
        speaker=speaker,
        emotion=emotion,
        intensity=unstated_intensity(emotion),
        sentence=f"{recording}-{first}-{last}" if is_speech else None,
        split=splits.pop() if len(splits) == 1 else None,
    )


def _emotion(first: int, last: int) -> str | None:
    for emotion, sequences in _EMOTIONS.items():
        if first in sequences:
            return emotion if last in sequences and first <= last else None
    return None


def _split(number: int, recording: int, sequence: int) -> str | None:
    """Return the split of one sequence; None outside English."""
    has_four_hours = number in _FOUR_HOURS
    if recording == _ENGLISH_CONVERSATION:
        if sequence == 1:
            return "test"
        return "validation" if has_four_hours and sequence == 12 else "train"
    if recording != _ENGLISH_SPEECH:
        return None
    if sequence < 65:
        neutral = _LONG_NEUTRAL if has_four_hours else _SHORT_NEUTRAL
        return next((split for split, part in neutral.items() if sequence in part), None)
    emotional = next(part for part in _EMOTIONS.values() if sequence in part)
    if sequence == emotional[0]:
        return "test"
    return "validation" if has_four_hours and sequence == emotional[-1] else "train"


LAYOUT = Layout("beat", "N/N_NAME_TYPE_FIRST_LAST.wav and .json", recognises_beat, describe_beat)
