"""Motion that no reader reads: in another format, packed, or in a place that cannot be opened.

A take whose motion is there and unread must not pass for sound alone. What is taken for motion is
told by a file's name and place, as the layout tells it of the formats that are read; text is looked
into, since transcripts have the same names.
"""

from __future__ import annotations

import dataclasses
import gzip
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from esarm_env.corpus.takes import Fault
from esarm_env.formats.files import check_regular
from esarm_env.formats.sound_suffixes import SOUND_SUFFIXES, VIDEO_SUFFIXES
from esarm_env.formats.spellings import (
    MOTION_FOLDERS,
    MOTION_SUFFIXES,
    PACKED_SUFFIXES,
    TEXT_SUFFIXES,
    UNREAD_SUFFIXES,
    name_form,
)

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.tree import File, Tree

# Returns the id of the take whose motion a file is, by a layout; None if it is no motion.
MotionOf = Callable[["File"], str | None]

# Of one name with a take, and still never its motion.
_NEVER = frozenset(
    """.png .jpg .jpeg .gif .bmp .tif .tiff .webp .svg .heic .pdf .doc .docx .odt .rtf .tex .md
    .rst .html .htm .lab .textgrid .srt .vtt .ass .eaf .trans .trn .wrd .phn .ini .cfg .py .ipynb
    .sh .bat .exe .db .sha256 .md5 .sig .aux""".split()
)
_MEDIA = frozenset(SOUND_SUFFIXES + VIDEO_SUFFIXES)
_LOOKED_AT = 48  # files of text read to see whether any of their suffix is motion
_HEAD_BYTES, _HEAD_LINES = 1 << 16, 20
_LEAST_NAMES, _LEAST_NUMBERS = 2, 10  # shapes in a header; numbers in a row
# Names of folders inside a corpus, one of which may be opened by mistake.
_PARTS = MOTION_FOLDERS | {"audio", "video", "wav", "wavs", "front", "down", "top"}
_LEVEL = re.compile(r"level_?\d+|(left|right)_[36]0")
_BETWEEN = re.compile(r"[\s,;|:\[\]{}()\"'=]+")


@dataclass
class Unread:
    """Motion that lies in a corpus folder and is not read.

    Attributes:
        of_takes: Files by the `name_form` of the id of the take that lacks motion.
        lonely: Files that are motion by place or content, and of no sound.
        closed: Places where motion may lie that could not be looked into.
        doubtful: What is called as a sound elsewhere, and may be anything.
    """

    of_takes: dict[str, File] = field(default_factory=dict)
    lonely: list[File] = field(default_factory=list)
    closed: list[Fault] = field(default_factory=list)
    doubtful: list[Fault] = field(default_factory=list)

    def faults(self) -> list[Fault]:
        """Return what is to be said of all but `of_takes`."""
        lonely = [
            Fault(file.path, f"is taken for motion, and {is_unread(file)}; it belongs to no sound")
            for file in self.lonely
        ]
        return [*lonely, *self.closed, *self.doubtful]


def find_unread(tree: Tree, motion_of: MotionOf, *, lacking: set[str], paired: set[str]) -> Unread:
    """Return the motion of `tree` that is not read.

    Args:
        tree: The folder.
        motion_of: Tells of which take a file is the motion, as far as the layout knows.
        lacking: The `name_form` of the ids of the takes that have sound and no motion.
        paired: The same of those that have both: other files of theirs are alternatives.
    """
    found = Unread(closed=_closed(tree) if lacking else [])
    sounds = {name_form(file.stem) for file in tree.files if file.is_media}
    strays: list[File] = []
    doubtful: list[File] = []
    for file in _without_texts(tree, [file for file in tree.others if _may_be_motion(file)]):
        take_id = _take_of(file, motion_of)
        form = name_form(take_id or "")
        if take_id is None:
            strays.append(file)
        elif form in lacking:
            found.of_takes.setdefault(form, file)
        elif form not in paired and _remedy(file.kind) and not _is_closed(file):
            found.lonely.append(file)
    for file in strays:
        is_called_so = name_form(file.stem) in sounds and _remedy(file.kind) is not None
        is_lacked = bool(lacking) and is_called_so
        if _is_named_text(tree, file) or (is_lacked and _is_below_motion(file)):
            found.lonely.append(file)
        elif is_lacked:
            doubtful.append(file)
    found.doubtful = _doubtful(doubtful)
    if lacking:
        found.doubtful += [_packed(file) for file in tree.others if _is_called_as_motion(file)]
    return found


