"""Quantities of the curves, in mm on the head: inner and outer brows, lip corners, mouth opening.

Each is how far some vertices have risen since rest, a weighted sum of the 52 coefficients; so a web
page computes it as well, from the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.metrics.mouth import lip_pairs
from esarm_env.metrics.region import MEASURED_SHARE, shares

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, DoubleArray, FloatArray, IntArray
    from esarm_env.face.head import Head

INNER_BROWS, OUTER_BROWS, LIP_CORNERS, OPENING = (
    "inner brows",
    "outer brows",
    "lip corners",
    "mouth opening",
)
EMOTIONAL = (INNER_BROWS, OUTER_BROWS, LIP_CORNERS)
_CORNER_SHARE = 0.04  # of the lips' width, at each end
_BROW_SHARE = 0.25  # of a brow's length, at each end


@dataclass(frozen=True)
class Quantity:
    """A height in mm.

    Attributes:
        name: As it is shown.
        weights: Shape (52,), mm at coefficient 1.
    """

    name: str
    weights: DoubleArray

    def of(self, motion: FloatArray) -> DoubleArray:
        """Return the curve of motion (..., T, 52), shape (..., T), in mm."""
        return np.asarray(motion, dtype=np.float64) @ self.weights

    def measured(self, captured: BoolArray) -> bool:
        """Return whether captured channels (52,) make up enough of it to be shown."""
        return bool(shares(np.square(self.weights))[captured].sum() >= MEASURED_SHARE)


def quantities_of(head: Head) -> dict[str, Quantity]:
    """Return what is shown of a head, by name; heads without brows have none of theirs."""
    upper, lower = lip_pairs(head)
    weights = {OPENING: _rise(head, upper) - _rise(head, lower)}
    lips = head.regions["lips"]
    weights[LIP_CORNERS] = _rise(head, _outermost(head, lips, _CORNER_SHARE))
    brows = head.regions.get("brows", np.zeros(0, dtype=np.int64))
    if len(brows):
        side = np.abs(head.vertices[brows, 0])
        span = np.ptp(side)
        weights[INNER_BROWS] = _rise(head, brows[side <= side.min() + _BROW_SHARE * span])
        weights[OUTER_BROWS] = _rise(head, brows[side >= side.max() - _BROW_SHARE * span])
    return {
        name: Quantity(name, weights[name]) for name in (*EMOTIONAL, OPENING) if name in weights
    }


def _rise(head: Head, vertices: IntArray) -> DoubleArray:
    """Return how far vertices rise in the mean at weight 1 of each channel, (52,), in mm."""
    return np.asarray(head.deltas[:, vertices, 1].astype(np.float64).mean(axis=1))


def _outermost(head: Head, vertices: IntArray, share: float) -> IntArray:
    """Return those of `vertices` within a share of their width of either end."""
    across = head.vertices[vertices, 0]
    margin = share * np.ptp(across)
    ends = (across <= across.min() + margin) | (across >= across.max() - margin)
    return np.asarray(vertices[ends])
