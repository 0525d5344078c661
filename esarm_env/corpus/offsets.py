"""Audio-motion offset of each take: estimated by cross-correlation, stored in `offsets.csv`.

The mouth opens with the voice: in captured speech, smoothed log-loudness and `jawOpen` correlate
0.6 to 0.8, best within a frame of lag 0. A recording whose best lag lies elsewhere is out of sync.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from esarm_env.audio.pauses import HOP_S, loudness_db
from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, BoolArray, FloatArray
from esarm_env.corpus.take_tables import TakeTable, name_columns, read_take_table
from esarm_env.corpus.takes import Fault
from esarm_env.face.names import index_of
from esarm_env.formats.numerals import decimal_sign, number
from esarm_env.formats.spellings import plain

OFFSETS_FILE = "offsets.csv"
LONGEST_CORRECTION_S = 10.0  # more is milliseconds, or another recording
_COLUMNS = ["id", "offset_s"]
_RULE = f"must be CSV with the columns {','.join(_COLUMNS)}"
_SAME_S = 5e-4  # milliseconds are rounded
_OFFSET_COLUMNS = {"offsets": 1.0, "offset": 1.0, "offsetms": 1e-3}  # by plain name
LONGEST_OFFSET_S = 0.6
SHORTEST_TAKE_S = 2.0  # below it chance peaks are as high as true ones
LEAST_CORRELATION = 0.4
LEAST_PROMINENCE = 0.05  # of the peak above any other that is not its own shoulder
_SHOULDER_FRAMES = 5
_LEAST_SPREAD_DB = 1.0  # speech has about 10
_RANGE_DB = 40.0  # below the loud parts; quieter is silence
_JAW, _CLOSE = index_of("jawOpen"), index_of("mouthClose")


@dataclass(frozen=True)
class OffsetTable:
    """Rows of `offsets.csv`.

    Attributes:
        offsets: Seconds by the name that a take is given.
        doubtful: What is wrong with the rows of other takes, by name: their offset is not known.
        faults: What is wrong with the table, and with rows that name no take.
        by_file: Whether the names are those of files, and not ids.
        others: Files that are called alike and are not read.
        notes: How it was understood.
    """

    offsets: dict[str, float]
    doubtful: dict[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    by_file: bool = False
    others: tuple[Fault, ...] = ()
    notes: tuple[Fault, ...] = ()


def read_offsets(folder: Path) -> dict[str, float]:
    """Return the offset of each take by id, in seconds; empty without a file.

    A positive offset means that the motion comes too late; readers move it forward by as much.

    Raises:
        InputError: If the file is not a table of `id,offset_s`, or an offset is out of range.
    """
    table = open_offsets(folder)
    wrong = [*table.doubtful.values(), *(fault.reason for fault in table.faults)]
    if wrong:
        has_rule = wrong[0].startswith(("must ", "numbers must "))
        reason = wrong[0] if has_rule else f"{_RULE}, got {wrong[0]}"
        raise InputError(f"{folder / OFFSETS_FILE}: {reason}")
    return table.offsets


def open_offsets(folder: Path) -> OffsetTable:
    """Return the offsets of a folder; a table or rows that cannot be used are listed."""
    table = read_take_table(folder, OFFSETS_FILE)
    found = OffsetTable({}, faults=table.faults, others=table.others, notes=table.notes)
    if not table.header:
        return found
    columns = [plain(name) for name in table.header]
    names = name_columns(table.header)
    scales = {p: _OFFSET_COLUMNS[name] for p, name in enumerate(columns) if name in _OFFSET_COLUMNS}
    try:
        if not names or not scales:
            got = f"the header {[name[:40] for name in table.header[:8]]}"
            raise InputError(f"{_RULE}, got {got}")
        offsets, doubtful = _collected(table, names, scales)
    except InputError as error:
        fault = Fault(table.path.name, f"{error}; nothing of it is used")
        return replace(found, faults=(*found.faults, fault))
    faults = list(found.faults)
    if "" in doubtful:
        faults.append(Fault(table.path.name, doubtful.pop("")))
    by_file = any(columns[place] != "id" for place in names)
    return replace(found, offsets=offsets, doubtful=doubtful, faults=tuple(faults), by_file=by_file)


def _collected(
    table: TakeTable, names: Sequence[int], scales: Mapping[int, float]
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the offsets by name, and what is wrong with the others.

    Raises:
        InputError: If numbers have two decimal signs.
    """
    cells = (row[place] for _, row in table.rows for place in scales)
    sign = decimal_sign(cells, unclear=".")
    offsets: dict[str, float] = {}
    doubtful: dict[str, str] = {}
    for line, row in table.rows:
        name = next((row[place] for place in names if row[place]), "")
        told = [place for place in scales if row[place]] or [*scales][:1]
        try:
            _check_one_name(table, names, row, doubtful)
            all_s = [_offset(name, row[place], sign=sign, scale=scales[place]) for place in told]
            offset_s = all_s[0]
            if max(all_s) - min(all_s) > _SAME_S:
                raise ValueError(f"several offsets, {', '.join(row[place] for place in told)}")
            if offsets.setdefault(name, offset_s) != offset_s:
                raise ValueError(f"an id twice, {name!r:.80}")
        except ValueError as error:
            doubtful.setdefault(name, f"{error} in {table.path.name}, line {line}")
    return {name: s for name, s in offsets.items() if name not in doubtful}, doubtful


