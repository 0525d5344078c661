"""Number things by how often they have come before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray


def occurrence_numbers(values: IntArray) -> IntArray:
    """Return how often each of `values` (N,) has come before, shape (N,)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered, side="left")
    return numbers
