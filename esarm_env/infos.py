"""The `infos` of a vector environment, as Gymnasium lays them out, filled many rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from esarm_env.types import IntArray

Infos = dict[str, Any]


def add_infos(infos: Infos, values: Mapping[str, Any], rows: IntArray, *, num_envs: int) -> None:
    """Put the infos of some environments into `infos`, which changes in place.

    Every key stands beside a mask `_key`, as `gymnasium.vector.VectorEnv` documents; rows without
    the key hold zeros, or None in object arrays.

    Args:
        infos: Of all environments.
        values: By key, an array whose first axis is that of `rows`, or a dict of such arrays.
        rows: Which environments, shape (n,).
        num_envs: How many there are.
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            array = infos.get(key, {})
            add_infos(array, value, rows, num_envs=num_envs)
        else:
            array = infos.get(key)
            if array is None:
                array = _empty(value, num_envs)
            array[rows] = value
        mask = infos.get(f"_{key}")
        if mask is None:
            mask = np.zeros(num_envs, dtype=np.bool_)
        mask[rows] = True
        infos[key], infos[f"_{key}"] = array, mask


def _empty(value: np.ndarray[Any, Any], num_envs: int) -> np.ndarray[Any, Any]:
    if value.dtype == np.object_:
        return np.full(num_envs, None, dtype=object)
    return np.zeros((num_envs, *value.shape[1:]), dtype=value.dtype)
