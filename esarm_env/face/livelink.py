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
import warnings
from collections.abc import Sequence
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
from esarm_env.face.names import ORDERS, ROTATIONS, convert
from esarm_env.face.recording_table import (
    coded_rows,
    fault,
    read_recording_table,
    values_of,
)
from esarm_env.formats.files import check_wrong
from esarm_env.formats.timecodes import STANDARD_HZ, Timecodes, parse_timecodes

HEADER = ("Timecode", "BlendShapeCount", *ORDERS["livelink_csv"], *ROTATIONS)
RATES_HZ = (30, 60)
TIMECODE_RATES_HZ = STANDARD_HZ

Row = tuple[int, list[str]]

_TIMECODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,3}))?")
_LONGEST_GAP_S = 2.0


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


def at_rate(motion: FloatArray, rate_hz: int) -> FloatArray:
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
        at_rate(np.clip(values, 0.0, 1.0), rate_hz), source="alphabetical", target="livelink_csv"
    )
    count, rotations = str(len(HEADER) - 2), ",0.000000" * len(ROTATIONS)
    lines = [",".join(HEADER)]
    for number, row in enumerate(rows):
        numbers = ",".join(f"{value:.6f}" for value in row)
        timecode = _timecode(int(start) + number, rate_hz, fraction=fraction)
        lines.append(f"{timecode},{count},{numbers}{rotations}")
    _write_atomically(Path(path), "\n".join(lines) + "\n")


@dataclass(frozen=True)
class Recording:
    """Contents of a Live Link Face recording, unchanged.

    Attributes:
        frames: Shape (T,), float64, frame numbers from the first row on, ascending, with fractions;
            where the app dropped frames, there is a gap.
        rate_hz: How many frames the timecodes count in a second; with drop-frame labels fewer than
            a second has labels.
        values: Shape (T, 52), float32, alphabetical order, as stored; NaN where `seen` is False,
            0 in columns that the file lacks.
        captured: Shape (52,), bool; False for columns that the file lacks.
        seen: Shape (T,), bool; False in rows in which the app had lost the face.
        lines: Shape (T,), int64, where in the file each row stands.
        notes: A line for each kind of row or column that was left out.
    """

    frames: DoubleArray
    rate_hz: float
    values: FloatArray
    captured: BoolArray
    seen: BoolArray
    lines: IntArray
    notes: tuple[str, ...] = ()


def read_recording(
    path: Path, *, rate_hz: int | None = None, allow_missing: bool = True
) -> Recording:
    """Read a Live Link Face recording without changing anything in it.

    Rows that repeat the timecode of the row before are left out, and so are columns that are no
    shapes; a row that cannot be read counts as one without a face. All of this is in `notes`.

    Args:
        path: The CSV file, columns in any order, rotations optional.
        rate_hz: What the timecodes count; by default told from them, 30 where less than a second
            does not tell.
        allow_missing: False refuses a file that lacks one of the 52 shapes.

    Raises:
        InputError: If the file is no such recording; the message names the file and the line.
    """
    table, columns = read_recording_table(path, allow_missing=allow_missing)
    rows, wrong = coded_rows(table, columns)
    codes: list[Row] = [(line, [row.code]) for line, row in rows]
    clock = _frame_numbers(path, codes, rate_hz)
    frames, rate = clock.frames, clock.rate_hz
    fresh = np.diff(frames, prepend=-1.0) > 0
    kept = [row for (_, row), is_fresh in zip(rows, fresh, strict=True) if is_fresh]
    seen = np.array([not row.is_lost for row in kept])
    values, captured = values_of(table, columns, kept, seen, wrong)
    rule = "must be a Live Link Face recording, got"
    notes = check_wrong(path, [f"{rule} {what}" for what in wrong], n_frames=len(table.lines))
    if not fresh.all():
        notes += (f"frames left out for a repeated time: {(~fresh).sum()}",)
    lines = np.array([table.lines[row.place][0] for row in kept], dtype=np.int64)
    notes += columns.notes
    return Recording(frames[fresh], rate, values, captured, seen, lines, notes)


def measure_recording(path: Path) -> tuple[int, float]:
    """Return the number of frames of a recording and the seconds from its first to its last.

    Raises:
        InputError: If header or timecodes are not those of a recording.
    """
    table, columns = read_recording_table(path, allow_missing=True)
    rows, _ = coded_rows(table, columns)
    clock = _frame_numbers(path, [(line, [row.code]) for line, row in rows], None)
    return len(np.unique(clock.frames)), float(clock.frames[-1] / clock.rate_hz)


def _frame_numbers(path: Path, rows: Sequence[Row], rate_hz: int | None) -> Timecodes:
    """Return the frame number of each row, 0 for the first, and the rate they count at."""
    return parse_timecodes(
        [cells[0] for _, cells in rows],
        lambda row, got: fault(path, rows[row][0], got),
        counted_hz=rate_hz,
    )


def read_livelink_csv(
    path: str | os.PathLike[str], *, rate_hz: int | None = None
) -> tuple[FloatArray, float]:
    """Read a Live Link Face recording.

    Frames that the recording dropped, or in which the app had lost the face, are filled linearly,
    so that row `t` stands at `t / rate_hz`. What was left out is told in a `RuntimeWarning`.

    Args:
        path: The CSV file, columns in any order, rotations optional.
        rate_hz: One of `TIMECODE_RATES_HZ`, as the timecodes count; by default told from them, 30
            where less than a second does not tell.

    Returns:
        Motion of shape (T, 52), float32, clipped to [0, 1], alphabetical order; and its rate in Hz.

    Raises:
        InputError: If the file is no such recording; the message names the file and the line.
    """
    if rate_hz is not None and rate_hz not in TIMECODE_RATES_HZ:
        raise InputError(f"`rate_hz` must be one of {TIMECODE_RATES_HZ}, got {rate_hz}")
    file = Path(path)
    recording = read_recording(file, rate_hz=rate_hz, allow_missing=False)
    for note in recording.notes:
        warnings.warn(f"{file}: {note}", RuntimeWarning, stacklevel=2)
    seen = np.flatnonzero(recording.seen)
    if not len(seen):
        raise fault(file, int(recording.lines[-1]), "no face up to the last row")
    frames, values = recording.frames[seen], recording.values[seen]
    late = np.flatnonzero(np.diff(frames) > _LONGEST_GAP_S * recording.rate_hz)
    if len(late):
        line = int(recording.lines[seen[late[0] + 1]])
        raise fault(file, line, f"a gap of more than {_LONGEST_GAP_S:g} s")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise fault(
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
