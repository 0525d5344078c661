"""What a worker process prints, in a file of its own: no terminal shows two trainings at once."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def output_to(file: Path) -> Iterator[None]:
    """Append all that this process prints to `file`, also what libraries print past Python."""
    file.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0))
    _flush()
    before = {number: os.dup(number) for number in (1, 2)}
    try:
        with os.fdopen(target, "a", encoding="utf-8", errors="replace", buffering=1) as stream:
            for number in before:
                os.dup2(target, number)
            # Python's own streams may lead elsewhere than to these descriptors by now.
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                yield
    finally:
        for number, kept in before.items():
            os.dup2(kept, number)
            os.close(kept)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
