"""Walking through what environments return: dictionaries, lists and arrays in one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def arrays_in(value: Any, path: str = "") -> Iterator[tuple[str, Array]]:
    """Yield every array of numbers in a nested value, with its path."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        yield path, value
        return
    for name, part in _parts(value):
        yield from arrays_in(part, path + name)


def containers_in(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every dictionary, list and array of objects in a nested value, with its path."""
    if isinstance(value, dict | list) or (isinstance(value, np.ndarray) and value.dtype == object):
        yield path, value
    for name, part in _parts(value):
        yield from containers_in(part, path + name)


def path_of_key(key: Any) -> str:
    """Return how an entry of a dictionary is written behind its path."""
    return f'["{key}"]' if isinstance(key, str) else f"[{key!r}]"


def path_of_index(index: tuple[int, ...]) -> str:
    """Return how an entry of an array is written behind its path."""
    return f"[{', '.join(map(str, index))}]" if index else ""


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value holds, with the end of its path; nothing for arrays of numbers."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield path_of_key(key), part
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield f"[{place}]", part
    elif isinstance(value, np.ndarray) and value.dtype == object:
        for index in np.ndindex(value.shape):
            yield path_of_index(index), value[index]
