"""What was last computed from a batch of trajectories, kept as long as that batch lives.

Several reward terms and the metrics of `info` read the same animation; decoding it is half of what
each of them costs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from esarm_env.types import Trajectories

Value = TypeVar("Value")


class Latest:
    """Values by name of the trajectories asked for last; empty again once these are gone.

    A batch that was written into since counts as another one. Copies and pickles are empty.
    """

    def __init__(self) -> None:
        self._batch: weakref.ref[Trajectories] | None = None
        self._read: list[np.ndarray[Any, Any]] = []
        self._values: dict[str, Any] = {}

    def get(
        self, trajectories: Trajectories, name: str, compute: Callable[[Trajectories], Value]
    ) -> Value:
        """Return `compute(trajectories)`, computed once; do not write into what is returned."""
        if not self._holds(trajectories):
            parts = (trajectories.utterance, trajectories.tokens, trajectories.lengths)
            self._read = [part.copy() for part in parts]
            self._values = {}
            self._batch = weakref.ref(trajectories, self._forget)
        if name not in self._values:
            self._values[name] = compute(trajectories)
        value: Value = self._values[name]
        return value

    def _holds(self, trajectories: Trajectories) -> bool:
        if self._batch is None or self._batch() is not trajectories:
            return False
        parts = (trajectories.utterance, trajectories.tokens, trajectories.lengths)
        return all(map(np.array_equal, parts, self._read))

    def _forget(self, batch: weakref.ref[Trajectories]) -> None:
        if batch is self._batch:
            self._batch, self._read, self._values = None, [], {}

    def __reduce__(self) -> tuple[type[Latest], tuple[()]]:
        return Latest, ()
