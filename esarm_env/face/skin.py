"""Skin mesh of the shipped head: a grid with slits for eyes and mouth, lid edges, mouth cavity."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.face import surface
from esarm_env.face.geometry import Anatomy, Kind, strip

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, IntArray
    from esarm_env.face.surface import Array

_UPPER_LIP_BORDER = surface.MOUTH_HEIGHT + 7.0
_LOWER_LIP_BORDER = surface.MOUTH_HEIGHT - 8.5
_CROWN = (0.0, 137.0, 0.0)
_BETWEEN_SLITS = 2.5  # a row that neither the eyes nor the mouth reach

_ROWS = np.concatenate(
    [
        [133, 129, 122, 114, 105, 96, 88, 80, 73, 67, 62, 59, 56, 53, 50.5, 48, 46],
        surface.EYE_HEIGHT + np.array([4.4, 2.8, 1.4, 0.0, -1.4, -2.9, -4.6, -6.5, -9.0]),
        [27.5, 23.5, 19.5, 15, 10.5, 6, 2, -2, -5, -7.5, -10, -12, -14, -16, -18, -21, -24],
        np.linspace(_UPPER_LIP_BORDER, surface.MOUTH_HEIGHT, 5),
        np.linspace(surface.MOUTH_HEIGHT, _LOWER_LIP_BORDER, 5)[1:],
        [-47, -50, -53.5, -57, -61, -65, -69, -73, -77, -81, -85, -89, -92.5, -96, -99, -103],
        [-109, -120, -142],
    ]
)

# Columns from the outer corner of the eye to the ear, by how far the section reaches forward there;
# the edge of the hair lies between two that are close together.
_SIDE_REACH = (0.65, 0.52, 0.42, 0.32, 0.25, 0.13)

# From the rim of the lips into the mouth: depth behind the rim, height at the middle, width factor.
# The first row crosses the other lip's, so that no light falls through closed lips.
_CAVITY = ((3.0, -0.3, 1.0), (7.0, 3.5, 1.01), (14.0, 9.0, 1.04), (38.0, 13.0, 1.0))
_CAVITY_END = (0.6, -36.0, 50.0)  # width factor, y, z


class _Sheet:
    """Mesh builder that grows row by row."""

    def __init__(self) -> None:
        self._parts: list[Anatomy] = []
        self._faces: list[IntArray] = []
        self.n_vertices = 0

    def add(self, position: Array, row: Array, *, under: BoolArray, kind: IntArray) -> IntArray:
        """Append vertices and return their indices."""
        self._parts.append(Anatomy(position, row, under, kind, np.zeros((0, 3), dtype=np.int64)))
        self.n_vertices += len(position)
        return np.arange(self.n_vertices - len(position), self.n_vertices)

    def connect(self, faces: IntArray) -> None:
        """Append triangles between vertices already there."""
        self._faces.append(faces)

    def positions(self, indices: IntArray) -> Array:
        """Return the positions of some vertices."""
        every: Array = np.concatenate([part.position for part in self._parts])
        return every[indices]

    def anatomy(self) -> Anatomy:
        """Return the finished mesh."""
        return Anatomy(
            np.concatenate([part.position for part in self._parts]),
            np.concatenate([part.row for part in self._parts]),
            np.concatenate([part.under for part in self._parts]),
            np.concatenate([part.kind for part in self._parts]),
            np.concatenate(self._faces),
        )


def _half_columns() -> tuple[Array, BoolArray]:
    """Return the columns from the front to the back midline: fraction of the width, back or not."""
    eye_width = surface.half_width(np.array([surface.EYE_HEIGHT]))[0]
    mouth_width = surface.half_width(np.array([surface.MOUTH_HEIGHT]))[0]
    inner = (surface.EYE_CENTRE[0] - surface.EYE_HALF_WIDTH) / eye_width
    outer = (surface.EYE_CENTRE[0] + surface.EYE_HALF_WIDTH) / eye_width
    corner = surface.MOUTH_HALF_WIDTH / mouth_width
    side = np.append((1.0 - np.array(_SIDE_REACH) ** 2.4) ** (1.0 / 2.4), 1.0)
    back = np.sin(np.linspace(np.pi / 2, np.pi, 9))[1:]
    back[-1] = 0.0
    fronts = (np.linspace(0, inner, 8), np.linspace(inner, corner, 5)[1:])
    front = np.concatenate([*fronts, np.linspace(corner, outer, 8)[1:], side])
    return np.concatenate([front, back]), np.arange(len(front) + len(back)) >= len(front)


def _columns() -> tuple[Array, BoolArray]:
    """Return all columns, from the back round the right side, the front and the left side."""
    half, is_back = _half_columns()
    return np.concatenate([-half[1:-1][::-1], half]), np.concatenate([is_back[1:-1][::-1], is_back])


def _slits(across: Array, back: BoolArray) -> list[tuple[int, IntArray]]:
    """Return row number and columns, corners included, of right eye, left eye and mouth."""
    eye_row = int(np.flatnonzero(_ROWS == surface.EYE_HEIGHT)[0])
    mouth_row = int(np.flatnonzero(_ROWS == surface.MOUTH_HEIGHT)[0])
    x = across * surface.half_width(np.full(len(across), surface.EYE_HEIGHT))
    in_eye = (np.abs(surface.eye_across(x)) < 1.001) & ~back
    x_mouth = across * surface.half_width(np.full(len(across), surface.MOUTH_HEIGHT))
    in_mouth = (np.abs(x_mouth) < surface.MOUTH_HALF_WIDTH + 0.01) & ~back
    return [
        (eye_row, np.flatnonzero(in_eye & (x < 0))),
        (eye_row, np.flatnonzero(in_eye & (x > 0))),
        (mouth_row, np.flatnonzero(in_mouth)),
    ]


def _add_points(
    sheet: _Sheet, across: Array, row: Array, *, back: BoolArray, copy: bool
) -> IntArray:
    """Append grid points; `copy` marks the second vertex of a slit, on its lower side."""
    below = np.where(row > _BETWEEN_SLITS, row < surface.EYE_HEIGHT, row < surface.MOUTH_HEIGHT)
    under = below | copy
    position = surface.skin(across, row, back=back, under=under)
    # Lips that coincide exactly flicker in a depth buffer.
    position[:, 1] += np.where(row == surface.MOUTH_HEIGHT, np.where(under, -0.06, 0.06), 0.0)
    lip = (row <= _UPPER_LIP_BORDER) & (row >= _LOWER_LIP_BORDER) & ~back
    lip &= np.abs(position[:, 0]) <= surface.MOUTH_HALF_WIDTH + 0.01
    kind = np.where(lip, Kind.LIP, Kind.SKIN).astype(np.int64)
    kind[surface.is_hair(across, row, back=back)] = Kind.HAIR
    return sheet.add(position, row, under=under, kind=kind)


def _line(sheet: _Sheet, position: Array, *, under: bool, kind: Kind) -> IntArray:
    """Append an inner row behind a rim."""
    n = len(position)
    row = np.full(n, surface.EYE_HEIGHT if kind == Kind.LID_EDGE else surface.MOUTH_HEIGHT)
    return sheet.add(position, row, under=np.full(n, under), kind=np.full(n, kind, dtype=np.int64))


def _add_lid_edges(sheet: _Sheet, upper: IntArray, lower: IntArray) -> None:
    """Give both lids an edge that reaches back to the eyeball."""
    left = sheet.positions(upper)[:, 0] >= 0
    inward = np.array([0.0, 0.0, -2.5])
    edges = []
    for rim, under in ((upper, False), (lower, True)):
        edge = rim.copy()  # the corners have none: a face there would look out of the cheek
        behind = sheet.positions(rim[1:-1]) + inward
        edge[1:-1] = _line(sheet, behind, under=under, kind=Kind.LID_EDGE)
        edges.append(edge)
    over, below = edges
    sheet.connect(strip(upper, over, left=left))
    sheet.connect(strip(below, lower, left=left))


def _add_cavity(sheet: _Sheet, upper: IntArray, lower: IntArray) -> None:
    """Line the mouth: a bag from the upper rim, round its end, to the lower rim."""
    x = sheet.positions(upper)[:, 0]
    body = np.sqrt(np.clip(1.0 - (x / surface.MOUTH_HALF_WIDTH) ** 2, 0.0, 1.0))
    rows_by_side = []
    for rim, sign in ((upper, 1.0), (lower, -1.0)):
        rows = [rim]
        for depth, height, width in _CAVITY:
            move = np.stack([(width - 1) * x, sign * height * body, np.full(len(x), -depth)], 1)
            kind = Kind.INNER_LIP if depth == _CAVITY[0][0] else Kind.MOUTH
            position = sheet.positions(rim) + move
            rows.append(_line(sheet, position, under=sign < 0, kind=kind))
        rows_by_side.append(rows)
    width, y, z = _CAVITY_END
    end = np.stack([width * x, np.full(len(x), y), np.full(len(x), z)], axis=1)
    rows = [*rows_by_side[0], _line(sheet, end, under=True, kind=Kind.MOUTH)]
    rows += rows_by_side[1][::-1]
    for over, below in pairwise(rows):
        sheet.connect(strip(over, below, left=x >= 0))


def build_skin() -> Anatomy:
    """Return the head's skin with lid edges and the inside of the mouth."""
    across, back = _columns()
    n = len(across)
    sheet = _Sheet()
    grid_row, grid_across = np.repeat(_ROWS, n), np.tile(across, len(_ROWS))
    grid_back = np.tile(back, len(_ROWS))
    above = _add_points(sheet, grid_across, grid_row, back=grid_back, copy=False)
    above = above.reshape(len(_ROWS), n)
    below = above.copy()
    slits = _slits(across, back)
    for row, columns in slits:
        inner = columns[1:-1]
        rows = np.full(len(inner), _ROWS[row])
        below[row, inner] = _add_points(sheet, across[inner], rows, back=back[inner], copy=True)
    for row in range(len(_ROWS) - 1):
        sheet.connect(strip(below[row], above[row + 1], left=across >= 0, closed=True))
    crown = np.array([_CROWN])
    top = sheet.add(
        crown, _ROWS[:1] + 1, under=np.array([False]), kind=np.array([Kind.HAIR], dtype=np.int64)
    )
    sheet.connect(np.stack([above[0], np.roll(above[0], -1), np.repeat(top, n)], axis=1))
    for row, columns in slits[:2]:
        _add_lid_edges(sheet, above[row, columns], below[row, columns])
    row, columns = slits[2]
    _add_cavity(sheet, above[row, columns], below[row, columns])
    return sheet.anatomy()
