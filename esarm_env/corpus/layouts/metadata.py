"""Label tables: emotion names of other corpora, and `metadata.csv` in a corpus folder.

The table adds the labels that file names and folders do not tell.
"""

from __future__ import annotations

import csv
import dataclasses
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, N_INTENSITIES
from esarm_env.corpus.layouts.pairing import Found
from esarm_env.corpus.splits import SPLITS
from esarm_env.corpus.takes import Fault, Take

if TYPE_CHECKING:
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
COLUMNS = ("id", "file", "speaker", "emotion", "intensity", "text", "split")
_SHOWN = 8  # problems of a table in one error
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
    suffix. A row that names no take is listed among the faults.

    Raises:
        InputError: If the table has unknown columns, none that names the take, values that are
            not allowed, or two rows for one take; all that is wrong is named at once.
    """
    path = next((tree.folder / name for name in tree.entries if name.lower() == FILE), None)
    if path is None:
        return found
    rows = _read(path)
    ids = _ids_by_name(tree.folder, found.takes)
    changes: dict[str, dict[str, Any]] = {}
    problems, faults = [], list(found.faults)
    for line, row in rows:
        name = row.get("id") or row.get("file") or ""
        take_id = ids.get(name.replace("\\", "/").removeprefix("./"))
        labels, wrong = _labels(row)
        problems += [f"line {line}: {problem}" for problem in wrong]
        if take_id is None:
            faults.append(
                Fault(f"{path.name}, line {line}", f"names no take that is used, {name!r}")
            )
        elif take_id in changes:
            problems.append(f"line {line}: a second row for {take_id!r}")
        else:
            changes[take_id] = labels
    if problems:
        raise InputError(_listed(path, problems))
    takes = tuple(_changed(take, changes.get(take.id, {})) for take in found.takes)
    return Found(found.layout, takes, tuple(faults))


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return line number and stripped cells of each row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            columns = [column.strip().lower() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: must be a CSV table in UTF-8, got {error}") from error
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown or not {"id", "file"} & set(columns):
        rule = f"must have columns among {', '.join(COLUMNS)}, `id` or `file` with them"
        raise InputError(f"{path}: {rule}, got {', '.join(columns) or 'none'}")
    too_long = [f"line {line}: more cells than columns" for line, row in rows if "" in row]
    if too_long:
        raise InputError(_listed(path, too_long))
    return [(line, {key: cell.strip() for key, cell in row.items()}) for line, row in rows]


def _ids_by_name(folder: Path, takes: Sequence[Take]) -> dict[str, str]:
    """Return the id for each name that a row may give to a take."""
    ids = {take.id: take.id for take in takes}
    for take in takes:
        for path in (take.audio, take.motion):
            if path is not None:
                relative = path.relative_to(folder)
                ids.setdefault(relative.as_posix(), take.id)
                ids.setdefault(relative.with_suffix("").as_posix(), take.id)
                ids.setdefault(take.id + path.suffix, take.id)
    return ids


def _labels(row: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the labels of a row by attribute of `Take`, and what is wrong with them."""
    labels: dict[str, Any] = {}
    problems = []
    for column, read in _READERS.items():
        if cell := row.get(column, ""):
            try:
                labels[column] = read(cell)
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


_READERS: dict[str, Callable[[str], Any]] = {
    "speaker": str,
    "emotion": _read_emotion,
    "intensity": _read_intensity,
    "text": str,
    "split": _read_split,
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


def _listed(path: Path, problems: list[str]) -> str:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return f"{path}: must be corrected: {'; '.join(problems[:_SHOWN])}{more}"
