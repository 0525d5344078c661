"""Batched `reset` options and `infos` of a vector environment, laid out as Gymnasium documents.

`options_of` splits options by environment; `add_infos` fills `infos` for many rows at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, IntArray

Infos = dict[str, Any]


def check_count(value: Any, *, name: str) -> int:
    """Return `value` if it is a valid number of environments.

    Raises:
        InputError: If it is no integer of at least 1.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < 1:
        raise InputError(f"`{name}` must be an integer of at least 1, got {value!r}")
    return int(value)


def options_of(options: Mapping[str, Any], row: int, *, num_envs: int) -> dict[str, Any]:
    """Return the options of environment `row`; options given as a sequence hold one per row.

    Raises:
        InputError: If a sequence does not hold `num_envs` values.
    """
    values = {}
    for name, value in options.items():
        each = isinstance(value, (list, tuple)) or np.ndim(value) > 0
        if each and len(value) != num_envs:
            raise InputError(f"`{name}` must be one value or {num_envs}, got {len(value)}")
        values[name] = value[row] if each else value
    return values


def check_mask(mask: Any, *, num_envs: int) -> BoolArray:
    """Return `mask` if it is a valid `reset_mask`, shape (num_envs,); all True for None.

    Raises:
        InputError: If it is not a bool array (num_envs,) with at least one True.
    """
    if mask is None:
        return np.ones(num_envs, dtype=np.bool_)
    right = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (num_envs,)
    if not right or not mask.any():
        raise InputError(
            f"`reset_mask` must be a bool array of shape ({num_envs},) with at least one True, "
            f"got {mask!r}"
        )
    checked: BoolArray = mask
    return checked


def add_infos(infos: Infos, values: Mapping[str, Any], rows: IntArray, *, mask: BoolArray) -> None:
    """Put the infos of some environments into `infos`, which changes in place.

    Every key stands beside a mask `_key`, as `gymnasium.vector.VectorEnv` documents; rows without
    the key hold zeros, or None in object arrays.

    Args:
        infos: Of all environments.
        values: By key, an array whose first axis is that of `rows`, or a dict of such arrays.
        rows: Which environments, shape (n,), ascending.
        mask: The same as bool, shape (num_envs,).
    """
    for key, value in values.items():
        if isinstance(value, dict):
            array = infos.get(key, {})
            add_infos(array, value, rows, mask=mask)
        else:
            array = infos.get(key)
            if array is None and len(rows) == len(mask):
                array = value.copy()  # all environments, in their order
            elif array is None:
                # For objects, `np.empty` fills with None.
                make = np.empty if value.dtype == np.object_ else np.zeros
                array = make((len(mask), *value.shape[1:]), value.dtype)
                array[rows] = value
            else:
                array[rows] = value
        infos[key] = array
        known = infos.get(f"_{key}")
        infos[f"_{key}"] = mask.copy() if known is None else known | mask
