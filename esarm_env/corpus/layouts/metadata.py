"""Label tables: emotion names of other corpora, and `metadata.csv` in a corpus folder.

The table adds the labels that file names and folders do not tell, and the frame rate of motion
whose file states a wrong one.
"""

from __future__ import annotations

import dataclasses
import difflib
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, N_INTENSITIES
from esarm_env.corpus.motion.track import FASTEST_HZ, SLOWEST_HZ
from esarm_env.corpus.splits import SPLITS
from esarm_env.corpus.takes import Fault, Take, TakeNames
from esarm_env.formats.files import check_regular
from esarm_env.formats.tables import read_records

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

    A row names its take by `id`, or by `file`: the path of its sound or motion, with or without
    suffix. Columns that nobody knows and rows that name no take are listed among the faults; so is
    a row with a wrong label, which costs its take, since without the row it would have another.

    Raises:
        InputError: If the table cannot be read, has no column that names the take, or one whose
            name is nearly that of a label.
    """
    path = next((tree.folder / name for name in tree.entries if name.lower() == FILE), None)
    if path is None:
        return found
    try:
        check_regular(path)
    except InputError as error:
        return dataclasses.replace(found, faults=(*found.faults, Fault(FILE, str(error))))
    table = _read(path)
    names = TakeNames(tree.folder, found.takes)
    changes: dict[str, dict[str, Any]] = {}
    lost: set[str] = set()
    faults = [*found.faults, *table.faults]
    for line, row, problems in table.rows:
        name = row.get("id") or row.get("file") or ""
        take_id = names.called(name)
        labels, wrong = _labels(row)
        problems = [*problems, *wrong]
        where = f"{path.name}, line {line}"
        if take_id is None:
            faults.append(Fault(where, f"names no take that is used, {name!r:.80}"))
            continue
        if changes.setdefault(take_id, labels) != labels:
            problems.append(f"a second row for {take_id!r}, with other labels")
        if problems:
            faults.append(Fault(where, f"{'; '.join(problems)}; {take_id} is left out"))
            lost.add(take_id)
    takes = (_changed(take, changes.get(take.id, {})) for take in found.takes)
    kept = tuple(take for take in takes if take.id not in lost)
    return dataclasses.replace(found, takes=kept, faults=tuple(faults))


@dataclasses.dataclass(frozen=True)
class _LabelTable:
    """Rows of `metadata.csv`: line, cells by column, and what is wrong with the row as such."""

    rows: list[tuple[int, dict[str, str], list[str]]]
    faults: list[Fault]


def _read(path: Path) -> _LabelTable:
    """Return the rows of the table, and faults of columns and of rows that are no CSV."""
    header, rows, wrong = read_records(path)
    columns = [column.lower() for column in header]
    unknown = [column for column in columns if column and column not in COLUMNS]
    near = _near(unknown, [column for column in COLUMNS if column not in columns])
    if near or not {"id", "file"} & set(columns):
        rule = f"must have columns among {', '.join(COLUMNS)}, `id` or `file` with them"
        meant = f"; did you mean {', '.join(near)}?" if near else ""
        got = ", ".join(column[:40] for column in columns[:20]) or "none"
        raise InputError(f"{path}: {rule}, got {got}{meant}")
    faults = [Fault(f"{path.name}, line {line}", fault) for line, fault in wrong]
    faults += [
        Fault(path.name, f"has a column {column[:40]!r}, which is none of {', '.join(COLUMNS)}")
        for column in unknown[:20]
    ]
    told = []
    for line, cells in rows:
        row = {column: cell for column, cell in zip(columns, cells, strict=False) if column}
        too_long = ["more cells than columns"] if len(cells) > len(columns) else []
        told.append((line, row, too_long))
    return _LabelTable(told, faults)


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
