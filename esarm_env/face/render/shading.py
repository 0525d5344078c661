"""Shading of a head: colours (albedo) of its regions, vertex normals, curvature and lights.

Parts are the head's regions, by name; a part the head does not have is skin. Parts that are meshes
of their own have hard edges (a face is painted where all three of its vertices belong to the part),
the others fade into the skin over one triangle.

Two lights that stand with the camera, both on its vertical plane so that a symmetric face gives a
symmetric picture, and a sky over a darker ground. The red part of the light reaches farther round
an edge than the blue, as it does through skin. Hollows are darker than ridges.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray
    from esarm_env.face.head import Head
    from esarm_env.face.render.camera import Array

Colour = tuple[int, int, int]

_SOFT_PARTS = ("hair", "nostrils", "lashes", "mouth_inside", "lips")
_HARD_PARTS = ("teeth", "tongue", "brows", "eyeballs", "iris", "pupils")
# Light hardly reaches what lies behind the lips; the share that reaches the very back.
_DEEP_PARTS = {"mouth_inside": 0.2, "teeth": 0.15, "tongue": 0.15}
_KEY = np.array([0.0, 0.62, 0.785])
_KEY_STRENGTH = 0.86
_WRAP = np.array([0.42, 0.26, 0.18])  # how far round an edge red, green and blue light reaches
_SKY = np.array([0.34, 0.35, 0.38])
_GROUND = np.array([0.15, 0.12, 0.11])
_HOLLOW_MM = 2.2  # how much a curvature of 1 / mm takes from the light


@dataclass(frozen=True)
class Palette:
    """Colours of background and regions, each three whole numbers 0..255 (sRGB).

    The fields after `skin` are named as the regions they paint.
    """

    background: Colour = (226, 229, 234)
    skin: Colour = (228, 178, 150)
    hair: Colour = (92, 66, 52)
    nostrils: Colour = (112, 66, 56)
    lashes: Colour = (104, 68, 54)
    lips: Colour = (200, 118, 110)
    mouth_inside: Colour = (112, 42, 40)
    teeth: Colour = (240, 234, 222)
    tongue: Colour = (198, 102, 98)
    brows: Colour = (88, 62, 48)
    eyeballs: Colour = (240, 238, 236)
    iris: Colour = (86, 122, 140)
    pupils: Colour = (18, 16, 18)

    def __post_init__(self) -> None:
        """Check that every colour is one."""
        for field in fields(self):
            colour = np.asarray(getattr(self, field.name))
            whole = colour.shape == (3,) and np.issubdtype(colour.dtype, np.integer)
            if not whole or colour.min() < 0 or colour.max() > 255:
                rule = "three whole numbers in 0..255"
                raise InputError(f"`{field.name}` must be {rule}, got {getattr(self, field.name)}")


def to_linear(colour: Colour) -> Array:
    """Convert an sRGB colour to linear RGB, shape (3,), in 0..1 (gamma 2.2)."""
    return np.asarray((np.asarray(colour) / 255.0) ** 2.2)


def to_srgb(light: Array) -> Array:
    """Convert linear RGB to sRGB values in 0..255, clipped at white."""
    return np.asarray(255.0 * np.clip(light, 0.0, 1.0) ** (1.0 / 2.2))


def part_of(head: Head, name: str) -> BoolArray:
    """Return the vertex mask of a part, shape (V,); all False if the head does not have it."""
    mask = np.zeros(head.n_vertices, dtype=np.bool_)
    mask[head.regions.get(name, [])] = True
    return mask


def _depth_shade(head: Head) -> Array:
    """Return the ambient occlusion inside the mouth per vertex, 1 elsewhere, shape (V,)."""
    shade = np.ones(head.n_vertices)
    lips = part_of(head, "lips")
    for name, share in _DEEP_PARTS.items():
        inside = part_of(head, name) & ~lips
        if inside.any():
            z = head.vertices[inside, 2].astype(np.float64)
            along = (z - z.min()) / max(float(np.ptp(z)), 1e-9)
            shade[inside] = share + (1.0 - share) * along**2
    return shade


def corner_albedo(head: Head, palette: Palette) -> Array:
    """Return the albedo (linear RGB) of each corner of each face, shape (F, 3, 3)."""
    soft = np.tile(to_linear(palette.skin), (head.n_vertices, 1))
    for name in _SOFT_PARTS:
        soft[part_of(head, name)] = to_linear(getattr(palette, name))
    albedo = soft[head.faces]  # (F, 3, 3)
    for name in _HARD_PARTS:
        whole = part_of(head, name)[head.faces].all(axis=1)
        albedo[whole] = to_linear(getattr(palette, name))
    return np.asarray(albedo * _depth_shade(head)[head.faces][..., None])


class Mesh:
    """Mesh topology for normals and curvature, computed once."""

    def __init__(self, faces: npt.NDArray[np.int32], n_vertices: int) -> None:
        """Sort the corners of `faces` (F, 3) by vertex."""
        self._faces = faces
        self._order = np.argsort(faces.reshape(-1), kind="stable")
        self._used, self._starts = np.unique(faces.reshape(-1)[self._order], return_index=True)
        # Every edge in both directions, sorted by the vertex it leaves.
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        leaves, enters = np.concatenate([edges, edges[:, ::-1]]).T.astype(np.int64)
        # As one number each they are sorted faster than as pairs.
        self._from, self._to = np.divmod(np.unique(leaves * n_vertices + enters), n_vertices)
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

    def mean_curvature(self, vertices: FloatArray, normals: FloatArray) -> FloatArray:
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


def light(normals: Array, curvature: FloatArray) -> Array:
    """Return the light (linear RGB) at each vertex, shape (V, 3).

    Args:
        normals: Shape (V, 3), in the camera's frame (right, up, backward).
        curvature: Shape (V,), as from `Mesh.mean_curvature`.
    """
    towards = (normals @ _KEY)[:, None]
    key = _KEY_STRENGTH * np.clip((towards + _WRAP) / (1.0 + _WRAP), 0.0, None)
    up = 0.5 + 0.5 * normals[:, 1:2]
    ambient = _GROUND + (_SKY - _GROUND) * up
    cavity = np.clip(1.0 - _HOLLOW_MM * curvature, 0.6, 1.12)[:, None]
    return np.asarray((key + ambient) * cavity)
