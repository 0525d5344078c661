"""Live Link Face recordings (CSV): what Unreal, Blender add-ons and Maya import.

63 columns: timecode, number of values, 52 shapes in the app's own order, nine rotations of head and
eyes. Rows are matched to ours by column name; the app's order has right before left in two places.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.face.names import ORDERS, columns_of, convert
from esarm_env.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray, IntArray

ROTATIONS = tuple(
    f"{part}{angle}"
    for part in ("Head", "LeftEye", "RightEye")
    for angle in ("Yaw", "Pitch", "Roll")
)
HEADER = ("Timecode", "BlendShapeCount", *ORDERS["livelink_csv"], *ROTATIONS)
RATES_HZ = (30, 60)

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


def _at_rate(motion: FloatArray, rate_hz: int) -> FloatArray:
    """Return 30 fps motion at 30 or 60 fps, (T, 52) or (2 T - 1, 52), between frames linear."""
    if rate_hz == FRAME_RATE_HZ:
        return motion
    result = np.empty((2 * len(motion) - 1, motion.shape[1]), dtype=np.float32)
    result[::2] = motion
    result[1::2] = 0.5 * (motion[:-1] + motion[1:])
    return result


def _write_atomically(path: Path, text: str) -> None:
    """Write a file so that no reader ever sees half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            unfinished.write_text(text, encoding="utf-8", newline="")
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"`path` must be a file in a writable folder, got {str(path)!r} ({reason})"
        ) from error


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
    """Return the error for a bad line of a recording."""
    return InputError(
        f"`path` must be a Live Link Face recording, got {got} in {path}, line {line}"
    )


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, with their line numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            return [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"`path` must be a readable file, got {str(path)!r} ({reason})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _fault(path, 1, f"no CSV text ({error})") from error


def _header_columns(path: Path, line: int, header: Sequence[str]) -> IntArray:
    """Return where our 52 columns stand in a recording."""
    names = [name.strip() for name in header]
    if names[:2] != list(HEADER[:2]):
        raise _fault(path, line, f"a header that starts with {','.join(names[:2])!r}")
    shapes = [name for name in names[2:] if name not in ROTATIONS]
    try:
        among_shapes = columns_of(shapes)
    except InputError as error:
        raise _fault(path, line, f"a faulty header ({error})") from error
    places = [place for place, name in enumerate(names) if place > 1 and name not in ROTATIONS]
    return np.array(places, dtype=np.int64)[among_shapes]


def _row_values(path: Path, line: int, row: list[str], *, columns: IntArray) -> list[float]:
    """Return the 52 numbers of a row in our order."""
    try:
        values = [float(row[column]) for column in columns]
    except ValueError as error:
        raise _fault(path, line, f"a value that is not a number ({error})") from error
    if not np.all(np.isfinite(values)):
        raise _fault(path, line, "a value that is not finite")
    return values


def _guess_rate(timecodes: list[str]) -> int:
    """Return the rate whose frame numbers these are; 30 if a recording is too short to tell."""
    frames = [int(found[4]) for found in map(_TIMECODE.fullmatch, timecodes) if found]
    return 60 if frames and max(frames) >= FRAME_RATE_HZ else FRAME_RATE_HZ


def _evenly(values: FloatArray, frames: npt.NDArray[np.float64]) -> FloatArray:
    """Return values on every frame from first to last, dropped ones filled linearly."""
    offsets = frames - frames[0]
    even = np.arange(int(np.rint(offsets[-1])) + 1)
    if len(even) == len(offsets) and np.allclose(even, offsets, atol=1e-6):
        return values
    columns = [np.interp(even, offsets, values[:, channel]) for channel in range(N_CHANNELS)]
    return np.stack(columns, axis=1).astype(np.float32)


def read_livelink_csv(
    path: str | os.PathLike[str], *, rate_hz: int | None = None
) -> tuple[FloatArray, int]:
    """Read a Live Link Face recording.

    Frames the recording dropped are filled linearly, so that row `t` stands at `t / rate_hz`.

    Args:
        path: The CSV file, columns in any order, rotations optional.
        rate_hz: 30 or 60; by default told from the timecodes, 30 where no second is full enough.

    Returns:
        Motion of shape (T, 52), float32, clipped to [0, 1], alphabetical order; and its rate in Hz.

    Raises:
        InputError: If the file is no such recording; the message names the file and the line.
    """
    if rate_hz is not None and rate_hz not in RATES_HZ:
        raise InputError(f"`rate_hz` must be one of {RATES_HZ}, got {rate_hz}")
    file = Path(path)
    rows = _read_rows(file)
    if len(rows) < 2:
        raise _fault(file, len(rows), "no row of values")
    columns = _header_columns(file, *rows[0])
    rate = rate_hz or _guess_rate([row[0].strip() for _, row in rows[1:]])
    values: list[list[float]] = []
    frames: list[float] = []
    for line, row in rows[1:]:
        if len(row) != len(rows[0][1]):
            raise _fault(file, line, f"{len(row)} columns instead of {len(rows[0][1])}")
        frame = _frame_of(row[0], rate)
        if frame is None:
            raise _fault(file, line, f"the timecode {row[0]!r} at {rate} fps")
        if frames and not 0 <= frame - frames[-1] <= _LONGEST_GAP_S * rate:
            raise _fault(file, line, f"a jump in time to {row[0]!r}")
        values.append(_row_values(file, line, row, columns=columns))
        frames.append(frame)
    motion = np.clip(np.array(values, dtype=np.float32), 0.0, 1.0)
    return _evenly(motion, np.array(frames)), rate
