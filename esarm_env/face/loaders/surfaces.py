"""What alignment needs to know of a mesh: normals, areas, and which part of it is the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.types import BoolArray

Points = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int32]

# Vertices closer than this share of the head's size are one: exporters cut a mesh along its
# texture seams, which would leave the skin in pieces.
_WELD_SHARE = 1e-5


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh seen by alignment.

    Attributes:
        points: Shape (V, 3), in any unit.
        normals: Shape (V, 3), unit length, zero where no triangle has an area.
        areas: Shape (V,), a third of the triangles round each vertex.
        skin: Shape (V,), True on the connected part with the largest area: teeth, eyeballs,
            lashes and hair cards are parts of their own in every head we know.
    """

    points: Points
    normals: Points
    areas: npt.NDArray[np.float64]
    skin: BoolArray


def build_surface(vertices: npt.NDArray[np.floating], faces: Faces) -> Surface:
    """Return the surface of a triangle mesh.

    Args:
        vertices: Shape (V, 3), in any unit.
        faces: Shape (F, 3), counter-clockwise seen from outside.
    """
    points = np.asarray(vertices, dtype=np.float64)
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    weighted = np.cross(b - a, c - a) / 2  # (F, 3), as long as the triangle's area
    part = _part_of_each_vertex(points, faces)
    n_vertices, corners = len(points), faces.T.ravel()
    normals = np.stack(
        [np.bincount(corners, np.tile(weighted[:, k], 3), n_vertices) for k in range(3)], axis=1
    )
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    thirds = np.linalg.norm(weighted, axis=1) / 3
    areas = np.bincount(corners, np.tile(thirds, 3), n_vertices).astype(np.float64)
    return Surface(
        points,
        np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0),
        areas,
        part == np.bincount(part, areas).argmax(),
    )


def _part_of_each_vertex(points: Points, faces: Faces) -> npt.NDArray[np.int64]:
    """Return the number of each vertex's connected part, shape (V,), seams welded."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    grid = np.round(points / (_WELD_SHARE * max(np.ptp(points, axis=0).max(), 1e-30)))
    welded = np.unique(grid, axis=0, return_inverse=True)[1].ravel()
    ends = welded[np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])]
    shape = (len(points), len(points))
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=shape)
    parts: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return parts[welded]
