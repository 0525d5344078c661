"""Workers of the stages of a command: one pool for all of them, so that Ray starts once.

Stages ask for the pool in force, which `working_with` chooses for all that runs inside it. Results
are the same with any number of workers, so the number is no setting of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from esarm_env.core.workers import Pool, SerialPool, open_pool

Part = TypeVar("Part")
Result = TypeVar("Result")

_POOL: ContextVar[Pool | None] = ContextVar("pool of the stages", default=None)
_SENT: WeakKeyDictionary[Pool, dict[str, Any]] = WeakKeyDictionary()


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


def map_parts(
    function: Callable[..., Result],
    parts: Sequence[Part],
    *,
    what: str,
    on_done: Callable[[], None] | None = None,
    **shared: Any,
) -> list[Result]:
    """Return `function(part, **shared)` of each of `parts`, in their order, by the pool in force.

    Args:
        function: Of a module that workers can import.
        parts: What differs.
        what: What messages call the work.
        on_done: Called in this process after each part.
        **shared: What is the same for all parts. The same object as before is not sent again, so it
            must not be changed meanwhile.
    """
    pool = stage_pool()
    sent = _SENT.setdefault(pool, {})
    for name, value in shared.items():
        if name not in sent or sent[name] is not value:
            pool.share(name, value)
            sent[name] = value
    return pool.map(
        function,
        parts,
        using=list(shared),
        label=lambda number: f"{what}, part {number + 1} of {len(parts)},",
        on_done=on_done,
    )
