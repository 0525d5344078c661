"""The `infos` of a vector environment, as Gymnasium lays them out, filled many rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from esarm_env.types import BoolArray, IntArray

Infos = dict[str, Any]


def add_infos(infos: Infos, values: Mapping[str, Any], rows: IntArray, *, mask: BoolArray) -> None:
    """Put the infos of some environments into `infos`, which changes in place.

    Every key stands beside a mask `_key`, as `gymnasium.vector.VectorEnv` documents; rows without
    the key hold zeros, or None in object arrays.

    Args:
        infos: Of all environments.
        values: By key, an array whose first axis is that of `rows`, or a dict of such arrays.
        rows: Which environments, shape (n,).
        mask: The same as bool, shape (num_envs,).
    """
    for key, value in values.items():
        if isinstance(value, dict):
            array = infos.get(key, {})
            add_infos(array, value, rows, mask=mask)
        else:
            array = infos.get(key)
            if array is None:
                # Of objects, `empty` makes None.
                make = np.empty if value.dtype == np.object_ else np.zeros
                array = make((len(mask), *value.shape[1:]), value.dtype)
            array[rows] = value
        infos[key] = array
        known = infos.get(f"_{key}")
        infos[f"_{key}"] = mask.copy() if known is None else known | mask
