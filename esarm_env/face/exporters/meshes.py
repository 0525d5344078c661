"""Mesh of a head as glTF and USD want it: one colour a vertex, metres, and moved vertices alone.

A vertex between two colours (the rim of an iris) becomes several; those that are added stand behind
the head's own, which keep their places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.types import N_CHANNELS
from esarm_env.face.render.shading import Mesh, Palette, corner_albedo

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from esarm_env.face.head import Head

M_PER_MM = 1e-3
# Smaller displacements show on no screen; nor do normals that turn by less.
_SMALLEST_MM, _SMALLEST_TURN = 0.02, 0.02
_STEPS = 65_535  # of a colour


@dataclass(frozen=True, eq=False)
class Shape:
    """What one ARKit shape moves.

    Attributes:
        rows: Vertices that move or turn, shape (n,), ascending; empty for a shape that moves none.
        offsets: Their displacement at weight 1, shape (n, 3), float32, in metres.
        turns: What is added to their normals, shape (n, 3), float32.
    """

    rows: IntArray
    offsets: FloatArray
    turns: FloatArray


@dataclass(frozen=True, eq=False)
class ShownMesh:
    """A head as a mesh file holds it.

    Attributes:
        vertices: Shape (V', 3), float32, in metres: x to the subject's left, y up, z forward.
        normals: Shape (V', 3), float32, of length 1.
        colours: Shape (V', 3), float32, linear RGB in [0, 1].
        faces: Shape (F, 3), int32, counter-clockwise seen from outside.
        shapes: One for each of the 52 ARKit shapes, alphabetical order.
    """

    vertices: FloatArray
    normals: FloatArray
    colours: FloatArray
    faces: npt.NDArray[np.int32]
    shapes: tuple[Shape, ...]


def shown_mesh(head: Head) -> ShownMesh:
    """Return a head with the colours of the package's renderer."""
    source, colours, faces = _one_colour_each(head)
    topology = Mesh(head.faces, head.n_vertices)
    normals = topology.normals(head.vertices)
    # A vertex that no face uses has none; readers want a length of 1.
    normals[~normals.any(axis=1)] = (0.0, 0.0, 1.0)
    shapes = tuple(
        _shape(
            head.deltas[channel], topology.normals(head.vertices + head.deltas[channel]), normals
        )
        for channel in range(N_CHANNELS)
    )
    return ShownMesh(
        (head.vertices * M_PER_MM)[source].astype(np.float32),
        normals[source].astype(np.float32),
        colours,
        faces,
        tuple(_of_copies(shape, source, head.n_vertices) for shape in shapes),
    )


def _one_colour_each(head: Head) -> tuple[IntArray, FloatArray, npt.NDArray[np.int32]]:
    """Return which vertex of the head each of ours is, their colours, and the faces of ours."""
    albedo = np.clip(corner_albedo(head, Palette()), 0.0, 1.0).reshape(-1, 3)
    corners = np.column_stack([head.faces.reshape(-1), np.rint(albedo * _STEPS).astype(np.int64)])
    kinds, which = np.unique(corners, axis=0, return_inverse=True)  # sorted by vertex
    vertex = kinds[:, 0]
    is_first = np.diff(vertex, prepend=-1) > 0
    place = np.where(is_first, vertex, head.n_vertices + np.cumsum(~is_first) - 1)
    source = np.arange(head.n_vertices + int((~is_first).sum()))
    colours = np.ones((len(source), 3), dtype=np.float32)
    source[place], colours[place] = vertex, kinds[:, 1:] / _STEPS
    return source, colours, place[which.reshape(-1)].reshape(-1, 3).astype(np.int32)


def _shape(delta: FloatArray, moved: FloatArray, normals: FloatArray) -> Shape:
    turns = moved - normals
    shows = np.linalg.norm(delta, axis=1) > _SMALLEST_MM
    # Next to what moves, skin turns; what stays at rest keeps its normal, also one that is made up.
    turned = (np.linalg.norm(turns, axis=1) > _SMALLEST_TURN) & moved.any(axis=1)
    rows = np.flatnonzero(shows | turned)
    offsets = (delta[rows] * M_PER_MM).astype(np.float32)
    return Shape(rows, offsets, turns[rows].astype(np.float32))


def _of_copies(shape: Shape, source: IntArray, n_vertices: int) -> Shape:
    """Return a shape of the head as one of the mesh whose vertices are copies of `source`."""
    place = np.full(n_vertices, -1)
    place[shape.rows] = np.arange(len(shape.rows))
    found = place[source]
    rows = np.flatnonzero(found >= 0)
    return Shape(rows, shape.offsets[found[rows]], shape.turns[found[rows]])
