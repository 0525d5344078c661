"""Mesh properties for registration: normals, areas, the skin, and landmarks shared by two heads.

Landmarks are the few places that can be found on two heads before any vertex is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.face.names import index_of

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray
    from esarm_env.face.head import Head

Points = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int32]

# Vertices closer than this share of the head's size are one: exporters cut a mesh along its
# texture seams, which would leave the skin in pieces.
_WELD_SHARE = 1e-5

_UP = np.array([0.0, 1.0, 0.0])
_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
# Fewer leave the similarity to the shapes that differ most between heads.
_LEAST_SHARED = 10


@dataclass(frozen=True, eq=False)
class Surface:
    """Mesh with vertex normals, vertex areas and a skin mask.

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
    """Compute normals, areas and skin mask of a triangle mesh.

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
    """Return the connected component of each vertex, shape (V,), with texture seams welded."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    grid = np.round(points / (_WELD_SHARE * max(np.ptp(points, axis=0).max(), 1e-30)))
    welded = np.unique(grid, axis=0, return_inverse=True)[1].ravel()
    ends = welded[np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])]
    shape = (len(points), len(points))
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=shape)
    parts: npt.NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return parts[welded]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Corresponding points on our head and on another.

    Attributes:
        ours: Shape (N, 3), N at least 3 and not on one line, in mm; the first two belong to the
            left and the right eye.
        theirs: Shape (N, 3), in the other head's unit.
    """

    ours: Points
    theirs: Points


def shared_landmarks(head: Head, target: Surface, deltas: FloatArray) -> Landmarks | None:
    """Return landmarks at the centres of motion of the 52 shapes, on both heads.

    Args:
        head: Our own head.
        target: The other head's surface.
        deltas: Shape (52, V, 3), the other head's fields.

    Returns:
        The centres of all fields that move both skins, blinks first; None if the other head's lids
        do not blink or too few shapes move its skin.
    """
    ours, moves_ours = _field_centres(build_surface(head.vertices, head.faces), head.deltas)
    theirs, moves_theirs = _field_centres(target, deltas)
    shared = moves_ours & moves_theirs
    blinks = [index_of(name) for name in _BLINKS]
    if not shared[blinks].all() or np.count_nonzero(shared) < _LEAST_SHARED:
        return None
    order = [*blinks, *np.setdiff1d(np.flatnonzero(shared), blinks).tolist()]
    return Landmarks(ours[order], theirs[order])


def _field_centres(surface: Surface, deltas: FloatArray) -> tuple[Points, BoolArray]:
    """Return the centroid of each field's energy on the skin, (52, 3), and which have any."""
    energy = np.square(deltas, dtype=np.float64).sum(axis=-1) * (surface.areas * surface.skin)
    total = energy.sum(axis=1)
    moves = total > 0
    return energy @ surface.points / np.where(moves, total, 1.0)[:, None], moves


def eye_landmarks(head: Head, left_eye: Points, right_eye: Points) -> Landmarks:
    """Return landmarks from the eyes' centres alone, for a head that looks along +z with y up.

    Args:
        head: Our own head, with a region "eyeballs".
        left_eye: Shape (3,), the other head's left eyeball, in its unit.
        right_eye: Shape (3,).
    """
    balls = head.vertices[head.regions["eyeballs"]].astype(np.float64)
    own_left, own_right = (balls[side].mean(axis=0) for side in (balls[:, 0] > 0, balls[:, 0] < 0))
    return Landmarks(_eye_frame(own_left, own_right), _eye_frame(left_eye, right_eye))


def _eye_frame(left: Points, right: Points) -> Points:
    """Return both eyes and the points one eye distance above and before their middle, (4, 3)."""
    across = left - right
    forward = np.cross(across, _UP)
    up = np.cross(forward, across)
    size = np.linalg.norm(across)
    middle = (left + right) / 2
    return np.stack(
        [
            left,
            right,
            middle + up * (size / np.linalg.norm(up)),
            middle + forward * (size / np.linalg.norm(forward)),
        ]
    )
