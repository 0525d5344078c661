"""Number of processors that this process may use, hence of workers worth starting."""

from __future__ import annotations

import os
import sys


def n_processors() -> int:
    """Return the number of processors, fewer where a scheduler or container grants fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compute_alone() -> None:
    """Let torch in a forked child use one thread: those of its pool stayed with the parent.

    The first operation that wanted them waited for ever.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_compute_alone)
