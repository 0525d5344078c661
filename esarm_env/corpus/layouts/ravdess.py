"""RAVDESS layout (Livingstone and Russo 2018): labels by file name, `MM-VV-EE-II-SS-RR-AA`.

Modality, vocal channel, emotion, intensity, statement, repetition, actor. One performance exists
as sound with video (01), video alone (02) and sound alone (03): they are one take, whose id has no
modality. Song is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.pairing import Describe, Part
from esarm_env.corpus.takes import Fault, Take

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import File, Tree

_CODE = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")
_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fear",
    "07": "disgusted",
    "08": "surprised",
}
_INTENSITIES = {"01": 2, "02": 3}  # "normal" and "strong", as in the corpus `synthetic-ravdess`
_STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
_SPEECH = "01"
# Of the sound that came with the video and the separate one, the second is without compression.
_AUDIO_RANKS = {"03": 0, "01": 1}
_MOTION_RANKS = {"01": 0, "03": 1, "02": 2}


def ravdess_take(stem: str) -> Take | str | None:
    """Parse a file name to a take, to a fault, or to None if it is not RAVDESS's code."""
    code = _CODE.fullmatch(stem)
    if code is None:
        return None
    modality, channel, emotion, intensity, statement, _, actor = code.groups()
    if modality not in _MOTION_RANKS:
        return f"has an unknown modality, {modality}"
    if channel != _SPEECH:
        return "is song" if channel == "02" else f"has an unknown vocal channel, {channel}"
    for name, value, known in (
        ("emotion", emotion, _EMOTIONS),
        ("intensity", intensity, _INTENSITIES),
        ("statement", statement, _STATEMENTS),
    ):
        if value not in known:
            return f"has an unknown {name}, {value}"
    label = _EMOTIONS[emotion]
    return Take(
        f"Actor_{actor}/{stem.partition('-')[2]}",
        audio=None,
        motion=None,
        speaker=f"Actor_{actor}",
        emotion=label,
        intensity=1 if label == "neutral" else _INTENSITIES[intensity],
        text=_STATEMENTS[statement],
        sentence=f"statement-{statement}",
    )


def recognises_ravdess(tree: Tree) -> bool:
    """Return whether a sound or video is named as RAVDESS's are."""
    return any(file.is_media and _CODE.fullmatch(file.stem) for file in tree.files)


def describe_ravdess(tree: Tree) -> Describe:
    """Return the function that assigns files of `tree`, wherever they lie, to performances."""
    del tree  # the file name alone decides

    def describe(file: File) -> Part | Fault | None:
        take = ravdess_take(file.stem)
        if take is None:
            return None
        if isinstance(take, str):
            return Fault(file.path, take)
        modality = file.stem[:2]
        if not file.is_media:
            return Part(take, "motion", rank=_MOTION_RANKS[modality])
        if modality not in _AUDIO_RANKS:
            return Part(take, "unused")
        return Part(take, "audio", rank=_AUDIO_RANKS[modality] + (not file.is_sound))

    return describe


LAYOUT = Layout(
    "ravdess",
    "Actor_NN/MM-VV-EE-II-SS-RR-AA.wav or .mp4, motion in blendshape/",
    recognises_ravdess,
    describe_ravdess,
)
