"""Live Link Face CSV files, read and written: what Unreal, Blender add-ons and Maya import.

63 columns: timecode, number of values, 52 shapes in the app's own order, nine rotations of head and
eyes. Columns are matched to ours by name; the app's order has right before left in two places.

A timecode HH:MM:SS:FF.mmm counts frames and thousandths of a frame. A phone that records 30 frames
a second still counts in 60ths (`:47.169`, `:49.169`, ...), and its camera is a little off either
rate, so only the timecode tells when a frame was taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError
from esarm_env.core.types import (
    FRAME_RATE_HZ,
    N_CHANNELS,
    BoolArray,
    DoubleArray,
    FloatArray,
    IntArray,
)
from esarm_env.face.names import ORDERS, ROTATIONS, convert, to_arkit_order

HEADER = ("Timecode", "BlendShapeCount", *ORDERS["livelink_csv"], *ROTATIONS)
RATES_HZ = (30, 60)
TIMECODE_RATES_HZ = (24, 25, 30, 50, 60)

Row = tuple[int, list[str]]

_TIMECODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,3}))?")
_LONGEST_GAP_S = 2.0
_RATE_TOLERANCE = 0.5  # 24 and 25 fps are one apart


def _frame_of(timecode: str, rate_hz: int) -> float | None:
    """Return the frame number a timecode HH:MM:SS:FF.mmm stands for, None if it is not one."""
    found = _TIMECODE.fullmatch(timecode.strip())
    if found is None:
        return None
    hours, minutes, seconds, frames = (int(group) for group in found.groups()[:4])
    if minutes > 59 or seconds > 59 or frames >= rate_hz:
        return None
    thousandths = int((found[5] or "0").ljust(3, "0"))
    return ((hours * 60 + minutes) * 60 + seconds) * rate_hz + frames + thousandths / 1000


def _timecode(frame: int, rate_hz: int, *, fraction: str) -> str:
    """Return HH:MM:SS:FF.mmm for a frame number, wrapping at midnight."""
    seconds, frames = divmod(frame, rate_hz)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02}:{minutes:02}:{seconds:02}:{frames:02}.{fraction}"


def _at_rate(motion: FloatArray, rate_hz: int) -> FloatArray:
    """Upsample 30 fps motion linearly to 30 or 60 fps, (T, 52) or (2 T - 1, 52)."""
    if rate_hz == FRAME_RATE_HZ:
        return motion
    result = np.empty((2 * len(motion) - 1, motion.shape[1]), dtype=np.float32)
    result[::2] = motion
    result[1::2] = 0.5 * (motion[:-1] + motion[1:])
    return result


def _write_atomically(path: Path, text: str) -> None:
    """Write a file so that no reader ever sees half of it."""
    write_text(path, text, make_folder=False)


def write_livelink_csv(
    path: str | os.PathLike[str],
    motion: npt.ArrayLike,
    *,
    rate_hz: int = FRAME_RATE_HZ,
    start_timecode: str = "00:00:00:00.000",
) -> None:
    """Write motion as a Live Link Face recording.

    Args:
        path: The CSV file; replaced at once if it exists.
        motion: Shape (T, 52), 30 fps, alphabetical order; clipped to [0, 1].
        rate_hz: 30, or 60 as the app records: T frames become 2 T - 1.
        start_timecode: Of the first row, HH:MM:SS:FF.mmm with FF below `rate_hz`.

    Raises:
        InputError: If an argument breaks its rule or the file cannot be written.
    """
    values = np.asarray(motion, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] != N_CHANNELS or not len(values):
        rule = f"(T, {N_CHANNELS}) with T at least 1"
        raise InputError(f"`motion` must have shape {rule}, got {values.shape}")
    if not np.all(np.isfinite(values)):
        raise InputError("`motion` must be finite, got nan or infinity")
    if rate_hz not in RATES_HZ:
        raise InputError(f"`rate_hz` must be one of {RATES_HZ}, got {rate_hz}")
    start = _frame_of(start_timecode, rate_hz)
    if start is None:
        rule = f"HH:MM:SS:FF.mmm with FF below {rate_hz}"
        raise InputError(f"`start_timecode` must be {rule}, got {start_timecode!r}")
    fraction = f"{start % 1:.3f}"[2:]
    rows = convert(
        _at_rate(np.clip(values, 0.0, 1.0), rate_hz), source="alphabetical", target="livelink_csv"
    )
    count, rotations = str(len(HEADER) - 2), ",0.000000" * len(ROTATIONS)
    lines = [",".join(HEADER)]
    for number, row in enumerate(rows):
        numbers = ",".join(f"{value:.6f}" for value in row)
        timecode = _timecode(int(start) + number, rate_hz, fraction=fraction)
        lines.append(f"{timecode},{count},{numbers}{rotations}")
    _write_atomically(Path(path), "\n".join(lines) + "\n")


def _fault(path: Path, line: int, got: str) -> InputError:
    """Build the error for a bad line of a recording."""
    return InputError(f"{path}: must be a Live Link Face recording, got {got} in line {line}")


def read_rows(path: Path) -> list[Row]:
    """Return the cells of a CSV file, line by line with the line's number; empty ones left out.

    Raises:
        InputError: If the file is missing or no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: must be a readable file, got {reason}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: must be CSV text in UTF-8, got {error}") from error
    lines = text.replace('"', "").splitlines()
    return [(number, line.split(",")) for number, line in enumerate(lines, 1) if line.strip()]


