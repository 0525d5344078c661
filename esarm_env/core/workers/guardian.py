"""Guardian of a Ray session: a process that ends all others of it once their driver is gone.

Ray's own processes notice a killed driver, but those that are still starting do so a minute later.
Run as a file, with the standard library alone. All processes of a session begin with a mark in
their environment, which is read from `/proc`; where there is none, Ray is relied on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

MARK = "ESARM_WORKERS_OF"
_PAUSE_S, _SWEEPS = 0.1, 100
# Ray's processes write their title over the mark after seconds of imports: look often while new
# ones come. Later ones are children of known ones, which the title does not hide.
_LOOK_OFTEN_S, _LOOK_S, _OFTEN = 0.5, 3.0, 20
_START = 19  # place of the start time among the fields behind the name

Known = dict[int, str]  # when a process was started, by its number: numbers are used again


def look(mark: str, known: Known) -> Known:
    """Return all living processes of the session: known and marked ones, and their children."""
    found: Known = {}
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            pid, started = int(folder.name), fields[_START]
            if fields[0] == "Z" or pid == os.getpid():
                continue
            ours = known.get(pid) == started or int(fields[1]) in known
            if ours or wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[pid] = started
    return found


def sweep(mark: str, known: Known) -> None:
    """Kill all processes of the session until there are none, those they just began, too."""
    for _ in range(_SWEEPS):
        known = look(mark, known)
        for pid in known:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not known:
            return
        time.sleep(_PAUSE_S)


def main(mark: str) -> None:
    """Watch the session until the driver closes standard input, or is gone."""
    known, quiet = look(mark, {}), 0
    while not select.select([sys.stdin], [], [], _LOOK_OFTEN_S if quiet < _OFTEN else _LOOK_S)[0]:
        found = look(mark, known)
        quiet = quiet + 1 if found.keys() <= known.keys() else 0
        known = found
    sweep(mark, known)


if __name__ == "__main__":
    main(sys.argv[1])
