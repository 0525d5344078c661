"""Log of answers, `preferences.jsonl`: whole after every answer, shared by several raters.

Every answer and every undo replaces the file by a new one in one rename, under a lock that other
processes respect: a crash costs the answer in flight and no other. Lines that cannot be read stay
as they are.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.cache import new_file, write_error
from esarm_env.core.run_layout import LOCK_FILE
from reward.pairs.preference_file import parse_line

if TYPE_CHECKING:
    from reward.pairs.preference_file import Preference

try:
    import fcntl
except ImportError:  # Windows: within one process alone
    fcntl = None  # type: ignore[assignment]

_Line = tuple[bytes, "Preference | None"]


class JudgementLog:
    """The answers in a file, by everybody; it may grow under other processes' hands."""

    def __init__(self, path: Path | str) -> None:
        """Stand for the file at `path`, which need not exist yet."""
        self.path = Path(path)
        self._mutex = threading.RLock()
        self._lines: list[_Line] = []
        self._state: tuple[int, int, int] | None = None

    @property
    def judgements(self) -> list[Preference]:
        """All that can be read, in the order of the file."""
        with self._mutex:
            self._refresh()
            return [preference for _, preference in self._lines if preference is not None]

    @property
    def n_unreadable(self) -> int:
        """Lines that cannot be read."""
        with self._mutex:
            self._refresh()
            return sum(preference is None for _, preference in self._lines)

    def add(self, preference: Preference) -> None:
        """Add an answer at the end.

        Raises:
            InputError: If the file cannot be written, or the disk is full; it is as it was then.
        """
        with self._mutex, self._locked():
            self._refresh()
            self._write([*self._lines, (preference.as_line().encode(), preference)])

    def take_back(self, rater: str) -> Preference | None:
        """Remove the last answer of a rater, and return it; None if there is none.

        Raises:
            InputError: As of `add`.
        """
        with self._mutex, self._locked():
            self._refresh()
            for row in range(len(self._lines) - 1, -1, -1):
                preference = self._lines[row][1]
                if preference is not None and preference.rater == rater:
                    self._write(self._lines[:row] + self._lines[row + 1 :])
                    return preference
        return None

    def _write(self, lines: list[_Line]) -> None:
        with new_file(self.path) as draft:
            draft.write_bytes(b"".join(line + b"\n" for line, _ in lines))
        self._lines, self._state = lines, _state_of(self.path)

    def _refresh(self) -> None:
        """Read the file unless it is what was read or written last."""
        state = _state_of(self.path)
        if state == self._state:
            return
        content = b"" if state is None else self.path.read_bytes()
        self._lines = [_parsed(line) for line in content.split(b"\n") if line.strip()]
        self._state = state

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing."""
        lock = self.path.with_name(f".{self.path.name}{LOCK_FILE}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise write_error(self.path, error) from error
        try:
            with contextlib.suppress(OSError, AttributeError):  # systems without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever the file does; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _parsed(line: bytes) -> _Line:
    try:
        return line, parse_line(line)
    except (ValueError, OverflowError, RecursionError):
        return line, None
