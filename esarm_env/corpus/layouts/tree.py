"""Directory scan shared by all layouts: one walk by names, no file is read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from esarm_env.corpus.takes import Fault
from esarm_env.formats.sound_suffixes import SOUND_SUFFIXES, VIDEO_SUFFIXES
from esarm_env.formats.spellings import MOTION_SUFFIXES, UNREAD_SUFFIXES

# Tables about the corpus, in its top folder; everywhere else a CSV file may be motion.
TABLES = frozenset({"metadata.csv", "offsets.csv"})

_USED = frozenset(SOUND_SUFFIXES + VIDEO_SUFFIXES + MOTION_SUFFIXES)
_INNER = _USED | set(UNREAD_SUFFIXES)


@dataclass(frozen=True, slots=True)
class File:
    """A file that may be sound or motion.

    Attributes:
        folders: Names of the folders between the corpus and the file.
        stem: Name without suffix.
        suffix: As written.
        kind: Suffix in lower case.
    """

    folders: tuple[str, ...]
    stem: str
    suffix: str
    kind: str

    @property
    def path(self) -> str:
        """Path relative to the corpus, with `/`."""
        return "/".join((*self.folders, self.stem + self.suffix))

    @property
    def is_sound(self) -> bool:
        """Whether it is a sound file."""
        return self.kind in SOUND_SUFFIXES

    @property
    def is_media(self) -> bool:
        """Whether it is a sound file or a video."""
        return self.kind in SOUND_SUFFIXES or self.kind in VIDEO_SUFFIXES

    @property
    def is_motion(self) -> bool:
        """Whether its suffix is one that motion has."""
        return self.kind in MOTION_SUFFIXES


@dataclass(frozen=True)
class Tree:
    """Sound, video and motion files of a folder.

    Attributes:
        folder: The folder.
        name: Its name, even if it was given as `.`.
        files: Everything that may be sound or motion, but for the tables about the corpus.
        entries: Names in the folder itself, sorted; those of folders end in `/`.
        faults: Folders that could not be read, dead links, and names that are not UTF-8.
        others: Files of suffixes that no reader reads.
        subfolders: Names of the folders on the way to each folder below.
    """

    folder: Path
    name: str
    files: tuple[File, ...]
    entries: tuple[str, ...]
    faults: tuple[Fault, ...]
    others: tuple[File, ...] = ()
    subfolders: tuple[tuple[str, ...], ...] = ()


def scan_tree(folder: Path) -> Tree:
    """Walk through `folder` once, without asking for any file's status.

    Hidden files and `Thumbs.db` do not count. Links to folders outside are followed; one into the
    tree itself is not, since it would bring everything twice.
    """
    files: list[File] = []
    others: list[File] = []
    walked: list[tuple[str, ...]] = []
    faults: list[Fault] = []
    entries: tuple[str, ...] = ()
    seen = {os.path.realpath(folder)}
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        folders = waiting.pop()
        try:
            inside = list(_entries(folder.joinpath(*folders)))
        except OSError as error:
            faults.append(Fault("/".join(folders) or ".", f"cannot be read ({error.strerror})"))
            continue
        for entry in [entry for entry in inside if not is_unicode(entry.name)]:
            # Cannot be printed or written to JSON or CSV without an error, so it is shown escaped.
            inside.remove(entry)
            name = os.fsencode("/".join((*folders, entry.name))).decode(errors="backslashreplace")
            faults.append(Fault(name, "has a name that is not UTF-8; rename it"))
        subfolders = {entry.name for entry in inside if _is_new_folder(entry, seen)}
        waiting += [(*folders, name) for name in subfolders]
        walked += [(*folders, name) for name in subfolders]
        inside = [entry for entry in inside if entry.name not in subfolders]
        names = [entry.name for entry in inside]
        faults += _dead_links(folders, inside)
        if not folders:
            entries = tuple(sorted([*names, *(f"{name}/" for name in subfolders)]))
            names = [name for name in names if name.lower() not in TABLES]
        for file in (_file(folders, name) for name in names):
            (files if file.kind in _USED else others).append(file)
    for found in (files, others):
        found.sort(key=lambda file: (file.folders, file.stem, file.suffix))
    faults.sort(key=lambda fault: fault.source)
    name = os.path.basename(os.path.realpath(folder))
    rest = (tuple(faults), tuple(others), tuple(sorted(walked)))
    return Tree(folder, name, tuple(files), entries, *rest)


def is_unicode(name: str) -> bool:
    """Return whether the bytes of a file's name are UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            # `._NAME` is what macOS leaves on foreign disks, beside each file and with its suffix.
            if not entry.name.startswith("."):
                yield entry


def _is_new_folder(entry: os.DirEntry[str], seen: set[str]) -> bool:
    """Return whether to go into `entry`; `seen` holds the walked root and link targets."""
    try:
        if not entry.is_dir():
            return False
    except OSError:  # a link to itself, or a target that may not be looked at: a file that fails
        return False
    if not entry.is_symlink():
        return True
    target = os.path.realpath(entry.path)
    if any(_is_within(target, root) or _is_within(root, target) for root in seen):
        return False
    seen.add(target)
    return True


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _dead_links(folders: tuple[str, ...], entries: Sequence[os.DirEntry[str]]) -> Iterator[Fault]:
    """Yield a fault for each link to nothing; one called as a file of a take costs that take."""
    for entry in entries:
        if entry.is_symlink() and not os.path.exists(entry.path):
            file = _file(folders, entry.name)
            if file.kind not in _USED:
                yield Fault(file.path, "is a link to nothing that can be opened")


def _file(folders: tuple[str, ...], name: str) -> File:
    """Return a file by its name; of `a.csv.gz`, `.csv.gz` is the suffix."""
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        return File(folders, name, "", "")
    suffix = dot + suffix
    inner_stem, dot, inner = stem.rpartition(".")
    # A suffix behind one that is known: packed, half loaded, or hidden by the file manager.
    if dot and suffix.lower() not in _USED and f".{inner.lower()}" in _INNER:
        stem, suffix = inner_stem, f".{inner}{suffix}"
    return File(folders, stem, suffix, suffix.lower())
