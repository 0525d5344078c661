"""Number of processors that this process may use, hence of workers worth starting."""

from __future__ import annotations

import os


def n_processors() -> int:
    """Return the number of processors, fewer where a scheduler or container grants fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
