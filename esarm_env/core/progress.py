"""Progress bars by `rich` (extra `progress`); where it is not installed, a line for each task.

Nothing else of ours asks for `rich` to count with, so that a bare installation does all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
HINT = "for a progress bar, run `pip install 'esarm[progress]'`"


class Progress(Protocol):
    """What we call of `rich.progress.Progress`; a context manager."""

    @property
    def task_ids(self) -> Any:
        """Ids of the tasks, oldest first."""

    @property
    def tasks(self) -> Any:
        """The tasks, oldest first; each has a `total`."""

    def __enter__(self) -> Any:
        """Start to draw."""

    def __exit__(self, *error: Any) -> Any:
        """Stop."""

    def add_task(self, description: str, *, total: float, **fields: Any) -> Any:
        """Return the id of a new task; `fields` are `completed` and what the columns show."""

    def advance(self, task_id: Any, advance: float = 1) -> Any:
        """Move a task on."""

    def update(self, task_id: Any, **fields: Any) -> Any:
        """Set `total`, `completed` or a column's field."""


def open_progress(*, show: bool = True, with_note: bool = False) -> Progress:
    """Return bars to use in a `with` statement.

    Args:
        show: Whether to draw anything.
        with_note: Whether the bars stay when they are full, on standard output, with a `note` that
            every task must have; else they go, and are drawn on standard error.
    """
    try:
        from rich import progress
        from rich.console import Console
    except ImportError:
        return _Lines(show=show)
    if not with_note:
        return progress.Progress(console=Console(stderr=True), disable=not show, transient=True)
    return progress.Progress(
        progress.TextColumn("{task.description:<24}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[note]}"),
        disable=not show,
    )


def track(items: Sequence[T], description: str, *, show: bool = True) -> Iterator[T]:
    """Yield `items` while a bar on standard error counts them."""
    try:
        from rich.console import Console
        from rich.progress import track as track_with_bar
    except ImportError:
        with _Lines(show=show) as lines:
            lines.add_task(description, total=len(items))
            yield from items
        return
    yield from track_with_bar(items, description, console=Console(stderr=True), disable=not show)


class _Lines:
    """Implements `Progress` with one line on standard error when a task begins."""

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self.tasks: list[SimpleNamespace] = []

    @property
    def task_ids(self) -> list[int]:
        return list(range(len(self.tasks)))

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def add_task(self, description: str, *, total: float, **fields: Any) -> int:
        if self._show:
            print(f"{description}: {total:g} steps ({HINT})", file=sys.stderr)
        self.tasks.append(SimpleNamespace(total=total, **fields))
        return len(self.tasks) - 1

    def advance(self, task_id: int, advance: float = 1) -> None:
        pass

    def update(self, task_id: int, **fields: Any) -> None:
        vars(self.tasks[task_id]).update(fields)