def _check_one_name(
    table: TakeTable, names: Sequence[int], row: Sequence[str], doubtful: dict[str, str]
) -> None:
    """Raise a `ValueError`, and doubt all names, if columns of one name differ in a row."""
    by_column: dict[str, str] = {}
    for place in names:
        told = by_column.setdefault(plain(table.header[place]), row[place])
        if told != row[place]:
            reason = f"two names in one row, {told!r:.80} and {row[place]!r:.80}"
            doubtful.setdefault(row[place], f"{reason} in {table.path.name}")
            raise ValueError(reason)


def _offset(name: str, cell: str, *, sign: str, scale: float) -> float:
    """Return the seconds in a cell.

    Raises:
        ValueError: If there are none.
    """
    if not name or not cell:
        raise ValueError(f"not enough values, an id and an offset ({name!r:.80}, {cell!r:.80})")
    try:
        offset_s = number(cell, sign=sign) * scale
    except ValueError:
        raise ValueError(f"could not convert string to float: {cell!r:.80}") from None
    if not abs(offset_s) <= LONGEST_CORRECTION_S:
        raise ValueError(
            f"offsets must be seconds, at most {LONGEST_CORRECTION_S:g} early or late, got others "
            f"for {[name]}"
        )
    return offset_s


def write_offsets(folder: Path, offsets: Mapping[str, float]) -> Path:
    """Write the offsets into the corpus folder, replacing the file there; return its path.

    Raises:
        InputError: If the folder cannot be written.
    """
    path = folder / OFFSETS_FILE
    with new_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows((take, f"{offset:.4f}") for take, offset in offsets.items())
    return path


@dataclass(frozen=True)
class SyncEstimate:
    """Estimated audio-motion offset of one take.

    Attributes:
        offset_s: How late the motion comes, in seconds; negative if early.
        correlation: Of loudness and mouth opening at that offset.
        correlation_now: Without moving anything.
        reliable: Whether the peak is high and alone enough to act on.
    """

    offset_s: float
    correlation: float
    correlation_now: float
    reliable: bool


def estimate_offset(
    audio: FloatArray, motion: FloatArray, captured: BoolArray
) -> SyncEstimate | None:
    """Estimate the offset of one take by cross-correlation.

    Args:
        audio: Shape (n_samples,), 16 kHz.
        motion: Shape (T, 52), 30 fps.
        captured: Shape (52,); without `jawOpen` there is nothing to compare.

    Returns:
        The estimate, to a fraction of a frame (parabola through the peak), or None for a take that
        is too short, still, or lacks the jaw.
    """
    if not captured[_JAW] or len(motion) < SHORTEST_TAKE_S * FRAME_RATE_HZ:
        return None
    opening = motion[:, _JAW] - motion[:, _CLOSE] * captured[_CLOSE]
    loudness = frame_loudness(audio, len(motion))
    if np.std(opening) < 1e-3 or np.std(loudness) < _LEAST_SPREAD_DB:
        return None
    # Half of the take at least must overlap, or a few frames correlate by chance.
    reach = min(round(LONGEST_OFFSET_S * FRAME_RATE_HZ), len(motion) // 2)
    lags = np.arange(-reach, reach + 1)
    curve = np.array([_correlation_at(loudness, opening, int(lag)) for lag in lags])
    best = int(np.argmax(curve))
    far = np.abs(lags - lags[best]) > _SHOULDER_FRAMES
    inside = 0 < best < len(lags) - 1
    alone = curve[best] - curve[far].max(initial=-1.0) >= LEAST_PROMINENCE
    fraction = _peak_shift(curve[best - 1 : best + 2]) if inside else 0.0
    return SyncEstimate(
        offset_s=float(lags[best] + fraction) / FRAME_RATE_HZ,
        correlation=float(curve[best]),
        correlation_now=float(curve[reach]),
        reliable=bool(inside and alone and curve[best] >= LEAST_CORRELATION),
    )


def frame_loudness(audio: FloatArray, n_frames: int) -> npt.NDArray[np.float64]:
    """Return the log-loudness in dB at each frame, shape (T,), clipped below at a floor."""
    level = loudness_db(audio).astype(np.float64)
    level = np.maximum(level, np.percentile(level, 95) - _RANGE_DB)
    hops_s = (np.arange(len(level)) + 0.5) * HOP_S
    return np.interp(np.arange(n_frames) / FRAME_RATE_HZ, hops_s, level)


def _correlation_at(
    loudness: npt.NDArray[np.float64], opening: npt.NDArray[np.floating], lag: int
) -> float:
    """Return Pearson's r of loudness and the opening `lag` frames later."""
    n = len(opening) - abs(lag)
    heard = loudness[max(0, -lag) :][:n]
    seen = opening[max(0, lag) :][:n].astype(np.float64)
    if heard.std() < 1e-9 or seen.std() < 1e-9:
        return -1.0
    return float(np.corrcoef(heard, seen)[0, 1])


def _peak_shift(three: npt.NDArray[np.float64]) -> float:
    """Return the sub-sample peak of a parabola through three values, in steps from the middle."""
    left, middle, right = three
    bend = left - 2 * middle + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
