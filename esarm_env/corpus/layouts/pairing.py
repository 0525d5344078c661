"""Pairing of files to takes: what belongs together, which of several files is used.

A layout only says of each file which take it belongs to and as what. The rules are the same for
all layouts: sound without motion is left out unless nothing has motion, motion without sound is
left out, and where two files could be the same part of a take, the order below decides.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from esarm_env.corpus.layouts.tree import File, Tree
from esarm_env.corpus.takes import Fault, Take
from esarm_env.formats.sound_suffixes import SOUND_SUFFIXES, VIDEO_SUFFIXES
from esarm_env.formats.spellings import MOTION_SUFFIXES

_PREFERENCE = {
    suffix: place
    for place, suffix in enumerate((*SOUND_SUFFIXES, *VIDEO_SUFFIXES, *MOTION_SUFFIXES))
}
# Side files such as tables and video descriptions have these; they are not worth a line each.
_OFTEN_SOMETHING_ELSE = frozenset({".csv", ".json"})


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


# Maps a file to its part; None for a file that the layout does not know.
Describe = Callable[[File], Part | Fault | None]


@dataclass(frozen=True)
class Found:
    """Takes of a folder, and what was left out.

    Attributes:
        layout: Name of the layout.
        takes: Sorted by id; all with sound, and all or none with motion.
        faults: What was left out, sorted.
    """

    layout: str
    takes: tuple[Take, ...]
    faults: tuple[Fault, ...]


def pair_files(tree: Tree, describe: Describe, *, layout: str) -> Found:
    """Group the files of `tree` to takes, as `describe` assigns them."""
    takes: dict[str, Take] = {}
    candidates: dict[str, list[tuple[Part, File]]] = defaultdict(list)
    strays: Counter[str] = Counter()
    faults = list(tree.faults)
    for file in tree.files:
        part = describe(file)
        if isinstance(part, Part):
            takes.setdefault(part.take.id, part.take)
            candidates[part.take.id].append((part, file))
        elif part is not None:
            faults.append(part)
        elif file.kind not in _OFTEN_SOMETHING_ELSE:
            strays["/".join((*file.folders[:1], "")) or file.path] += 1
    faults += [_stray(source, count, layout) for source, count in strays.items()]
    whole = []
    for take_id in sorted(takes):
        take = _with_files(tree, takes[take_id], candidates[take_id], faults)
        whole += [take] if take else []
    whole = _all_or_none_with_motion(whole, faults)
    return Found(layout, tuple(whole), tuple(sorted(faults, key=lambda fault: fault.source)))


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


def _all_or_none_with_motion(takes: list[Take], faults: list[Fault]) -> list[Take]:
    with_motion = [take for take in takes if take.motion is not None]
    if not with_motion:
        return takes  # a corpus of sound alone
    faults += [Fault(take.id, "has no motion") for take in takes if take.motion is None]
    return with_motion
