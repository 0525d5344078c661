"""Comparison of nested values (dictionaries, lists, arrays), with the path of each difference."""

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
    """Format a dictionary key as a path suffix."""
    return f'["{key}"]' if isinstance(key, str) else f"[{key!r}]"


def path_of_index(index: tuple[int, ...]) -> str:
    """Format an array index as a path suffix."""
    return f"[{', '.join(map(str, index))}]" if index else ""


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the children of a nested value with their path suffixes; none for numeric arrays."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield path_of_key(key), part
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield f"[{place}]", part
    elif isinstance(value, np.ndarray) and value.dtype == object:
        for index in np.ndindex(value.shape):
            yield path_of_index(index), value[index]


def differences(
    ours: Any, theirs: Any, *, tolerance: float = 0.0, path: str = "value"
) -> list[str]:
    """Return the differences of two nested values, one line each; empty if they are equal.

    Args:
        ours: Dictionaries, lists, tuples, arrays (also of objects), numbers, texts, None.
        theirs: Types, keys, lengths, shapes and dtypes must be the same, too, but for the kind of
            dictionary; nan equals nan.
        tolerance: How far floats may lie apart, relative to 1 plus their size.
        path: Written before every path, for instance `obs`.

    Returns:
        One line for each key, entry or array that differs, such as
        `obs["audio"][3]: 0.5 != 0.7 (2 of 396 entries differ)`.
    """
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return _of_mappings(ours, theirs, tolerance, path)
    if type(ours) is not type(theirs):
        kinds = f"{type(ours).__name__} != {type(theirs).__name__}"
        return [_line(path, f"{kinds} ({_short(ours)}, {_short(theirs)})")]
    if isinstance(ours, np.ndarray):
        return _of_arrays(ours, theirs, tolerance, path)
    if isinstance(ours, list | tuple):
        if len(ours) != len(theirs):
            return [_line(path, f"length {len(ours)} != {len(theirs)}")]
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [
            line
            for place, (one, other) in pairs
            for line in differences(one, other, tolerance=tolerance, path=f"{path}[{place}]")
        ]
    if isinstance(ours, float | np.floating):
        equal = bool(_equal(np.asarray(ours), np.asarray(theirs), tolerance))
    else:
        equal = bool(ours == theirs)
    return [] if equal else [_line(path, f"{_short(ours)} != {_short(theirs)}")]


def _of_mappings(ours: Any, theirs: Any, tolerance: float, path: str) -> list[str]:
    lines = []
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        here = path + path_of_key(key)
        if key not in theirs or key not in ours:
            there = "only in the first" if key in ours else "only in the second"
            lines.append(_line(here, there))
        else:
            lines += differences(ours[key], theirs[key], tolerance=tolerance, path=here)
    return lines


def _of_arrays(ours: Array, theirs: Array, tolerance: float, path: str) -> list[str]:
    for name in ("shape", "dtype"):
        one, other = getattr(ours, name), getattr(theirs, name)
        if one != other:
            return [_line(path, f"{name} {one} != {other}")]
    if ours.dtype == object:
        return [
            line
            for index in np.ndindex(ours.shape)
            for line in differences(
                ours[index], theirs[index], tolerance=tolerance, path=path + path_of_index(index)
            )
        ]
    different = np.argwhere(~_equal(ours, theirs, tolerance))  # (n, n_axes)
    if not len(different):
        return []
    first = tuple(different[0].tolist())
    count = f" ({len(different)} of {ours.size} entries differ)" if ours.size > 1 else ""
    return [_line(path + path_of_index(first), f"{ours[first]} != {theirs[first]}{count}")]


def _equal(ours: Array, theirs: Array, tolerance: float) -> Array:
    """Return the element-wise equality of two arrays of one shape and dtype."""
    if not np.issubdtype(ours.dtype, np.inexact):
        return np.asarray(ours == theirs)
    if not tolerance:  # as below, and faster
        return np.asarray((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    return np.isclose(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


def _line(path: str, text: str) -> str:
    return f"{path}: {text}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
