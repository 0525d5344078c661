"""Pool of workers: its interface, and the one of no workers, which works in this process.

A caller cuts its work into parts that do not depend on the number of workers, and every pool gives
the same results in the order of the parts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeVar

from esarm_env.core.errors import InputError

Part = TypeVar("Part")
Result = TypeVar("Result")
Label = Callable[[int], str]  # what messages call a part, by its number from 0
Self = TypeVar("Self", bound="Pool")

BY_VALUE: set[str] = set()  # modules that workers cannot import, see `send_by_value`


class WorkerError(RuntimeError):
    """A part ended its worker again and again, or raised what cannot be sent back."""


class Pool(Protocol):
    """Workers that map a function over parts; as a context manager it ends them.

    Attributes:
        n_workers: Worker processes; 0 where this process does the work.
    """

    n_workers: int

    def share(self, name: str, value: Any) -> None:
        """Let `value` be known to all workers as `name`, in place of what was called so before.

        It is sent once, at the next `map`, and kept by every worker. Arrays are shared between the
        workers of a machine, and read-only there.
        """

    def map(
        self,
        function: Callable[..., Result],
        parts: Sequence[Part],
        *,
        using: Sequence[str] = (),
        label: Label | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> list[Result]:
        """Return `function(part, **shared)` of each of `parts`, in their order.

        Args:
            function: Of a module that workers can import, or see `send_by_value`.
            parts: Begun in this order; each is sent to the worker that is free first.
            using: Names of what was shared that the function takes.
            label: What messages call a part; by default "part 1 of 8".
            on_done: Called in this process after each part.

        Raises:
            WorkerError: If a part ended its worker three times.
            Exception: What a part raised, as it is.
        """

    def close(self) -> None:
        """End all workers; the next `map` starts them again."""

    def __enter__(self: Self) -> Self:
        """Return the pool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all workers."""
        self.close()


class SerialPool(Pool):
    """Pool of no workers: parts are done here, one after the other."""

    n_workers = 0

    def __init__(self) -> None:
        self._shared: dict[str, Any] = {}

    def share(self, name: str, value: Any) -> None:
        """Know `value` as `name`; nothing is copied."""
        self._shared[name] = value

    def map(
        self,
        function: Callable[..., Result],
        parts: Sequence[Part],
        *,
        using: Sequence[str] = (),
        label: Label | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> list[Result]:
        """Return `function(part, **shared)` of each of `parts`."""
        given = {name: self._shared[name] for name in using}
        results = []
        for part in parts:
            results.append(function(part, **given))
            if on_done is not None:
                on_done()
        return results

    def close(self) -> None:
        """Forget what was shared."""
        self._shared.clear()


def open_pool(n_workers: int) -> Pool:
    """Return a pool of `n_workers`, which starts them when it is first used.

    Args:
        n_workers: Processes of one torch thread each; 0 does the work in this process.

    Raises:
        InputError: If there are less than 0.
        MissingExtraError: If there are to be some, and Ray is not installed.
    """
    check_workers(n_workers)
    if n_workers == 0:
        return SerialPool()
    from esarm_env.core.workers.ray_pool import RayPool

    return RayPool(n_workers)


def check_workers(n_workers: int, *, name: str = "workers") -> None:
    """Check a number of workers.

    Raises:
        InputError: If it is below 0, or no whole number.
    """
    whole = isinstance(n_workers, int) and not isinstance(n_workers, bool)
    if not whole or n_workers < 0:
        raise InputError(
            f"`{name}` must be a whole number of at least 0 (0 works in this process), got "
            f"{n_workers!r}"
        )


def send_by_value(module: str) -> None:
    """Let workers get what `module` defines with the parts, since they cannot import it.

    Args:
        module: Name among `sys.modules`, such as that of a file that was loaded by its path.
    """
    if module not in sys.modules:
        raise InputError(f"`module` must be one that is imported, got {module!r}")
    BY_VALUE.add(module)
