"""Light: normals of a moved mesh and how bright they make its vertices.

Two lights that stand with the camera, both on its vertical plane so that a symmetric face gives a
symmetric picture, and a sky over a darker ground. The red part of the light reaches farther round
an edge than the blue, as it does through skin. Hollows are darker than ridges.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.face.render.camera import Array
from esarm_env.types import FloatArray

_KEY = np.array([0.0, 0.62, 0.785])
_KEY_STRENGTH = 0.86
_WRAP = np.array([0.42, 0.26, 0.18])  # how far round an edge red, green and blue light reaches
_SKY = np.array([0.34, 0.35, 0.38])
_GROUND = np.array([0.15, 0.12, 0.11])
_HOLLOW_MM = 2.2  # how much a curvature of 1 / mm takes from the light


class Mesh:
    """What normals and hollows need to know of the faces, worked out once."""

    def __init__(self, faces: npt.NDArray[np.int32], n_vertices: int) -> None:
        """Sort the corners of `faces` (F, 3) by vertex."""
        self._faces = faces
        self._order = np.argsort(faces.reshape(-1), kind="stable")
        self._used, self._starts = np.unique(faces.reshape(-1)[self._order], return_index=True)
        # Every edge in both directions, sorted by the vertex it leaves.
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
        self._from, self._to = edges.T.astype(np.int64)
        _, self._edge_starts, self._n_edges = np.unique(
            self._from, return_index=True, return_counts=True
        )
        self._n_vertices = n_vertices

    def normals(self, vertices: FloatArray) -> FloatArray:
        """Return the unit normal of each vertex, shape (V, 3); 0 where no face uses it.

        Faces weighted by the sine of their angle over the lengths of its sides, which is exact on
        spheres however uneven the mesh (Max 1999, "Weights for computing vertex normals").
        """
        first, second, third = (vertices[self._faces[:, k]] for k in range(3))
        sides = (second - first, third - second, first - third)
        crossed = np.cross(sides[0], -sides[2])
        squared = [np.maximum(np.einsum("fk,fk->f", side, side), 1e-12) for side in sides]
        weights = [1.0 / (squared[k] * squared[k - 1]) for k in range(3)]
        corners = crossed[:, None] * np.stack(weights, axis=1)[..., None]  # (F, 3, 3)
        total = np.zeros((self._n_vertices, 3), dtype=vertices.dtype)
        if len(self._starts):
            total[self._used] = np.add.reduceat(corners.reshape(-1, 3)[self._order], self._starts)
        length = np.sqrt(np.einsum("vk,vk->v", total, total))
        return np.asarray(total / np.maximum(length, 1e-20)[:, None])

    def hollows(self, vertices: FloatArray, normals: FloatArray) -> FloatArray:
        """Return the mean curvature at each vertex, shape (V,), in 1 / mm.

        Above 0 in hollows, below 0 on ridges: the mean over the edges at a vertex of the height of
        the neighbour over the tangent plane, by half the squared length (the circle through both).
        """
        out = np.zeros(self._n_vertices, dtype=vertices.dtype)
        if len(self._edge_starts):
            edge = vertices[self._to] - vertices[self._from]
            height = np.einsum("ek,ek->e", edge, normals[self._from])
            squared = np.einsum("ek,ek->e", edge, edge)
            bend = 2.0 * height / np.maximum(squared, 1e-20)
            out[self._used] = np.add.reduceat(bend, self._edge_starts) / self._n_edges
        return out


def light(normals: Array, hollows: FloatArray) -> Array:
    """Return how much red, green and blue light each vertex gets, shape (V, 3).

    Args:
        normals: Shape (V, 3), in the camera's frame (right, up, backward).
        hollows: Shape (V,), as `Mesh.hollows` gives them.
    """
    towards = (normals @ _KEY)[:, None]
    key = _KEY_STRENGTH * np.clip((towards + _WRAP) / (1.0 + _WRAP), 0.0, None)
    up = 0.5 + 0.5 * normals[:, 1:2]
    ambient = _GROUND + (_SKY - _GROUND) * up
    cavity = np.clip(1.0 - _HOLLOW_MM * hollows, 0.6, 1.12)[:, None]
    return np.asarray((key + ambient) * cavity)
