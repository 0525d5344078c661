"""MEAD layout (Wang et al. 2020): emotions at three levels, seven cameras, one folder per identity.

`ID/audio/EMOTION/level_K/NNN.m4a` and `ID/video/VIEW/EMOTION/level_K/NNN.mp4`; only the front view
is used. Captured motion lies under a folder `blendshape` at any depth or beside the recording. As
unpacked, some identities have folders `1` and `2` in between, and the whole may lie deeper.

The identities are split 32/7/8 as EMOTE does (Danecek et al. 2023).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esarm_env.core.types import N_INTENSITIES
from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.metadata import emotion_of
from esarm_env.corpus.layouts.pairing import Describe, Part
from esarm_env.corpus.takes import Fault, Take

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import File, Tree

VIEWS = frozenset({"front", "down", "top", "left_30", "left_60", "right_30", "right_60"})
# Each emotion has its own sentences, but for a few that are common to all (Wang et al. 2020). That
# these are numbered first is what users of the data report; we could not check it.
N_COMMON_SENTENCES = 3

_KINDS = frozenset({"audio", "video", "blendshape"})
_LEVEL = re.compile(r"level_?(\d+)", re.IGNORECASE)
_IDENTITY = re.compile(r"[MW]\d{3}")
_IDENTITIES = {
    "train": """
        M003 M005 M007 M009 M011 M012 M013 M019 M022 M023 M024 M025 M026 M027 M028 M029 M030 M031
        W009 W011 W014 W015 W016 W018 W019 W021 W023 W024 W025 W026 W028 W029
    """,
    "validation": "M032 M033 M034 M035 W033 W035 W036",
    "test": "M037 M039 M040 M041 M042 W037 W038 W040",
}
_SPLITS = {identity: split for split, names in _IDENTITIES.items() for identity in names.split()}


@dataclass(frozen=True, slots=True)
class _FolderLabels:
    """Labels in the folder names of a file; `view` is None where there is none."""

    speaker: str
    view: str | None
    emotion: str
    level: str


def mead_take(take_id: str, *, speaker: str, emotion: str, level: str, number: str) -> Take | str:
    """Parse MEAD's folder names to a take, or to a fault.

    Args:
        take_id: Id of the take.
        speaker: Name of the identity's folder; only MEAD's own have a split.
        emotion: Name of the emotion's folder.
        level: Name of the intensity's folder.
        number: Name of the file without suffix.
    """
    label = emotion_of(emotion)
    if label is None:
        return f"is in a folder of an unknown emotion, {emotion!r}"
    found = _LEVEL.fullmatch(level)
    if found is None or not 1 <= int(found[1]) <= N_INTENSITIES:
        return f"is in a folder of an unknown level, {level!r}"
    return Take(
        take_id,
        audio=None,
        motion=None,
        speaker=speaker,
        emotion=label,
        intensity=int(found[1]),
        sentence=_sentence(label, number),
        split=_SPLITS.get(speaker),
    )


def is_level(folder: str) -> bool:
    """Return whether `folder` is named as MEAD's levels are."""
    return _LEVEL.fullmatch(folder) is not None


def recognises_mead(tree: Tree) -> bool:
    """Return whether a file's folders are those of MEAD."""
    return any(_folder_labels(file, tree) is not None for file in tree.files if file.is_media)


def describe_mead(tree: Tree) -> Describe:
    """Return the function that assigns files of `tree` to MEAD's takes."""

    def describe(file: File) -> Part | Fault | None:
        place = _folder_labels(file, tree)
        if place is None:
            return None
        take = mead_take(
            "/".join((place.speaker, place.emotion, place.level, file.stem)),
            speaker=place.speaker,
            emotion=place.emotion,
            level=place.level,
            number=file.stem,
        )
        if isinstance(take, str):
            return Fault(file.path, take)
        if place.view not in (None, "front"):
            return Part(take, "unused")
        if file.is_media:
            return Part(take, "audio", rank=0 if file.is_sound else 1)
        return Part(take, "motion")

    return describe


def _folder_labels(file: File, tree: Tree) -> _FolderLabels | None:
    """Parse the folders of a file; None if they are not MEAD's.

    The id made of it has neither view nor kind, so that a clip keeps it when the sound is added
    to a tree of videos.
    """
    if len(file.folders) < 2 or not is_level(file.folders[-1]):
        return None
    above = [folder for folder in file.folders[:-2] if not folder.isdigit()]
    view, kinds = None, 0
    while above and (name := above[-1].lower()) in VIEWS | _KINDS:
        view = name if name in VIEWS else view
        kinds += 1
        above.pop()
    if not kinds and (file.is_media or "blendshape" not in above):
        return None
    # Someone who has one identity opens its own folder.
    names = above or [tree.name]
    speaker = next((name for name in reversed(names) if _IDENTITY.fullmatch(name)), names[-1])
    return _FolderLabels(speaker, view, file.folders[-2].lower(), file.folders[-1].lower())


def _sentence(emotion: str, number: str) -> str | None:
    """Return a name of the sentence: the number tells it only together with the emotion."""
    if not number.isdigit():
        return None
    common = int(number) <= N_COMMON_SENTENCES
    return f"common-{int(number):03d}" if common else f"{emotion}-{int(number):03d}"


LAYOUT = Layout(
    "mead",
    "ID/audio/EMOTION/level_K/NNN.m4a or ID/video/front/EMOTION/level_K/NNN.mp4, "
    "motion in blendshape/",
    recognises_mead,
    describe_mead,
)