def is_unread(file: File) -> str:
    """Return in words that a file is not read, and what to do."""
    remedy = _remedy(file.kind) or "convert it to .npz, .npy, .csv or .json"
    return f"{file.kind or 'without a suffix it'} is not read: {remedy}"


def hints_on_sound_alone(tree: Tree) -> list[Fault]:
    """Return what may explain that a folder has sound alone."""
    with_motion = {f for file in tree.files if file.is_motion for f in _folders_of(file.folders)}
    empty = [
        folders
        for folders in tree.subfolders
        if folders[-1].lower() in MOTION_FOLDERS and folders not in with_motion
    ]
    faults = []
    if empty:
        more = f"; so do {len(empty) - 1} other folders" if len(empty) > 1 else ""
        faults.append(Fault(f"{'/'.join(empty[0])}/", f"holds no motion{more}"))
    above = os.path.dirname(os.path.realpath(tree.folder))
    for name in sorted(MOTION_FOLDERS):
        if os.path.isdir(os.path.join(above, name)):
            reason = f"has a folder `{name}` beside this one, which is not read: open {above} then"
            faults.append(Fault("..", reason))
    return faults


def hints_on_no_layout(tree: Tree) -> list[str]:
    """Return what may explain that a folder is laid out as no corpus is."""
    hints = [str(fault) for fault in tree.faults]
    stems = {name_form(file.stem) for file in tree.files if file.is_media}
    files = [file for file in tree.others if name_form(file.stem) in stems]
    files = _without_texts(tree, [f for f in files if _may_be_motion(f) and _remedy(f.kind)])
    hints += [f"{file.path} may be motion, and {is_unread(file)}" for file in files[:1]]
    name = tree.name.lower()
    if name in _PARTS or _LEVEL.fullmatch(name):
        above = os.path.dirname(os.path.realpath(tree.folder))
        hints.append(f"this may be a part of a corpus: open the folder above, {above}")
    return hints