def numbers_of(rows: Sequence[Row], fault: Callable[[int, str], InputError]) -> DoubleArray:
    """Return the numbers in rows of equal length, shape (T, n); an empty cell is NaN.

    Raises:
        InputError: `fault(line, what is there)` for the first cell that is no number.
    """
    try:
        return np.array([cells for _, cells in rows], dtype=np.float64)
    except ValueError:  # rare, so that finding the cell may be slow
        return np.array([_row_numbers(row, fault) for row in rows])


def _row_numbers(row: Row, fault: Callable[[int, str], InputError]) -> list[float]:
    line, cells = row
    numbers = []
    for cell in cells:
        try:
            numbers.append(float(cell) if cell.strip() else np.nan)
        except ValueError as error:
            raise fault(line, f"a value that is not a number ({cell!r})") from error
    return numbers


@dataclass(frozen=True)
class Recording:
    """Contents of a Live Link Face recording, unchanged.

    Attributes:
        frames: Shape (T,), float64, frame numbers from the first row on, ascending, with fractions;
            where the app dropped frames, there is a gap.
        rate_hz: How many frames the timecodes count in a second.
        values: Shape (T, 52), float32, alphabetical order, as stored; NaN where `seen` is False,
            0 in columns that the file lacks.
        captured: Shape (52,), bool; False for columns that the file lacks.
        seen: Shape (T,), bool; False in rows in which the app had lost the face.
        lines: Shape (T,), int64, where in the file each row stands.
    """

    frames: DoubleArray
    rate_hz: int
    values: FloatArray
    captured: BoolArray
    seen: BoolArray
    lines: IntArray


def read_recording(
    path: Path, *, rate_hz: int | None = None, allow_missing: bool = True
) -> Recording:
    """Read a Live Link Face recording without changing anything in it.

    Rows that repeat the timecode of the row before are left out.

    Args:
        path: The CSV file, columns in any order, rotations optional.
        rate_hz: What the timecodes count; by default told from them, 30 where less than a second
            does not tell.
        allow_missing: False refuses a file that lacks one of the 52 shapes.

    Raises:
        InputError: If the file is no such recording; the message names the file and the line.
    """
    rows = read_rows(path)
    shapes = _shape_names(path, rows)
    frames, rate = _frame_numbers(path, rows[1:], rate_hz)
    fresh = np.diff(frames, prepend=-1.0) > 0
    kept = [row for row, is_fresh in zip(rows[1:], fresh, strict=True) if is_fresh]
    seen = np.array([not _is_lost(cells) for _, cells in kept])
    values, captured = _rows_in_our_order(
        path, rows[0][0], kept, seen=seen, shapes=shapes, allow_missing=allow_missing
    )
    lines = np.array([line for line, _ in kept], dtype=np.int64)
    return Recording(frames[fresh], rate, values, captured, seen, lines)


def measure_recording(path: Path) -> tuple[int, float]:
    """Return the number of frames of a recording and the seconds from its first to its last.

    Raises:
        InputError: If header or timecodes are not those of a recording.
    """
    rows = read_rows(path)
    _shape_names(path, rows)
    frames, rate = _frame_numbers(path, rows[1:], None)
    return len(np.unique(frames)), float(frames[-1]) / rate


def _shape_names(path: Path, rows: Sequence[Row]) -> list[str]:
    """Return the names behind the first two columns of a table with at least one row."""
    if len(rows) < 2:
        raise _fault(path, len(rows), "no row of values")
    line, header = rows[0]
    names = [name.strip() for name in header]
    # Writers spell the second one with a capital or a small s.
    if [name.lower() for name in names[:2]] != [name.lower() for name in HEADER[:2]]:
        raise _fault(path, line, f"a header that starts with {','.join(names[:2])!r}")
    return names[2:]


def _is_lost(cells: Sequence[str]) -> bool:
    """Return whether a row marks a lost face: no values, or zeros alone."""
    counted = cells[1].strip() if len(cells) > 1 else ""
    return counted == "0" and not any(cell.strip(" -0.") for cell in cells[2:])


