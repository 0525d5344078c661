"""Pairing of files to takes: what belongs together, which of several files is used.

A layout only says of each file which take it belongs to and as what. The rules are the same for
all layouts: sound without motion is left out unless there is no motion at all, motion without sound
is left out, and where two files could be the same part of a take, the order below decides. Names
that look the same are the same where nothing else fits.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts.tree import File, Tree
from esarm_env.corpus.layouts.unread import (
    Unread,
    find_unread,
    hints_on_sound_alone,
    is_unread,
)
from esarm_env.corpus.takes import Fault, Take
from esarm_env.formats.sound_suffixes import SOUND_SUFFIXES, VIDEO_SUFFIXES
from esarm_env.formats.spellings import MOTION_SUFFIXES, difference, name_form

if TYPE_CHECKING:
    from esarm_env.corpus.vertices.fitting import Fit

_PREFERENCE = {
    suffix: place
    for place, suffix in enumerate((*SOUND_SUFFIXES, *VIDEO_SUFFIXES, *MOTION_SUFFIXES))
}
# Side files such as tables and video descriptions have these; they are not worth a line each.
_OFTEN_SOMETHING_ELSE = frozenset({".csv", ".json", ".jsonl", ".ndjson"})


@dataclass(frozen=True, slots=True)
class Part:
    """Role of a file in a take.

    Attributes:
        take: The take, as the file's place and name tell it, without its files.
        role: What the file is in it. `unused` makes the take known, so that one of which nothing
            else is there is listed as such.
        rank: The lowest of a take's files in one role is used. Files of different rank are
            alternatives, files of equal rank are duplicates and listed.
    """

    take: Take
    role: Literal["audio", "motion", "unused"]
    rank: int = 0


_LOOKED_AT, _LOOKED_AT_IN_ALL = 3, 48  # files read to see whether they are motion

# Maps a file to its part; None for a file that the layout does not know.
Describe = Callable[[File], Part | Fault | None]


@dataclass(frozen=True)
class Found:
    """Takes of a folder, and what was left out.

    Attributes:
        layout: Name of the layout.
        takes: Sorted by id; all with sound, and all or none with motion.
        faults: What was left out, sorted.
        notes: What was put together though names differ in form.
        fits: How near the motion of a take comes to its vertices, by id, where it was fitted.
    """

    layout: str
    takes: tuple[Take, ...]
    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...] = ()
    fits: dict[str, Fit] = field(default_factory=dict)


def pair_files(tree: Tree, describe: Describe, *, layout: str) -> Found:
    """Group the files of `tree` to takes, as `describe` assigns them.

    Raises:
        InputError: If there are sound and motion of which none belong together.
    """
    takes: dict[str, Take] = {}
    candidates: dict[str, list[tuple[Part, File]]] = defaultdict(list)
    strays: Counter[str] = Counter()
    others: list[File] = []
    faults = list(tree.faults)
    for file in tree.files:
        part = describe(file)
        if isinstance(part, Part):
            takes.setdefault(part.take.id, part.take)
            candidates[part.take.id].append((part, file))
        elif part is not None:
            faults.append(part)
        elif file.kind in _OFTEN_SOMETHING_ELSE:
            others.append(file)
        else:
            strays["/".join((*file.folders[:1], "")) or file.path] += 1
    faults += [_stray(source, count, layout) for source, count in strays.items()]
    faults += _stray_motion(tree, others)
    notes = _join_by_form(candidates)
    whole = []
    for take_id in sorted(candidates):
        take = _with_files(tree, takes[take_id], candidates[take_id], faults)
        whole += [take] if take else []
    unread = _unread_of(tree, describe, whole, candidates)
    if whole and all(take.motion is None for take in whole):
        _check_sound_alone(tree, candidates, unread)
    whole = _all_or_none_with_motion(whole, faults, unread)
    faults += [fault for fault in unread.faults() if fault not in faults]
    if whole and whole[0].motion is None:
        faults += hints_on_sound_alone(tree)
    found = tuple(sorted(faults, key=lambda fault: fault.source))
    return Found(layout, tuple(whole), found, tuple(notes))


def _join_by_form(candidates: dict[str, list[tuple[Part, File]]]) -> list[Fault]:
    """Give motion to the sound whose id looks the same, where each lacks the other; note it."""
    halves: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"audio": [], "motion": []})
    for take_id, parts in candidates.items():
        roles = {part.role for part, _ in parts} - {"unused"}
        if len(roles) == 1:
            halves[name_form(take_id)][roles.pop()].append(take_id)
    notes = []
    for half in halves.values():
        if len(half["audio"]) == len(half["motion"]) == 1:
            sound, motion = half["audio"][0], half["motion"][0]
            path = candidates[motion][0][1].path
            candidates[sound] += candidates.pop(motion)
            how = difference(sound, motion)
            notes.append(Fault(sound, f"is paired with {path}, whose name differs {how}"))
    return notes


def _unread_of(
    tree: Tree,
    describe: Describe,
    whole: list[Take],
    candidates: dict[str, list[tuple[Part, File]]],
) -> Unread:
    """Return the motion that is not read, of takes with sound and of others."""

    def motion_of(file: File) -> str | None:
        part = describe(file)
        return part.take.id if isinstance(part, Part) and _is_motion(part) else None

    read = (key for key, parts in candidates.items() if any(_is_motion(part) for part, _ in parts))
    lacking = {name_form(take.id) for take in whole if take.motion is None}
    return find_unread(tree, motion_of, lacking=lacking, paired=set(map(name_form, read)))


def _check_sound_alone(
    tree: Tree, candidates: dict[str, list[tuple[Part, File]]], unread: Unread
) -> None:
    """Raise an error if there is motion beside sound that has none.

    Such a folder would open as a corpus of still faces. Where motion is known to be unread, its
    takes are left out instead.
    """
    if unread.of_takes or unread.closed:
        return
    described = [file for parts in candidates.values() for part, file in parts if _is_motion(part)]
    motion = described or _found_motion(tree, [file for file in tree.files if file.is_motion])
    if motion or unread.lonely:
        sound = next(file for file in tree.files if file.is_media)
        found = (motion or unread.lonely)[0]
        raise InputError(
            f"{tree.folder}: must have sound and motion of equal names, got none that belong "
            f"together, such as {sound.path} and {found.path}"
            + ("" if motion else f" ({is_unread(found)})")
            + "; rename one of each pair, or move the motion away to open the sound alone"
        )


def _is_motion(part: Part) -> bool:
    return part.role == "motion"


def _stray_motion(tree: Tree, files: list[File]) -> list[Fault]:
    """Return a fault for each top folder with motion among files that a layout does not know."""
    faults = []
    for top, inside in _by_top(files).items():
        found = _found_motion(tree, inside)
        if found:
            what = f"{len(inside)} {found[0].kind} files" if len(inside) > 1 else "a file"
            reason = f"holds {what} of motion that belong to no sound, such as {found[0].path}"
            faults.append(Fault(f"{top}/" if top else found[0].path, reason))
    return faults


def _by_top(files: list[File]) -> dict[str, list[File]]:
    tops: defaultdict[str, list[File]] = defaultdict(list)
    for file in files:
        tops["/".join(file.folders[:1])].append(file)
    return tops


def _found_motion(tree: Tree, files: list[File]) -> list[File]:
    """Return those among the first files of each folder and kind that are read as motion."""
    from esarm_env.corpus.motion import measure_track  # readers, which names alone do not need

    seen: Counter[tuple[tuple[str, ...], str]] = Counter()
    chosen = []
    for file in files:
        seen[file.folders, file.kind] += 1
        if seen[file.folders, file.kind] <= _LOOKED_AT:
            chosen.append(file)
    found = []
    for file in chosen[:_LOOKED_AT_IN_ALL]:
        try:
            extent = measure_track(tree.folder / file.path)
        except InputError:
            continue
        if extent.n_frames > 1:  # a single one is a calibration
            found.append(file)
    return found


def _stray(source: str, count: int, layout: str) -> Fault:
    """Summarise the files of a top folder that the layout does not know in one fault."""
    if not source.endswith("/"):
        return Fault(source, f"does not fit `{layout}`")
    return Fault(source, f"holds {count} sound, video or motion files that do not fit `{layout}`")


def _with_files(
    tree: Tree, take: Take, parts: list[tuple[Part, File]], faults: list[Fault]
) -> Take | None:
    """Return the take with its files, or None without sound."""
    audio = _best(parts, "audio", faults)
    motion = _best(parts, "motion", faults)
    if audio is None:
        source = motion or parts[0][1]
        faults.append(Fault(source.path, "has no audio"))
        return None
    return dataclasses.replace(
        take,
        speaker=unicodedata.normalize("NFC", take.speaker),  # one name of two forms is one speaker
        audio=tree.folder / audio.path,
        motion=tree.folder / motion.path if motion else None,
    )


def _best(parts: list[tuple[Part, File]], role: str, faults: list[Fault]) -> File | None:
    """Return the file to use in `role`, and list its duplicates."""
    ranked = sorted(
        (
            (part.rank, _PREFERENCE[file.kind], file.path, file)
            for part, file in parts
            if part.role == role
        ),
        key=lambda item: item[:3],
    )
    if not ranked:
        return None
    used = ranked[0]
    faults += [
        Fault(path, f"is a duplicate of {used[2]}, which is used")
        for rank, _, path, _ in ranked[1:]
        if rank == used[0]
    ]
    return used[3]


def _all_or_none_with_motion(takes: list[Take], faults: list[Fault], unread: Unread) -> list[Take]:
    """Return the takes with motion, or all of a corpus of sound alone; list the others."""
    with_motion = [take for take in takes if take.motion is not None]
    if not with_motion and not unread.of_takes and not unread.closed:
        return takes  # a corpus of sound alone
    for take in takes:
        if take.motion is None:
            faults.append(_lack_of_motion(take, unread))
    return with_motion


def _lack_of_motion(take: Take, unread: Unread) -> Fault:
    """Return the fault of a take without motion."""
    if file := unread.of_takes.get(name_form(take.id)):
        reason = f"is taken for the motion of {take.id} by its name, and {is_unread(file)}"
        return Fault(file.path, f"{reason}; if it is none, move it away")
    if unread.closed:
        return Fault(take.id, f"has no motion that can be read; {unread.closed[0]}")
    return Fault(take.id, "has no motion")