def _folders_of(folders: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return a folder and those above it."""
    return [folders[:n] for n in range(1, len(folders) + 1)]


def _remedy(kind: str) -> str | None:
    """Return what to do with a file of this suffix; None if motion rarely has it."""
    *inner, last = [f".{part}" for part in kind.split(".")[1:]] or [""]
    if inner and inner[0] in MOTION_SUFFIXES and last not in PACKED_SUFFIXES:
        return f"rename it to end in {inner[0]}, if it is whole"
    return UNREAD_SUFFIXES.get(last)


def _is_text(kind: str) -> bool:
    return kind in TEXT_SUFFIXES or kind in {f"{text}.gz" for text in TEXT_SUFFIXES}


def _may_be_motion(file: File) -> bool:
    """Return whether a suffix, or the folder for a strange one, lets a file be motion."""
    return _is_open(file.kind) and (_remedy(file.kind) is not None or _is_below_motion(file))


def _is_open(kind: str) -> bool:
    """Return whether a suffix is of nothing else than motion for sure."""
    parts = [f".{part}" for part in kind.split(".")[1:]]
    return _NEVER.isdisjoint(parts) and _MEDIA.isdisjoint(parts)


def _is_below_motion(file: File) -> bool:
    return any(folder.lower() in MOTION_FOLDERS for folder in file.folders)


def _take_of(file: File, motion_of: MotionOf) -> str | None:
    """Return the take of which a file would be the motion if its suffix were one that is read."""
    for kind in MOTION_SUFFIXES:
        take_id = motion_of(dataclasses.replace(file, suffix=kind, kind=kind))
        if take_id is not None:
            return take_id
    return None


def _closed(tree: Tree) -> list[Fault]:
    """Return the places called as motion is that cannot be looked into."""
    closed = [
        fault
        for fault in tree.faults
        if any(part.lower() in MOTION_FOLDERS for part in fault.source.split("/"))
    ]
    known = {fault.source for fault in closed}
    for file in tree.others:
        if _is_closed(file) and file.path not in known:
            packed = _remedy(file.kind) if file.kind else None
            reason = packed or "move it away, or put the folder of motion there"
            closed.append(Fault(file.path, f"is no folder that can be read: {reason}"))
    return closed


def _is_closed(file: File) -> bool:
    """Return whether a file stands for a folder of motion: an archive of it, or a shortcut."""
    is_other = _is_text(file.kind) or not _is_open(file.kind)
    return file.stem.lower() in MOTION_FOLDERS and not is_other


def _without_texts(tree: Tree, files: Sequence[File]) -> list[File]:
    """Return the files but for those of text that holds no curves.

    Of a suffix that many files have, some are looked at first: transcripts are one for each take.
    """
    by_kind: defaultdict[str, list[File]] = defaultdict(list)
    for file in files:
        by_kind[file.kind if _is_text(file.kind) else ""].append(file)
    kept = by_kind.pop("", [])
    for same in by_kind.values():
        step = max(1, len(same) // _LOOKED_AT)
        if any(_holds_curves(tree.folder / file.path) for file in same[::step][:_LOOKED_AT]):
            kept += [file for file in same if _holds_curves(tree.folder / file.path)]
    return sorted(kept, key=lambda file: file.path)


def _is_named_text(tree: Tree, file: File) -> bool:
    """Return whether a file of text, packed or not, names shapes."""
    is_text = _is_text(file.kind) or file.kind in (".csv.gz", ".json.gz")
    return is_text and _holds_curves(tree.folder / file.path, named=True)


def _holds_curves(path: Path, *, named: bool = False) -> bool:
    """Return whether the head of a file has names of shapes, or (unless `named`) many numbers."""
    from esarm_env.face.names import find_column  # not needed where nothing is looked at

    try:
        check_regular(path)
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, EOFError, zlib.error, InputError):
        return False
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    lines = head.decode(encoding, "replace").splitlines()[:_HEAD_LINES]
    cells = [[cell for cell in _BETWEEN.split(line) if cell] for line in lines]
    shapes = {find_column(cell) for row in cells for cell in row} - {None}
    numbers = [sum(map(_is_number, row)) for row in cells]
    rows = sum(n >= _LEAST_NUMBERS for n in numbers)
    if named or len(shapes) >= _LEAST_NAMES:
        return len(shapes) >= _LEAST_NAMES
    return rows > 1 or max(numbers, default=0) >= N_CHANNELS


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_called_as_motion(file: File) -> bool:
    """Return whether an archive's name has a word for motion among others."""
    words = set(re.split(r"[\W_]+", file.stem.lower()))
    return not _is_closed(file) and not words.isdisjoint(MOTION_FOLDERS) and _is_packed(file.kind)


def _is_packed(kind: str) -> bool:
    return f".{kind.rpartition('.')[2]}" in PACKED_SUFFIXES


def _packed(file: File) -> Fault:
    return Fault(file.path, f"may hold motion, and {is_unread(file)}")


def _doubtful(files: Sequence[File]) -> list[Fault]:
    """Return a fault for each top folder and suffix of files that only have a sound's name."""
    groups: defaultdict[tuple[str, str], list[File]] = defaultdict(list)
    for file in files:
        groups["/".join(file.folders[:1]), file.kind].append(file)
    faults = []
    for (top, kind), same in groups.items():
        what = f"{len(same)} {kind} files" if len(same) > 1 else f"a {kind} file"
        reason = f"holds {what} called as sound is, such as {same[0].path}"
        hint = f"if that is motion: {is_unread(same[0])}"
        faults.append(Fault(f"{top}/" if top else same[0].path, f"{reason}; {hint}"))
    return faults
