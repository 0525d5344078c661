"""Meshes of the shipped head other than skin: eyeballs, teeth, tongue, brows and ears."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.face import surface
from esarm_env.face.geometry import Anatomy, Kind, join, strip

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray
    from esarm_env.face.surface import Array

_IRIS_ANGLE = np.deg2rad(24.0)
_PUPIL_ANGLE = np.deg2rad(10.0)
_ARCH_HALF_WIDTH = 24.0  # of the teeth, mm

# Height of the brow's middle line and half its thickness, along x.
_BROW = np.array(
    [
        [9.5, 55.2, 0.5],
        [11.0, 55.6, 1.9],
        [14.0, 56.2, 2.7],
        [20.0, 57.4, 2.9],
        [29.0, 59.0, 2.6],
        [38.0, 59.4, 2.1],
        [46.0, 57.4, 1.4],
        [52.0, 54.0, 0.4],
    ]
)

# Ear: radius on its outline, how far it stands off the head (mm).
_EAR_PROFILE = (
    (0.94, -4.0),
    (1.0, 3.0),
    (0.96, 6.0),
    (0.86, 7.5),
    (0.74, 6.5),
    (0.6, 3.0),
    (0.3, 1.5),
)


def _part(position: Array, faces: IntArray, *, kind: IntArray) -> Anatomy:
    """Return a mesh that is not on the skin's grid."""
    n = len(position)
    return Anatomy(position, np.full(n, np.nan), np.zeros(n, dtype=np.bool_), kind, faces)


def _rows(position: Array, *, kind: IntArray, closed: bool = False) -> Anatomy:
    """Return a mesh of vertex rows (R, n, 3), top row first, each running towards positive x."""
    n_rows, n, _ = position.shape
    index = np.arange(n_rows * n).reshape(n_rows, n)
    faces = [
        strip(index[row], index[row + 1], left=position[row, :, 0] >= 0, closed=closed)
        for row in range(n_rows - 1)
    ]
    return _part(position.reshape(-1, 3), np.concatenate(faces), kind=kind)


def _mirrored(part: Anatomy) -> Anatomy:
    """Return the part of the other side, its faces turned to look outside again."""
    flipped = part.mirrored()
    return Anatomy(flipped.position, part.row, part.under, part.kind, part.faces[:, ::-1])


def eyeball() -> Anatomy:
    """Return the left eyeball, its pole at the pupil so that the iris has a clean edge."""
    angles = np.array([0.0, 0.5 * _PUPIL_ANGLE, _PUPIL_ANGLE, _IRIS_ANGLE])
    angles = np.concatenate([angles, np.deg2rad([35.0, 45, 57, 70, 85, 105])])
    turn = np.linspace(0.0, 2.0 * np.pi, 17)[:-1]
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1)
    sine, cosine = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    unit = ring * sine + np.array([0.0, 0.0, 1.0]) * cosine  # (10, 16, 3)
    unit[0] = (0.0, 0.0, 1.0)
    position = np.array(surface.EYE_CENTRE) + surface.EYEBALL_RADIUS * unit
    kind = np.full((len(angles), len(turn)), Kind.EYEBALL, dtype=np.int64)
    kind[angles <= _IRIS_ANGLE + 1e-9] = Kind.IRIS
    kind[angles <= _PUPIL_ANGLE + 1e-9] = Kind.PUPIL
    return _rows(position, kind=kind.reshape(-1), closed=True)


def _arch(x: Array, *, width: float, front: float) -> Array:
    """Return the depth of a dental arch."""
    return np.asarray(front - 18.0 * np.abs(x / width) ** 2.4)


