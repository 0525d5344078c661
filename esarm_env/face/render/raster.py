"""Which triangle each pixel shows: a depth buffer filled span by span, without a Python loop.

A triangle covers a pixel if it covers the pixel's centre; centres on an edge belong to the triangle
right of it or below it, so that neighbours neither overlap nor leave holes (the fill rule of
Direct3D and OpenGL). Each triangle is cut into spans, one per pixel row, and all spans of all
triangles are written at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.types import IntArray

Array = npt.NDArray[np.float64]

NO_FACE = -1

# A depth and a face share an int64, so that one maximum decides both.
_FACE_BITS = 24
_DEPTH_STEPS = 2.0 ** (62 - _FACE_BITS)
_PIECE = 1024  # faces drawn at a time


def facing(points: Array, faces: npt.NDArray[np.int32]) -> IntArray:
    """Return which faces are turned to the camera, counter-clockwise before y was flipped."""
    x, y = points[:, 0][faces].T, points[:, 1][faces].T
    doubled = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    return np.flatnonzero(doubled < 0.0)


def planes(points: Array, faces: npt.NDArray[np.int32], values: Array) -> Array:
    """Return how values at the corners run over the picture: a constant, and a slope in x and y.

    Args:
        points: Shape (V, 2 or more), x and y in pixels.
        faces: Shape (F, 3), none of them without area.
        values: Shape (F, 3, C), one per corner.

    Returns:
        Shape (F, 3, C): value at pixel (0, 0), its change per column and per row.
    """
    x, y = points[:, 0][faces] - 0.5, points[:, 1][faces] - 0.5  # centres at whole numbers
    x1, y1 = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    x2, y2 = x[:, 2] - x[:, 0], y[:, 2] - y[:, 0]
    inverse = 1.0 / (x1 * y2 - x2 * y1)
    first, second = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    along_x = first * (y2 * inverse)[:, None] - second * (y1 * inverse)[:, None]
    along_y = second * (x1 * inverse)[:, None] - first * (x2 * inverse)[:, None]
    at_zero = values[:, 0] - along_x * x[:, :1] - along_y * y[:, :1]
    return np.stack([at_zero, along_x, along_y], axis=1)


def _rows(top: IntArray, bottom: IntArray) -> tuple[IntArray, IntArray]:
    """Return for ranges top..bottom-1 every (number of the range, value) in them."""
    counts = np.maximum(bottom - top, 0)
    owner = np.repeat(np.arange(len(counts)), counts)
    shift = top - (np.cumsum(counts) - counts)
    return owner, np.arange(len(owner)) + shift[owner]


def _spans(x: Array, y: Array, *, width: int, height: int) -> tuple[IntArray, ...]:
    """Return number of the triangle, row, first column and column after the last of every span.

    Args:
        x: Shape (F, 3), of the corners, centres of pixels at whole numbers.
        y: Shape (F, 3), the same.
        width: Of the picture.
        height: Of the picture.
    """
    top = np.clip(np.ceil(y.min(axis=1)), 0, height).astype(np.int64)
    bottom = np.clip(np.ceil(y.max(axis=1)), 0, height).astype(np.int64)
    owner, row = _rows(top, bottom)
    left, right = np.full(len(row), -np.inf), np.full(len(row), np.inf)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        # Written so that the edge's other triangle computes the very same number.
        down = y[:, start] - y[:, end]
        over = x[:, end] - x[:, start]
        cross = x[:, start] * y[:, end] - x[:, end] * y[:, start]
        slope = np.where(down != 0.0, down, 1.0)
        crossing = -((over / slope)[owner] * row + (cross / slope)[owner])
        # The inside is where down * x + over * y + cross is negative.
        np.maximum(left, crossing, out=left, where=(down < 0.0)[owner])
        np.minimum(right, crossing, out=right, where=(down > 0.0)[owner])
    first = np.clip(np.ceil(left), 0, width).astype(np.int64)
    after = np.clip(np.ceil(right), 0, width).astype(np.int64)
    kept = after > first
    return owner[kept], row[kept], first[kept], after[kept]


def nearest_faces(
    points: Array, faces: npt.NDArray[np.int32], *, width: int, height: int
) -> IntArray:
    """Return which face each pixel shows.

    Args:
        points: Shape (V, 3): x and y in pixels, y down, and nearness, the larger the nearer.
        faces: Shape (F, 3), turned to the camera and with an area; fewer than 2**24.
        width: Of the picture in pixels.
        height: Of the picture in pixels.

    Returns:
        Shape (height, width), int64: the row of `faces`, `NO_FACE` where there is none. Of faces
        equally near the later one wins.
    """
    buffer = np.full((height, width), -1, dtype=np.int64)
    if not len(faces):
        return buffer
    near = points[:, 2]
    low, high = near.min(), near.max()
    depth = (near - low) / max(high - low, 1e-300) * 0.98 + 0.01  # room for rounding outside 0..1
    plane = planes(points, faces, depth[faces][..., None])[:, :, 0] * _DEPTH_STEPS  # (F, 3)
    x, y = points[:, 0][faces] - 0.5, points[:, 1][faces] - 0.5
    # In pieces that fit the cache: fresh memory for everything at once costs more than the work.
    for begin in range(0, len(faces), _PIECE):
        part = slice(begin, begin + _PIECE)
        _draw(buffer, x[part], y[part], plane[part], first_face=begin)
    empty = buffer < 0
    buffer &= (1 << _FACE_BITS) - 1
    buffer[empty] = NO_FACE
    return buffer


def _draw(buffer: IntArray, x: Array, y: Array, plane: Array, *, first_face: int) -> None:
    """Write faces into the depth buffer where they are nearer than what it holds.

    Args:
        buffer: Shape (height, width), depth and face in one number; changed in place.
        x: Shape (F, 3), of the corners, centres of pixels at whole numbers.
        y: Shape (F, 3), the same.
        plane: Shape (F, 3), of the depth: at pixel (0, 0), per column, per row, in depth steps.
        first_face: Number of the first of the faces.
    """
    height, width = buffer.shape
    owner, row, first, after = _spans(x, y, width=width, height=height)
    counts = after - first
    before = np.cumsum(counts) - counts
    step = plane[owner, 1]
    start = plane[owner, 0] + plane[owner, 2] * row + step * first
    number = np.arange(int(counts.sum()))
    depth = np.repeat(start - step * before, counts) + np.repeat(step, counts) * number
    key = np.clip(depth, 0.0, _DEPTH_STEPS - 1.0).astype(np.int64) << _FACE_BITS
    key |= np.repeat(owner + first_face, counts)
    pixel = np.repeat(row * width + first - before, counts) + number
    np.maximum.at(buffer.reshape(-1), pixel, key)
