"""How late the motion of each take is against its audio, as a file in the corpus folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from esarm_env.cache import new_file
from esarm_env.errors import InputError

OFFSETS_FILE = "offsets.csv"
LONGEST_OFFSET_S = 10.0  # more is milliseconds, or another recording
_COLUMNS = ["id", "offset_s"]


def read_offsets(folder: Path) -> dict[str, float]:
    """Return the offset of each take by id, in seconds; empty without a file.

    A positive offset means that the motion comes too late; readers move it forward by as much.

    Raises:
        InputError: If the file is not a table of `id,offset_s`, or an offset is out of range.
    """
    path = folder / OFFSETS_FILE
    if not path.is_file():
        return {}
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
        if not rows or rows[0] != _COLUMNS:
            raise ValueError(f"the header {rows[0] if rows else 'of an empty file'}")
        pairs = [(take, float(offset)) for take, offset in filter(None, rows[1:])]
        offsets = dict(pairs)
        if len(offsets) < len(pairs):
            raise ValueError("an id twice")
    except (ValueError, OSError) as error:
        rule = f"must be CSV with the columns {','.join(_COLUMNS)}"
        raise InputError(f"{path}: {rule}, got {error}") from error
    wrong = [take for take, offset in offsets.items() if not abs(offset) <= LONGEST_OFFSET_S]
    if wrong:
        rule = f"must be seconds, at most {LONGEST_OFFSET_S:g} early or late"
        raise InputError(f"{path}: offsets {rule}, got others for {wrong[:5]}")
    return offsets


def write_offsets(folder: Path, offsets: Mapping[str, float]) -> Path:
    """Write the offsets into the corpus folder, replacing the file there; return its path.

    Raises:
        InputError: If the folder cannot be written.
    """
    path = folder / OFFSETS_FILE
    try:
        with new_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            writer.writerows((take, f"{offset:.4f}") for take, offset in offsets.items())
    except OSError as error:
        raise InputError(f"{folder}: must be writable to keep offsets, got {error}") from error
    return path
