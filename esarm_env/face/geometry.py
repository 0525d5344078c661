"""Mesh building blocks of the shipped head: vertices with grid coordinates, joins, quads, strips.

Every vertex keeps its grid coordinates, because the shapes need to know which side of a slit it is
on: closed lips lie on top of each other and only one of them follows the jaw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, IntArray
    from esarm_env.face.surface import Array


class Kind(IntEnum):
    """Anatomical part of a vertex."""

    SKIN = 0
    LIP = 1
    INNER_LIP = 2
    MOUTH = 3
    LID_EDGE = 4
    BROW = 5
    EYEBALL = 6
    IRIS = 7
    PUPIL = 8
    UPPER_TEETH = 9
    LOWER_TEETH = 10
    TONGUE = 11
    EAR = 12
    HAIR = 13


@dataclass(frozen=True)
class Anatomy:
    """Rest mesh with per-vertex labels that the blendshapes are built from.

    Attributes:
        position: Shape (V, 3), in mm.
        row: Shape (V,), grid height; nan for parts that are not skin.
        under: Shape (V,), True on the lower side of a slit.
        kind: Shape (V,), values of `Kind`.
        faces: Shape (F, 3), counter-clockwise seen from outside.
    """

    position: Array
    row: Array
    under: BoolArray
    kind: IntArray
    faces: IntArray

    def mirrored(self) -> Anatomy:
        """Return the mesh mirrored in x, vertices in the same order."""
        return replace(self, position=self.position * np.array([-1.0, 1.0, 1.0]))

    def of(self, *kinds: Kind) -> BoolArray:
        """Return the mask of vertices of any of `kinds`, shape (V,)."""
        return np.asarray(np.isin(self.kind, kinds))


def join(parts: list[Anatomy]) -> Anatomy:
    """Return one mesh made of `parts`, in this order."""
    starts = np.cumsum([0] + [len(part.position) for part in parts[:-1]])
    return Anatomy(
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.under for part in parts]),
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]),
    )


def quads(corners: npt.NDArray[np.int64], *, flip: BoolArray) -> IntArray:
    """Split quads (n, 4) into triangles; `flip` picks the diagonal, so that both sides match."""
    a, b, c, d = corners.T
    first = np.where(flip[:, None], np.stack([a, b, d], 1), np.stack([a, b, c], 1))
    second = np.where(flip[:, None], np.stack([b, c, d], 1), np.stack([a, c, d], 1))
    triangles = np.concatenate([first, second])
    distinct = (
        (triangles[:, 0] != triangles[:, 1])
        & (triangles[:, 1] != triangles[:, 2])
        & (triangles[:, 2] != triangles[:, 0])
    )
    return np.asarray(triangles[distinct])


def strip(upper: IntArray, lower: IntArray, *, left: BoolArray, closed: bool = False) -> IntArray:
    """Return the triangles between two rows of vertex indices that run towards positive x."""
    ring = np.arange(len(upper)) if closed else np.arange(len(upper) - 1)
    after = (ring + 1) % len(upper)
    corners = np.stack([lower[ring], lower[after], upper[after], upper[ring]], axis=1)
    return quads(corners, flip=left[ring])
