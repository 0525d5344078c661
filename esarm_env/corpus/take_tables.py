"""Tables about takes in a corpus folder, `metadata.csv` and `offsets.csv`, as they lie there.

A table that cannot be read costs itself, and is listed with the reason: no other file of the folder
depends on it. So is what is called nearly like one, and read by nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from esarm_env.core.errors import InputError
from esarm_env.corpus.takes import Fault
from esarm_env.formats.files import check_regular
from esarm_env.formats.sound_suffixes import SOUND_SUFFIXES, VIDEO_SUFFIXES
from esarm_env.formats.spellings import TAKE_NAMES, plain
from esarm_env.formats.tables import read_records, read_words

_FIRST_NAMES = ("id", "file")  # both may stand in one table
_SHOWN_LETTERS = 40


@dataclass(frozen=True)
class TakeTable:
    """Rows of a table about takes.

    Attributes:
        path: The file, whatever its capitals.
        header: Names of its columns; empty where it cannot be used.
        rows: Line number and cells of each row, as many as the header has or more.
        faults: Why it cannot be used, or rows of it that are no CSV.
        others: Files that are called alike and are not read.
        notes: How it was understood.
    """

    path: Path
    header: tuple[str, ...] = ()
    rows: tuple[tuple[int, list[str]], ...] = ()
    faults: tuple[Fault, ...] = ()
    others: tuple[Fault, ...] = ()
    notes: tuple[Fault, ...] = ()


def read_take_table(folder: Path, name: str) -> TakeTable:
    """Read the table called `name` in a folder; one that is not there has neither header nor fault.

    Args:
        folder: The corpus.
        name: In small letters. Where several differ in capitals, that in small letters is read.
    """
    path, others = _find(folder, name)
    if path is None:
        return TakeTable(folder / name, others=others)
    try:
        check_regular(path)
        text, is_guessed = read_words(path)
        header, rows, wrong = read_records(path, text)
        if not header:
            raise InputError(f"{path}: must name its columns, got the header of an empty file")
    except InputError as error:
        return TakeTable(path, faults=(_unusable(path, str(error)),), others=others)
    faults = tuple(Fault(f"{path.name}, line {line}", fault) for line, fault in wrong)
    notes = tuple(_guess(path, text) if is_guessed else ())
    return TakeTable(path, tuple(header), tuple(rows), faults, others, notes)


def name_columns(header: Sequence[str]) -> list[int]:
    """Return the places of the columns that name the take of a row; none where no column does.

    `id` and `file` count first and may stand side by side; of others one is meant.
    """
    names = [plain(column) for column in header]
    known = [name for name in _FIRST_NAMES if name in names]
    known = known or [name for name in TAKE_NAMES if name in names][:1]
    return [place for name in known for place, column in enumerate(names) if column == name]


def shown_header(header: Sequence[str]) -> str:
    """Return the names of columns for a message."""
    return ", ".join(column[:_SHOWN_LETTERS] for column in header[:20]) or "none"


def _find(folder: Path, name: str) -> tuple[Path | None, tuple[Fault, ...]]:
    """Return the table in a folder, and what else is called like one."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # listed by the scan of the folder
        return None, ()
    found = [each for each in names if each.lower() == name]
    if found:
        used = found[-1]  # small letters come behind others
        others = tuple(Fault(each, f"is not read, since {used} is") for each in found[:-1])
        return folder / used, others
    return None, tuple(
        Fault(each, f"is not read; if it is the table, save it as {name}")
        for each in names
        if _is_called_like(each, name)
    )


def _is_called_like(name: str, table: str) -> bool:
    """Return whether a file has the name of a table with another suffix, or nearly its name."""
    stem, _, suffix = name.partition(".")
    is_media = f".{suffix.lower()}" in SOUND_SUFFIXES + VIDEO_SUFFIXES
    return bool(stem) and not is_media and plain(stem).startswith(table.partition(".")[0])


def _unusable(path: Path, reason: str) -> Fault:
    return Fault(path.name, f"{reason.removeprefix(f'{path}: ')}; nothing of it is used")


def _guess(path: Path, text: str) -> Iterator[Fault]:
    """Yield the note on a guessed encoding, with the first word that shows it."""
    for line, row in enumerate(text.splitlines(), 1):
        if not row.isascii():
            # By plain spaces: Windows-1252 has one that `split()` would take for such, too.
            words = row.replace(",", " ").replace("\t", " ").split(" ")
            word = next(word for word in words if not word.isascii())
            yield Fault(
                path.name,
                f"is not in UTF-8 and was read as Windows-1252, such as {word[:_SHOWN_LETTERS]!r} "
                f"in line {line}; if that is wrong, save it as CSV in UTF-8",
            )
            return
