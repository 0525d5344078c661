"""Arguments of vector environments: how many, and the options of `reset` for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from esarm_env.errors import InputError
from esarm_env.types import BoolArray


def check_count(value: Any, *, name: str) -> int:
    """Return a number of environments.

    Raises:
        InputError: If it is no integer of at least 1.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < 1:
        raise InputError(f"`{name}` must be an integer of at least 1, got {value!r}")
    return int(value)


def options_of(options: Mapping[str, Any], row: int, *, num_envs: int) -> dict[str, Any]:
    """Return the options of environment `row`: its own entry of those that come as a sequence.

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
    """Return a `reset_mask`, shape (num_envs,); all environments for None.

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
