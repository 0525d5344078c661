"""Guardian of a Ray session: a process that ends all others of it once their driver is gone.

Ray's own processes notice a killed driver, but those that are still starting do so a minute later.
Run as a file, with the standard library alone. All processes of a session carry a mark in their
environment, which is read from `/proc`; where there is none, Ray is relied on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

MARK = "ESARM_WORKERS_OF"
_PAUSE_S, _SWEEPS = 0.1, 100


def marked(mark: str) -> list[int]:
    """Return the processes that carry the mark."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in file.read_bytes().split(b"\0"):
                found.append(int(file.parent.name))
    return found


def sweep(mark: str) -> None:
    """Kill the processes that carry the mark until there are none, those they just began, too."""
    for _ in range(_SWEEPS):
        left = [pid for pid in marked(mark) if pid != os.getpid()]
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    sys.stdin.buffer.read()  # ends when the driver closes it, or is gone
    sweep(sys.argv[1])
