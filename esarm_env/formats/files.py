"""Bounds and errors of files from strangers: regular, small enough, and one line if unusable.

A FIFO would wait for ever, a device never end, and a file of kilobytes may declare terabytes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from esarm_env.core.errors import InputError, one_line

# Of text that is read whole: an hour of 52 curves at 60 fps is 100 MB of CSV.
LARGEST_TEXT = 1 << 30
_LEAST_ROOM = 2**20  # of files that say they are empty, as those of /proc do
# Of the rows of a file. More is no accident but another format, and what is left would be guessed.
MOST_WRONG = 0.1
_LONGEST_REASON = 200
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(
    path: Path, what: str = "a readable file", *, missing: str = "No such file or directory"
) -> int:
    """Return the size of a file in bytes.

    Args:
        path: The file, or a link to it.
        what: What it must be, for the message.
        missing: What to say if it is not there.

    Raises:
        InputError: If it is missing, cannot be asked for, or is no regular file.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: must be {what}, got {missing}") from error
    except (OSError, ValueError) as error:  # a link to itself, a name too long, a zero in it
        raise InputError(f"{path}: must be {what}, got {_reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for fits, name in _KINDS if fits(status.st_mode)), "no regular file")
        raise InputError(f"{path}: must be {what}, got {kind}")
    return status.st_size


def read_bytes(path: Path, *, largest: int = LARGEST_TEXT) -> bytes:
    """Return the content of a regular file of at most `largest` bytes.

    Raises:
        InputError: If it is none, larger, or cannot be read.
    """
    size = check_regular(path)
    if size > largest:
        raise InputError(f"{path}: must have at most {largest} bytes, got {size}; cut it first")
    try:
        with path.open("rb") as file:
            # A reader makes room for what is asked for, however short the file is.
            return file.read(min(largest, max(size, _LEAST_ROOM)))
    except OSError as error:
        raise InputError(f"{path}: must be a readable file, got {_reason(error)}") from error


@contextlib.contextmanager
def reading(path: Path, rule: str, *, remedy: str = "copy or export it again") -> Iterator[None]:
    """Turn whatever a damaged or hostile file raises inside the block into an `InputError`.

    Parsers of others have no closed list of errors: a changed byte in the header of a `.npy` file
    alone raises eight kinds. What is wrong with our own code shows in tests with whole files.

    Args:
        path: The file.
        rule: What it must be, for the message.
        remedy: What to do.

    Raises:
        InputError: For any error; one that is an `InputError` already stays as it is.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: must be {rule}, got {_reason(error)}; {remedy}") from error


def check_wrong(source: str | Path, wrong: Sequence[str], *, n_frames: int) -> tuple[str, ...]:
    """Return the note on rows that cannot be read.

    Args:
        source: The file, for the message.
        wrong: What each has, as a rule that it breaks.
        n_frames: Number of rows, these among them.

    Raises:
        InputError: If they are more than `MOST_WRONG` of all and more than one, or half of them.
    """
    if not wrong:
        return ()
    more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    if len(wrong) > max(1, MOST_WRONG * n_frames) or 2 * len(wrong) >= n_frames:
        raise InputError(f"{source}: {wrong[0]}{more}")
    frames = "1 frame that cannot be" if len(wrong) == 1 else f"{len(wrong)} frames that cannot be"
    return (f"{frames} read taken for lost: {wrong[0]}{more}",)


def _reason(error: Exception) -> str:
    """Return an error's text in one line, cut short."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = one_line(error)
    if text.startswith(("EOF: reading", "No data left in file")):  # NumPy's
        return "a file that is cut short"
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
