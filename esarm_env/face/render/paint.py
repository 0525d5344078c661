"""What colour each part of a head has, before light falls on it.

Parts are the head's regions, by name; a part the head does not have is skin. Parts that are meshes
of their own have hard edges (a face is painted where all three of its vertices belong to the part),
the others fade into the skin over one triangle.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from esarm_env.errors import InputError
from esarm_env.face.head import Head
from esarm_env.face.render.camera import Array
from esarm_env.types import BoolArray

Colour = tuple[int, int, int]

_SOFT_PARTS = ("hair", "nostrils", "lashes", "mouth_inside", "lips")
_HARD_PARTS = ("teeth", "tongue", "brows", "eyeballs", "iris", "pupils")
# Light hardly reaches what lies behind the lips; the share that reaches the very back.
_DEEP_PARTS = {"mouth_inside": 0.2, "teeth": 0.15, "tongue": 0.15}


@dataclass(frozen=True)
class Palette:
    """The colours of a picture, each three whole numbers 0..255 (sRGB).

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
    """Return an sRGB colour as amounts of light, shape (3,), in 0..1 (gamma 2.2)."""
    return np.asarray((np.asarray(colour) / 255.0) ** 2.2)


def to_srgb(light: Array) -> Array:
    """Return amounts of light as sRGB values in 0..255; what is brighter than white is white."""
    return np.asarray(255.0 * np.clip(light, 0.0, 1.0) ** (1.0 / 2.2))


def part_of(head: Head, name: str) -> BoolArray:
    """Return which vertices belong to a part, shape (V,); none if the head does not have it."""
    mask = np.zeros(head.n_vertices, dtype=np.bool_)
    mask[head.regions.get(name, [])] = True
    return mask


def _depth_shade(head: Head) -> Array:
    """Return how much light reaches each vertex inside the mouth, 1 elsewhere, shape (V,)."""
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
    """Return the share of light that each corner of each face gives back, shape (F, 3, 3)."""
    soft = np.tile(to_linear(palette.skin), (head.n_vertices, 1))
    for name in _SOFT_PARTS:
        soft[part_of(head, name)] = to_linear(getattr(palette, name))
    albedo = soft[head.faces]  # (F, 3, 3)
    for name in _HARD_PARTS:
        whole = part_of(head, name)[head.faces].all(axis=1)
        albedo[whole] = to_linear(getattr(palette, name))
    return np.asarray(albedo * _depth_shade(head)[head.faces][..., None])
