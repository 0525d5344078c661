"""Ray for tasks that must compute the digits of this process: seeds at a time, and sweeps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from esarm_env.core.processors import n_processors
from esarm_env.core.workers import session

# Libraries read it when they are loaded. Ray sets it to a task's CPUs where it is unset, and numpy
# would then add up in another order than in the process that started it.
_THREADS = "OMP_NUM_THREADS"


def has_ray() -> bool:
    """Return whether Ray is installed; imports nothing."""
    from importlib.util import find_spec

    return find_spec("ray") is not None


@contextlib.contextmanager
def ray_session(cpus: int, *, purpose: str, extra: str = "ray") -> Iterator[Any]:
    """Yield Ray, as `esarm_env.core.workers.session` does, for tasks that share our threads."""
    environment = {_THREADS: os.environ.get(_THREADS) or str(n_processors())}
    with session.ray_session(cpus, purpose=purpose, extra=extra, environment=environment) as ray:
        yield ray
