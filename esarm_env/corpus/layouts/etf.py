"""3D-ETF layout (Peng et al. 2023): `audio/NAME.wav` beside `blendshape/NAME.npy`, 30 fps.

The corpus has two such pairs of folders, `RAVDESS` and `HDTF`; one alone is read as well. Names of
RAVDESS are codes that tell the labels. Names of HDTF end in a number, before which the speaker
stands. Of any other name the part before the first `_` is the speaker.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from esarm_env.corpus.layouts.layout import Layout
from esarm_env.corpus.layouts.pairing import Describe, Part
from esarm_env.corpus.layouts.ravdess import ravdess_take
from esarm_env.corpus.takes import Fault, Take
from esarm_env.formats.spellings import name_form

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import File, Tree

_NUMBERED = re.compile(r"(.+)_\d+")


def recognises_etf(tree: Tree) -> bool:
    """Return whether some take is whole and all motion is as in 3D-ETF."""
    audio = {_form(file) for file in tree.files if _is_audio(file)}
    motion = [file for file in tree.files if file.is_motion and _is_below_blendshape(file)]
    return all(_is_motion(file) for file in motion) and any(_form(file) in audio for file in motion)


def describe_etf(tree: Tree) -> Describe:
    """Return the function that assigns files of `tree` to takes."""
    del tree

    def describe(file: File) -> Part | Fault | None:
        if not _is_audio(file) and not _is_motion(file):
            return None
        take = _take(file.folders[:-1], file.stem)
        if isinstance(take, str):
            return Fault(file.path, take)
        if file.is_media:
            return Part(take, "audio", rank=0 if file.is_sound else 1)
        return Part(take, "motion")

    return describe


def _form(file: File) -> str:
    """Return what sound and motion of one take share."""
    return name_form("/".join((*file.folders[:-1], file.stem)))


def _is_audio(file: File) -> bool:
    return file.is_media and file.folders[-1:] == ("audio",)


def _is_motion(file: File) -> bool:
    return file.kind == ".npy" and file.folders[-1:] == ("blendshape",)


def _is_below_blendshape(file: File) -> bool:
    return "blendshape" in file.folders


def _take(folders: tuple[str, ...], stem: str) -> Take | str:
    """Build the take called `stem` in the part of the corpus that `folders` name."""
    take_id = "/".join((*folders, stem))
    coded = ravdess_take(stem)
    if isinstance(coded, str):
        return coded
    if coded is not None:
        return dataclasses.replace(coded, id=take_id)
    numbered = _NUMBERED.fullmatch(stem)
    if numbered and "hdtf" in [folder.lower() for folder in folders]:
        speaker = numbered[1]
    else:
        speaker = stem.partition("_")[0] or stem
    return Take(take_id, audio=None, motion=None, speaker=speaker)


LAYOUT = Layout(
    "3d-etf",
    "audio/NAME.wav and blendshape/NAME.npy (T, 52) at 30 fps, also in RAVDESS/ and HDTF/",
    recognises_etf,
    describe_etf,
    has_metadata=True,
)
