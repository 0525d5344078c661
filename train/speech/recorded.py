"""Recorded motion beside speech that is learnt from without it: to measure with, nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, one_line
from esarm_env.core.types import FRAME_RATE_HZ, SAMPLE_RATE_HZ, n_frames_of
from esarm_env.formats.spellings import printable

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray
    from esarm_env.corpus.folder import FolderCorpus
    from train.speech.folder import Clip, SpeechFolder


@dataclass(frozen=True)
class RecordedMotion:
    """The truth of a recording.

    Attributes:
        motion: Shape (T, 52), at 30 fps.
        captured: Shape (52,), channels that were measured.
    """

    motion: FloatArray
    captured: BoolArray


def recorded_motion(read: SpeechFolder, clips: Sequence[Clip]) -> dict[str, RecordedMotion]:
    """Return the motion that a folder has of recordings, by their names; warns of what it is for.

    Args:
        read: The folder, read as one of speech.
        clips: Of it, those that are measured.
    """
    if not read.motion:
        return {}
    from esarm_env.corpus.folder import FolderCorpus

    shown = f"{len(read.motion)}, such as {printable(read.motion[0])}"
    try:
        corpus = FolderCorpus(read.folder)
        found = _by_file(corpus)
        if not found:
            raise InputError("no sound has motion")
    except InputError as error:
        warnings.warn(
            f"{read.folder}: its files that may be motion ({shown}) are not used: "
            f"{one_line(error)}",
            stacklevel=3,
        )
        return {}
    warnings.warn(
        f"{read.folder}: its files of motion ({shown}) are not learnt from; they serve to measure "
        "alone",
        stacklevel=3,
    )
    truths = {}
    for clip in clips:
        if clip.file in found and (truth := _read(corpus, found[clip.file], clip)) is not None:
            truths[clip.name] = truth
    return truths


def _by_file(corpus: FolderCorpus) -> dict[str, int]:
    """Return the takes that have motion by the path of their sound in the folder."""
    return {
        take.audio.relative_to(corpus.folder).as_posix(): number
        for number, take in enumerate(corpus.takes)
        if take.motion is not None and take.audio is not None
    }


def _read(corpus: FolderCorpus, number: int, clip: Clip) -> RecordedMotion | None:
    """Return the motion of a recording; None, with a warning, where it cannot be read."""
    try:
        take = corpus.read_take(number)
    except InputError as error:
        warnings.warn(
            f"{clip.name} is measured without its motion: {one_line(error)}", stacklevel=4
        )
        return None
    first = round(clip.begin * FRAME_RATE_HZ / SAMPLE_RATE_HZ)
    motion = take.motion[first : first + n_frames_of(len(clip.audio))]
    return RecordedMotion(motion, np.asarray(corpus.captured)) if len(motion) else None