def teeth() -> Anatomy:
    """Return both rows of teeth as bands, a little apart."""
    half = np.sin(np.linspace(0.0, np.pi / 2, 9))
    x = _ARCH_HALF_WIDTH * np.concatenate([-half[:0:-1], half])
    bands = []
    for kind, heights, out, front in (
        (Kind.UPPER_TEETH, (-27.0, -31.0, -35.0, -39.0, -31.0), (-1.0, 0.0, 0.2, -0.6, -5.0), 97.0),
        (Kind.LOWER_TEETH, (-48.0, -39.6, -42.0, -46.0, -50.0), (-5.0, -0.6, 0.2, 0.0, 0.0), 95.0),
    ):
        depth = _arch(x, width=_ARCH_HALF_WIDTH, front=front)
        position = np.stack(
            [
                np.stack([x, np.full_like(x, y), depth + step], axis=1)
                for y, step in zip(heights, out, strict=True)
            ]
        )
        bands.append(_rows(position, kind=np.full(position.size // 3, kind, dtype=np.int64)))
    return join(bands)


def tongue() -> Anatomy:
    """Return the tongue as a tapering tube, from the throat to a rounded tip behind the teeth."""
    along = np.sin(np.linspace(0.0, np.pi / 2, 9))[:, None]
    turn = np.linspace(0.0, 2.0 * np.pi, 15)[:-1]
    # Rounding makes cosines of opposite angles differ; the two sides must not.
    other = (7 - np.arange(14)) % 14
    cosine = 0.5 * (np.cos(turn) - np.cos(turn)[other])
    sine = 0.5 * (np.sin(turn) + np.sin(turn)[other])
    taper = np.sqrt(np.clip(1.0 - np.clip((along - 0.3) / 0.7, 0.0, 1.0) ** 2.4, 0.0, 1.0))
    arch = -45.5 - 3.5 * along**2
    hollow = -1.2 * np.exp(-0.5 * (cosine / 0.25) ** 2) * (sine > 0)
    x = 15.0 * taper * cosine
    y = arch + taper * (4.0 * sine + hollow)
    z = (52.0 + 40.0 * along) * np.ones_like(turn)
    position = np.stack([x, y, z], axis=-1)[::-1]
    kind = np.full(position.size // 3, Kind.TONGUE, dtype=np.int64)
    return _rows(position, kind=kind, closed=True)


def _on_skin(x: Array, y: Array, *, above: float) -> Array:
    """Return points `above` mm in front of the skin, away from eyes and mouth."""
    across = x / surface.half_width(y)
    no = np.zeros(x.shape, dtype=np.bool_)
    return np.asarray(surface.skin(across, y, back=no, under=no) + np.array([0.0, 0.0, above]))


def brow() -> Anatomy:
    """Return the left eyebrow: a ribbon that lies on the skin."""
    x = np.linspace(_BROW[0, 0], _BROW[-1, 0], 15)
    middle = np.interp(x, _BROW[:, 0], _BROW[:, 1])
    half = np.interp(x, _BROW[:, 0], _BROW[:, 2])
    rows = [
        _on_skin(x, middle + side * half, above=above)
        for side, above in ((1.0, 0.4), (0.4, 1.7), (-0.4, 1.7), (-1.0, 0.4))
    ]
    return _rows(np.stack(rows), kind=np.full(4 * len(x), Kind.BROW, dtype=np.int64))


def ear() -> Anatomy:
    """Return the left ear: a shell with a hollow, leaning back."""
    turn = np.linspace(0.0, 2.0 * np.pi, 15)[:-1]
    rings = []
    for radius, out in _EAR_PROFILE:
        y = 18.0 + 29.0 * radius * np.sin(turn)
        lobe = 1.0 - 0.25 * np.clip(-np.sin(turn), 0.0, 1.0)
        z = -6.0 - 15.0 * radius * lobe * np.cos(turn) - 0.18 * (y - 18.0)
        lean = 0.3 * (-z - 6.0) + 0.06 * (y - 18.0)
        stand_off = out + lean * min(1.0, max(0.0, out / 3.0))
        rings.append(np.stack([75.5 + stand_off, y, z], axis=1))
    rings.append(np.tile([[77.5, 16.0, -4.0]], (len(turn), 1)))
    position = np.stack(rings)[::-1]
    return _rows(position, kind=np.full(position.size // 3, Kind.EAR, dtype=np.int64), closed=True)


def build_parts() -> Anatomy:
    """Return all parts that are not skin, of both sides."""
    pairs = [eyeball(), brow(), ear()]
    return join([*pairs, *(_mirrored(part) for part in pairs), teeth(), tongue()])
