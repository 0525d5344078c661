"""Label tables: emotion names of other corpora, and `metadata.csv` in a corpus folder.

The table adds the labels that file names and folders do not tell, and the frame rate of motion
whose file states a wrong one.
"""

from __future__ import annotations

import dataclasses
import difflib
import string
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, N_INTENSITIES
from esarm_env.corpus.layouts.tree import TABLES
from esarm_env.corpus.motion.track import FASTEST_HZ, SLOWEST_HZ
from esarm_env.corpus.splits import SPLITS
from esarm_env.corpus.take_tables import (
    TakeTable,
    name_columns,
    read_take_table,
    shown_header,
)
from esarm_env.corpus.takes import Fault, Take, TakeNames
from esarm_env.formats.spellings import RATE_NAMES, plain

if TYPE_CHECKING:
    from esarm_env.corpus.layouts.pairing import Found
    from esarm_env.corpus.layouts.tree import Tree

# Intensity of an emotional take whose corpus has no levels; RAVDESS's "normal".
UNSTATED_INTENSITY = 2

_ALIASES = {
    "anger": "angry",
    "disgust": "disgusted",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}
FILE = "metadata.csv"
COLUMNS = ("id", "file", "speaker", "emotion", "intensity", "text", "split", "rate")
_RULE = f"must have columns among {', '.join(COLUMNS)}, `id` or `file` with them"
_SPLIT_ALIASES = {"val": "validation", "valid": "validation", "dev": "validation"}


def emotion_of(name: str) -> str | None:
    """Normalise an emotion's name to one of `EMOTIONS`, None if it is unknown.

    >>> emotion_of("Anger")
    'angry'
    """
    name = name.strip().lower()
    name = _ALIASES.get(name, name)
    return name if name in EMOTIONS else None


def unstated_intensity(emotion: str) -> int:
    """Return the default intensity of a take whose corpus has no levels."""
    return 1 if emotion == "neutral" else UNSTATED_INTENSITY


def apply_metadata(tree: Tree, found: Found) -> Found:
    """Apply the labels of `metadata.csv` to `found`; an empty cell changes nothing.

    A row names its take by `id`, or by `file` (or another of `TAKE_NAMES`): the path of its sound
    or motion, with or without suffix. A table that cannot be used, columns that nobody knows and
    rows that name no take are listed among the faults; so is a row with a wrong label, which costs
    its take, since without the row it would have another.

    Raises:
        InputError: If the table has a column whose name is nearly that of a label.
    """
    table = read_take_table(tree.folder, FILE)
    faults = [*found.faults, *table.faults, *table.others, *_tables_below(tree, found)]
    notes = (*found.notes, *table.notes)
    places = name_columns(table.header)
    if not places:
        if table.header:
            got = shown_header(table.header)
            faults.append(Fault(table.path.name, f"{_RULE}, got {got}; nothing of it is used"))
        return dataclasses.replace(found, faults=tuple(faults), notes=notes)
    columns = _columns(table, places, faults)
    labels = _labelled(table, places, columns, TakeNames(tree.folder, found.takes), faults)
    told = ((take, labels.get(take.id, {})) for take in found.takes)
    takes = tuple(_changed(take, changes) for take, changes in told if changes is not None)
    return dataclasses.replace(found, takes=takes, faults=tuple(faults), notes=notes)


def _labelled(
    table: TakeTable,
    places: Sequence[int],
    columns: Sequence[str],
    names: TakeNames,
    faults: list[Fault],
) -> dict[str, dict[str, Any] | None]:
    """Return the labels of each take that a row names, None for one that its row costs.

    Args:
        table: The rows.
        places: Of the columns that name the take.
        columns: Of which label each column is.
        names: Of the takes.
        faults: Grows by what is wrong with rows.
    """
    changes: dict[str, dict[str, Any]] = {}
    lost: set[str] = set()
    for line, cells in table.rows:
        named = {cell: names.called(cell) for cell in (cells[place] for place in places) if cell}
        takes = sorted({take_id for take_id in named.values() if take_id is not None})
        where = f"{table.path.name}, line {line}"
        if not takes:
            name = next(iter(named), "")
            faults.append(Fault(where, f"names no take that is used, {name!r:.80}"))
            continue
        row, problems = _row(columns, cells)
        labels, wrong = _labels(row)
        problems += wrong
        if len(takes) > 1:
            problems.append("names more than one take")
        if changes.setdefault(takes[0], labels) != labels:
            problems.append(f"a second row for {takes[0]!r}, with other labels")
        if problems:
            faults.append(Fault(where, _lost(problems, takes)))
            lost.update(takes)
    return changes | dict.fromkeys(lost)


def _lost(problems: Sequence[str], takes: Sequence[str]) -> str:
    are = "is" if len(takes) == 1 else "are"
    return f"{'; '.join(problems)}; {', '.join(takes)} {are} left out"


