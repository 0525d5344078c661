"""Workers of the stages of a command: one pool for all of them, so that Ray starts once.

Stages ask for the pool in force, which `working_with` chooses for all that runs inside it. Results
are the same with any number of workers, so the number is no setting of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from esarm_env.core.workers import Pool, SerialPool, open_pool

_POOL: ContextVar[Pool | None] = ContextVar("pool of the stages", default=None)


def stage_pool() -> Pool:
    """Return the pool in force; without a choice one of no workers, which works in this process."""
    return _POOL.get() or SerialPool()


@contextmanager
def working_with(n_workers: int) -> Iterator[None]:
    """Let all stages inside share their work out to so many processes, which end with it.

    Args:
        n_workers: Processes of one torch thread each; 0 works in this process.

    Raises:
        InputError: If there are less than 0.
        MissingExtraError: If there are to be some, and Ray is not installed.
    """
    with open_pool(n_workers) as pool, using_pool(pool):
        yield


@contextmanager
def using_pool(pool: Pool) -> Iterator[None]:
    """Let all stages inside share their work out to `pool`, which its owner ends."""
    token = _POOL.set(pool)
    try:
        yield
    finally:
        _POOL.reset(token)
