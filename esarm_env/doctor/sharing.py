"""Do two calls return the same memory, and what happens if a caller writes into it?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from esarm_env.doctor.nested import Array, arrays_in, containers_in

Returned = Sequence[tuple[str, Mapping[str, Any]]]


def shared_memory(returned: Returned) -> list[str]:
    """Return what different calls returned that is the same memory.

    Args:
        returned: Name of each call, and what it returned, by name and still untouched.

    Returns:
        A line for each that shares memory with an earlier one, such as
        `obs["audio"] of reset and obs["audio"] of step 1 share memory`.
    """
    return [*_shared_containers(returned), *_shared_arrays(returned)]


def spoil(value: Any) -> None:
    """Overwrite a nested value in place with what no environment would return."""
    for _, array in arrays_in(value):
        if array.flags.writeable:
            array[...] = np.array(113).astype(array.dtype)
    for _, container in list(containers_in(value)):
        if isinstance(container, dict):
            container.clear()
            container["spoilt"] = "spoilt"
        elif isinstance(container, list):
            container[:] = ["spoilt"]
        else:
            container[...] = "spoilt"


@dataclass(frozen=True, eq=False)
class _Span:
    """An array between two addresses; `order` counts all, `call` says which returned it."""

    low: int
    high: int
    order: int
    call: int
    place: str
    array: Array


def _shared_containers(returned: Returned) -> list[str]:
    first: dict[int, tuple[int, str]] = {}
    lines = []
    for number, (name, values) in enumerate(returned):
        parts = (containers_in(value, key) for key, value in values.items())
        for path, container in itertools.chain.from_iterable(parts):
            before, where = first.setdefault(id(container), (number, f"{path} of {name}"))
            if before != number:
                kind = type(container).__name__
                lines.append(f"{where} and {path} of {name} are the same {kind}")
    return lines


def _shared_arrays(returned: Returned) -> list[str]:
    found: dict[int, str] = {}
    running: list[_Span] = []  # those that reach beyond where the current one begins
    for span in sorted(_spans(returned), key=lambda span: (span.low, span.order)):
        running = [other for other in running if other.high > span.low]
        for other in running:
            if other.call != span.call and np.shares_memory(other.array, span.array):
                earlier, later = sorted((other, span), key=lambda each: each.order)
                found.setdefault(later.order, f"{earlier.place} and {later.place} share memory")
                break
        running.append(span)
    return [line for _, line in sorted(found.items())]


def _spans(returned: Returned) -> list[_Span]:
    spans: list[_Span] = []
    for number, (name, values) in enumerate(returned):
        parts = (arrays_in(value, key) for key, value in values.items())
        for path, array in itertools.chain.from_iterable(parts):
            if array.size:
                low, high = np.lib.array_utils.byte_bounds(array)
                spans.append(_Span(low, high, len(spans), number, f"{path} of {name}", array))
    return spans