def _tables_below(tree: Tree, found: Found) -> list[Fault]:
    """Return a fault for each table that lies deeper than it is read."""
    listed = {fault.source for fault in found.faults}
    listed |= {
        take.motion.relative_to(tree.folder).as_posix() for take in found.takes if take.motion
    }
    return [
        Fault(file.path, "is not read here, but only in the corpus folder itself; move it there")
        for file in tree.files
        if file.folders and f"{file.stem}{file.kind}".lower() in TABLES and file.path not in listed
    ]


def _columns(table: TakeTable, places: Sequence[int], faults: list[Fault]) -> list[str]:
    """Return what each column holds, an empty name for others; list these.

    Raises:
        InputError: If one is nearly called as a label that no column has.
    """
    columns = [_column(name) for name in table.header]
    unknown = [
        name.lower()
        for place, (name, column) in enumerate(zip(table.header, columns, strict=True))
        if name and not column and place not in places
    ]
    near = _near(unknown, [column for column in COLUMNS if column not in columns])
    if near:
        got = shown_header([name.lower() for name in table.header])
        raise InputError(f"{table.path}: {_RULE}, got {got}; did you mean {', '.join(near)}?")
    faults += [
        Fault(table.path.name, f"has a column {name[:40]!r}, which is none of {', '.join(COLUMNS)}")
        for name in unknown[:20]
    ]
    return ["" if place in places else column for place, column in enumerate(columns)]


def _column(name: str) -> str:
    """Return which of `COLUMNS` is called so, an empty name for none."""
    form = plain(name)
    if form in RATE_NAMES:
        return "rate"
    return form if form in COLUMNS else ""


def _row(columns: Sequence[str], cells: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the cells of a row by column, and what is wrong with the row as such."""
    problems = ["more cells than columns"] if len(cells) > len(columns) else []
    row: dict[str, str] = {}
    for column, cell in zip(columns, cells, strict=False):
        text = unicodedata.normalize("NFC", cell)  # speakers and sentences are compared
        if column and text and row.setdefault(column, text) != text:
            problems.append(f"two values of `{column}`, {row[column]!r:.40} and {text!r:.40}")
    return row, problems


def _near(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return those of `known` that one of `names` is nearly, as misspelt columns are."""
    near = [difflib.get_close_matches(name[:40], known, n=1, cutoff=0.75) for name in names[:50]]
    return [close[0] for close in near if close]


def _labels(row: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the labels of a row by attribute of `Take`, and what is wrong with them."""
    labels: dict[str, Any] = {}
    problems = []
    for column, read in _READERS.items():
        if cell := row.get(column, ""):
            try:
                labels[_ATTRIBUTES.get(column, column)] = read(cell)
            except ValueError as error:
                problems.append(f"`{column}` must be {error}, got {cell!r}")
    return labels, problems


def _read_emotion(cell: str) -> str:
    if (emotion := emotion_of(cell)) is None:
        raise ValueError(f"one of {', '.join(EMOTIONS)}")
    return emotion


def _read_intensity(cell: str) -> int:
    if cell not in map(str, range(1, N_INTENSITIES + 1)):
        raise ValueError(f"1 to {N_INTENSITIES}")
    return int(cell)


def _read_split(cell: str) -> str:
    split = _SPLIT_ALIASES.get(cell.lower(), cell.lower())
    if split not in SPLITS:
        raise ValueError(f"one of {', '.join(SPLITS)}")
    return split


def _read_rate(cell: str) -> float:
    frames, _, seconds = cell.replace(",", ".").partition("/")
    try:
        rate_hz = float(frames) / float(seconds or 1)
    except (ValueError, ZeroDivisionError):
        rate_hz = float("nan")
    if not SLOWEST_HZ <= rate_hz <= FASTEST_HZ:
        raise ValueError(
            f"frames a second from {SLOWEST_HZ:g} to {FASTEST_HZ:g}, as 59.94 or 60000/1001"
        )
    return rate_hz


_ATTRIBUTES = {"rate": "rate_hz"}  # of a take, where they are not called as their column
_READERS: dict[str, Callable[[str], Any]] = {
    "speaker": str,
    "emotion": _read_emotion,
    "intensity": _read_intensity,
    "text": str,
    "split": _read_split,
    "rate": _read_rate,
}


def _changed(take: Take, labels: dict[str, Any]) -> Take:
    if not labels:
        return take
    if "emotion" in labels:
        labels = {"intensity": unstated_intensity(labels["emotion"])} | labels
    if "text" in labels:
        words = labels["text"].lower().translate(str.maketrans("", "", string.punctuation))
        labels = {"sentence": " ".join(words.split())} | labels
    return dataclasses.replace(take, **labels)
