"""Folder of speech without motion: every sound file in it, read, and what could not be used."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.audio.loading import read_audio
from esarm_env.audio.pauses import cut_at_pauses
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import SAMPLE_RATE_HZ
from esarm_env.corpus.layouts.tree import File, scan_tree
from esarm_env.corpus.takes import Fault
from esarm_env.formats.sound_suffixes import SOUND_SUFFIXES, VIDEO_SUFFIXES
from esarm_env.formats.spellings import printable

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray

# Of the parts of a long file: each is read with an emotion of its own, and some are kept to
# measure.
SHORTEST_PART_S, LONGEST_PART_S = 10.0, 30.0
LONGEST_FILE_S = 4 * 3600.0
_SHOWN = 3
_SOME_SUFFIXES = ", ".join(SOUND_SUFFIXES[:5])
_PREFERENCE = (*SOUND_SUFFIXES, *VIDEO_SUFFIXES)


@dataclass(frozen=True)
class Clip:
    """A recording, or a part of a long one.

    Attributes:
        name: Path in the folder without suffix; of a part, with its number.
        file: Path of the file in the folder, with `/`.
        audio: Shape (n_samples,), at 16 kHz.
        begin: Its first sample in the file.
    """

    name: str
    file: str
    audio: FloatArray
    begin: int = 0

    @property
    def digest(self) -> str:
        """Hexadecimal digest of the samples."""
        return hashlib.sha256(self.audio.tobytes()).hexdigest()


@dataclass(frozen=True)
class SpeechFolder:
    """What was read of a folder of speech.

    Attributes:
        folder: The folder.
        clips: Recordings, sorted by name; no two have the same sound.
        left_out: Files that cannot be used, with the reason.
        motion: Files that may be motion, which nothing is learnt from.
    """

    folder: Path
    clips: tuple[Clip, ...]
    left_out: tuple[Fault, ...]
    motion: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Of all recordings together."""
        return sum(len(clip.audio) for clip in self.clips) / SAMPLE_RATE_HZ


def read_speech(folder: Path, *, option: str = "speech") -> SpeechFolder:
    """Read every sound file below a folder; what cannot be read costs itself alone.

    Args:
        folder: With sound files or videos, at any depth and in any layout.
        option: What messages call it.

    Raises:
        InputError: If there is no such folder, no sound file in it, or none that can be used.
    """
    if not folder.is_dir():
        raise InputError(f"`{option}` must be a folder of sound files, got {str(folder)!r}")
    tree = scan_tree(folder)
    motion = tuple(file.path for file in tree.files if file.is_motion)
    media, left_out = _one_of_each([file for file in tree.files if file.is_media])
    if not media:
        beside = f" beside {len(motion)} files of motion" if motion else ""
        raise InputError(
            f"{folder}: must hold sound files ({_SOME_SUFFIXES} and others, or videos with sound), "
            f"got none{beside}"
        )
    clips: list[Clip] = []
    for file in media:
        try:
            clips += _parts(file, read_audio(folder / file.path, max_duration_s=LONGEST_FILE_S))
        except (InputError, MissingExtraError, OSError) as error:
            reason = str(error).removeprefix(f"{folder / file.path}: ")
            left_out.append(Fault(file.path, reason))
    clips, repeated = _distinct(clips)
    faults = (*tree.faults, *left_out, *repeated)
    if not clips:
        raise InputError(f"{folder}: must hold a usable recording, got none ({told(faults)})")
    return SpeechFolder(folder, tuple(clips), faults, motion)


def held_out(clips: Sequence[Clip], *, share: float) -> tuple[list[Clip], list[Clip]]:
    """Return the recordings to learn from and those to measure, evenly spread over the names.

    Whole files are held out where there are enough, else parts of files.

    Args:
        clips: Sorted by name.
        share: Of them to hold out, above 0 and below 1; at least one is, and one is not.

    Raises:
        InputError: If there are fewer than two.
    """
    files = list(dict.fromkeys(clip.file for clip in clips))
    units = files if len(files) * share >= 1 else [clip.name for clip in clips]
    if len(units) < 2:
        raise InputError(
            "`speech` must hold at least two recordings, one of which is kept to measure, or one "
            f"longer than {LONGEST_PART_S:g} s, got {clips[0].file!r} alone; add more, or name a "
            "folder to measure with --speech-test"
        )
    count = min(max(1, round(share * len(units))), len(units) - 1)
    places = ((np.arange(count) + 0.5) * len(units) / count).astype(int)
    chosen = {units[place] for place in places}
    kept = [clip for clip in clips if clip.file in chosen or clip.name in chosen]
    return [clip for clip in clips if clip not in kept], kept


def without(clips: Sequence[Clip], others: SpeechFolder) -> SpeechFolder:
    """Return a folder to measure without what is learnt from.

    Raises:
        InputError: If nothing is left.
    """
    known = {clip.digest for clip in clips}
    kept = tuple(clip for clip in others.clips if clip.digest not in known)
    if not kept:
        raise InputError(
            f"`speech_test` must hold recordings that are not learnt from, got {others.folder}, "
            "whose are all in `speech`, too"
        )
    both = [clip for clip in others.clips if clip.digest in known]
    faults = [Fault(clip.name, "is learnt from, too, and not measured") for clip in both]
    return SpeechFolder(others.folder, kept, (*others.left_out, *faults), others.motion)


def tell(read: SpeechFolder) -> None:
    """Warn of what was left out."""
    if read.left_out:
        warnings.warn(
            f"{read.folder}: {len(read.left_out)} left out ({told(read.left_out)})", stacklevel=3
        )


def told(faults: Sequence[Fault]) -> str:
    """Return the first few faults in one line."""
    shown = "; ".join(printable(str(fault)) for fault in faults[:_SHOWN])
    return shown + (f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else "")


def _one_of_each(media: Sequence[File]) -> tuple[list[File], list[Fault]]:
    """Return one file of each name, that of the preferred suffix, and a fault for each other."""
    best: dict[tuple[tuple[str, ...], str], File] = {}
    for file in sorted(media, key=lambda file: _PREFERENCE.index(file.kind)):
        best.setdefault((file.folders, file.stem), file)
    kept = [file for file in media if best[file.folders, file.stem] is file]
    faults = [
        Fault(file.path, f"stands beside {best[file.folders, file.stem].path}, which is read")
        for file in media
        if best[file.folders, file.stem] is not file
    ]
    return kept, faults


def _parts(file: File, audio: FloatArray) -> Iterator[Clip]:
    name = "/".join((*file.folders, file.stem))
    if len(audio) <= LONGEST_PART_S * SAMPLE_RATE_HZ:
        yield Clip(name, file.path, audio)
        return
    cuts = cut_at_pauses(audio, shortest_s=SHORTEST_PART_S, longest_s=LONGEST_PART_S)
    for number, (begin, end) in enumerate(cuts.tolist()):
        yield Clip(f"{name}-part{number:03d}", file.path, audio[begin:end], begin)


def _distinct(clips: Sequence[Clip]) -> tuple[list[Clip], list[Fault]]:
    """Return the recordings of different sound: one in both halves would be measured by heart."""
    first: dict[str, Clip] = {}
    faults = []
    for clip in clips:
        if (before := first.setdefault(clip.digest, clip)) is not clip:
            faults.append(Fault(clip.name, f"is the same sound as {before.name}"))
    return list(first.values()), faults