def _rows_in_our_order(
    path: Path,
    header_line: int,
    rows: Sequence[Row],
    *,
    seen: BoolArray,
    shapes: Sequence[str],
    allow_missing: bool,
) -> tuple[FloatArray, BoolArray]:
    """Return the values of rows in our column order, (T, 52), and the mask of shapes present."""
    found = [
        (line, cells[2:]) for (line, cells), is_seen in zip(rows, seen, strict=True) if is_seen
    ]
    for line, cells in found:
        if len(cells) != len(shapes):
            raise _fault(path, line, f"{len(cells) + 2} columns instead of {len(shapes) + 2}")
    table = np.full((len(rows), len(shapes)), np.nan)
    if found:
        table[seen] = numbers_of(found, lambda line, got: _fault(path, line, got))
    try:
        values, captured = to_arkit_order(shapes, table, allow_missing=allow_missing)
    except InputError as error:
        raise _fault(path, header_line, f"a faulty header ({error})") from error
    return values, captured


def _frame_numbers(path: Path, rows: Sequence[Row], rate_hz: int | None) -> tuple[DoubleArray, int]:
    """Return the frame number of each row, 0 for the first, and the rate they count at."""
    timecodes = [cells[0].strip() for _, cells in rows]
    rate = rate_hz or _guess_rate(timecodes)
    frames = np.empty(len(rows))
    for index, (line, _) in enumerate(rows):
        frame = _frame_of(timecodes[index], rate)
        if frame is None:
            raise _fault(path, line, f"the timecode {timecodes[index]!r} at {rate} fps")
        frames[index] = frame
    day = 24 * 3600 * rate
    steps = np.diff(frames)
    frames[1:] += day * np.cumsum(steps < -day / 2)  # midnight
    back = np.flatnonzero(np.diff(frames) < 0)
    if len(back):
        index = int(back[0]) + 1
        raise _fault(path, rows[index][0], f"a jump in time to {timecodes[index]!r}")
    return frames - frames[0], rate


def _guess_rate(timecodes: Sequence[str]) -> int:
    """Infer the frame rate of timecodes; 30 or 60 if a recording is too short to tell.

    From the last frame of a second to the first of the next is a step like any other, so that the
    rate is a step and the difference of their frame numbers.
    """
    found = [match for match in map(_TIMECODE.fullmatch, timecodes) if match]
    frames = np.array([int(match[4]) for match in found])
    seconds = np.array([int(match[3]) for match in found])
    if not len(found):
        return FRAME_RATE_HZ
    rolls = np.diff(seconds) % 60 == 1
    steps = np.diff(frames)
    if rolls.any() and not rolls.all():
        estimate = np.median(steps[~rolls]) - np.median(steps[rolls])
        for rate in TIMECODE_RATES_HZ:
            if abs(rate - estimate) <= _RATE_TOLERANCE and rate > frames.max():
                return rate
    return 60 if frames.max() >= FRAME_RATE_HZ else FRAME_RATE_HZ


def read_livelink_csv(
    path: str | os.PathLike[str], *, rate_hz: int | None = None
) -> tuple[FloatArray, int]:
    """Read a Live Link Face recording.

    Frames that the recording dropped, or in which the app had lost the face, are filled linearly,
    so that row `t` stands at `t / rate_hz`.

    Args:
        path: The CSV file, columns in any order, rotations optional.
        rate_hz: 24, 25, 30, 50 or 60, as the timecodes count; by default told from them, 30 where
            less than a second does not tell.

    Returns:
        Motion of shape (T, 52), float32, clipped to [0, 1], alphabetical order; and its rate in Hz.

    Raises:
        InputError: If the file is no such recording; the message names the file and the line.
    """
    if rate_hz is not None and rate_hz not in TIMECODE_RATES_HZ:
        raise InputError(f"`rate_hz` must be one of {TIMECODE_RATES_HZ}, got {rate_hz}")
    file = Path(path)
    recording = read_recording(file, rate_hz=rate_hz, allow_missing=False)
    seen = np.flatnonzero(recording.seen)
    if not len(seen):
        raise _fault(file, int(recording.lines[-1]), "no face up to the last row")
    frames, values = recording.frames[seen], recording.values[seen]
    late = np.flatnonzero(np.diff(frames) > _LONGEST_GAP_S * recording.rate_hz)
    if len(late):
        line = int(recording.lines[seen[late[0] + 1]])
        raise _fault(file, line, f"a gap of more than {_LONGEST_GAP_S:g} s")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise _fault(
            file, int(recording.lines[seen[np.argmin(finite)]]), "a value that is not finite"
        )
    n_frames = int(np.rint(recording.frames[-1])) + 1
    return _evenly(np.clip(values, 0.0, 1.0), frames, n_frames=n_frames), recording.rate_hz


def _evenly(values: FloatArray, frames: DoubleArray, *, n_frames: int) -> FloatArray:
    """Interpolate values linearly onto frames 0 to `n_frames` - 1."""
    even = np.arange(n_frames)
    if len(frames) == n_frames and np.allclose(even, frames, atol=1e-6):
        return values
    columns = [np.interp(even, frames, values[:, channel]) for channel in range(N_CHANNELS)]
    return np.stack(columns, axis=1).astype(np.float32)
