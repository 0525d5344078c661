"""Rasteriser: a depth buffer of face ids, and the anti-aliased image resolved from it.

A triangle covers a pixel if it covers the pixel's centre; centres on an edge belong to the triangle
right of it or below it, so that neighbours neither overlap nor leave holes (the fill rule of
Direct3D and OpenGL). Each triangle is cut into spans, one per pixel row, and all spans of all
triangles are written at once, without a Python loop.

`resolve_samples` turns the face id of each sample into the image. Colours run linearly over a face.
Eyes also get a small specular highlight, computed per sample because it is smaller than a face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
_Numbers = npt.NDArray[np.number]

NO_FACE = -1

# A depth and a face share an int64, so that one maximum decides both.
_FACE_BITS = 24
_DEPTH_STEPS = 2.0 ** (62 - _FACE_BITS)
_PIECE = 1024  # faces drawn at a time
_BAND = 32  # rows resolved at a time, so that their data fit the CPU's cache
# Half vector between the camera and a lamp above it, about which a wet eye mirrors the lamp.
_GLINT = np.array([0.0, 0.2, 0.98], dtype=np.float32)
_GLINT_START, _GLINT_FULL = 0.9905, 0.9955  # cosines of the angle off the glint
_GLINT_BRIGHTNESS = 230.0


def front_faces(points: Array, faces: npt.NDArray[np.int32]) -> IntArray:
    """Back-face culling: return the faces turned to the camera, counter-clockwise with y up."""
    x, y = points[:, 0][faces].T, points[:, 1][faces].T
    doubled = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    return np.flatnonzero(doubled < 0.0)


def planes(points: Array, faces: npt.NDArray[np.int32], values: Array) -> Array:
    """Return the interpolation planes of corner attributes: value at (0, 0), slopes in x and y.

    Args:
        points: Shape (V, 2 or more), x and y in pixels.
        faces: Shape (F, 3), none of them without area.
        values: Shape (F, 3, D), one per corner.

    Returns:
        Shape (F, 3, D): value at pixel (0, 0), its change per column and per row.
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
    """Expand ranges top..bottom-1 to arrays of range number and value."""
    counts = np.maximum(bottom - top, 0)
    owner = np.repeat(np.arange(len(counts)), counts)
    shift = top - (np.cumsum(counts) - counts)
    return owner, np.arange(len(owner)) + shift[owner]


def _spans(x: Array, y: Array, *, width: int, height: int) -> tuple[IntArray, ...]:
    """Cut triangles into spans: arrays of triangle, row, first column, column after the last.

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
        # Symmetric in the edge's ends, so that both its triangles compute the very same number.
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
    """Fill a depth buffer and return the face id of each pixel.

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
    # In pieces that fit the CPU's cache: allocating everything at once takes longer than drawing.
    for begin in range(0, len(faces), _PIECE):
        part = slice(begin, begin + _PIECE)
        _draw(buffer, x[part], y[part], plane[part], first_face=begin)
    empty = buffer < 0
    buffer &= (1 << _FACE_BITS) - 1
    buffer[empty] = NO_FACE
    return buffer


def _draw(buffer: IntArray, x: Array, y: Array, plane: Array, *, first_face: int) -> None:
    """Depth-test faces into the buffer.

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


class FaceShading(NamedTuple):
    """Interpolation planes of the visible faces' colours and eye normals, see `planes`.

    Attributes:
        colours: Shape (F, 3, 3), sRGB in 0..255.
        wet: Shape (F,), row in `normals` of the faces that mirror the lamp, -1 for the others.
        normals: Shape (W, 3, 3), of the wet faces, in the camera's frame.
    """

    colours: FloatArray
    wet: IntArray
    normals: FloatArray


def _at(table: FloatArray, face: IntArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Evaluate interpolation planes at samples (n,), shape (n, 3)."""
    plane = table.take(face, axis=0)
    return np.asarray(plane[:, 0] + plane[:, 1] * x[:, None] + plane[:, 2] * y[:, None])


def _colours(shading: FaceShading, face: IntArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the shaded colours at samples (n,), shape (n, 3)."""
    colours = _at(shading.colours, face, x, y)
    row = shading.wet[face]
    wet = np.flatnonzero(row >= 0)
    normals = _at(shading.normals, row[wet], x[wet], y[wet])
    towards = normals @ _GLINT / np.maximum(np.linalg.norm(normals, axis=1), 1e-6)
    share = np.clip((towards - _GLINT_START) / (_GLINT_FULL - _GLINT_START), 0.0, 1.0)
    colours[wet] += _GLINT_BRIGHTNESS * share[:, None]
    return np.clip(colours, 0.0, 255.0)


def _mean_of_samples(
    shown: IntArray, shading: FaceShading, *, top: int, background: FloatArray, samples: int
) -> FloatArray:
    """Average the samples of some rows of the picture, the first of which is `top`.

    Where all samples of a pixel show one face its colour in the middle is their mean.
    """
    width = shown.shape[1] // samples
    blocks = shown.reshape(-1, samples, width, samples).transpose(1, 3, 0, 2)
    grid = blocks.reshape(samples**2, -1)  # (samples of a pixel, pixels)

    def colours_at(pixel: IntArray, face: IntArray, down: _Numbers, right: _Numbers) -> FloatArray:
        row, column = np.divmod(pixel, width)
        x = (column * samples + right).astype(np.float32)
        y = ((row + top) * samples + down).astype(np.float32)
        return _colours(shading, face, x, y)

    same = (grid == grid[0]).all(axis=0)
    mean = np.tile(background, (len(same), 1))
    whole = np.flatnonzero(same & (grid[0] != NO_FACE))
    middle = np.asarray((samples - 1) / 2.0)
    mean[whole] = colours_at(whole, grid[0, whole], middle, middle)
    mixed = np.flatnonzero(~same)
    number, which = np.nonzero(grid[:, mixed] != NO_FACE)
    parts = np.tile(background, (samples**2, len(mixed), 1))
    pixel = mixed[which]
    parts[number, which] = colours_at(pixel, grid[number, pixel], *np.divmod(number, samples))
    mean[mixed] = parts.mean(axis=0)
    return mean


def resolve_samples(
    shown: IntArray, shading: FaceShading, *, background: FloatArray, samples: int
) -> Image:
    """Resolve per-sample face ids into the anti-aliased image.

    Args:
        shown: Shape (height * samples, width * samples), the face each sample shows or `NO_FACE`.
        shading: Colours and highlights of the faces.
        background: Shape (3,), float32, sRGB in 0..255.
        samples: Per pixel along each axis.

    Returns:
        Shape (height, width, 3), uint8.
    """
    height, width = shown.shape[0] // samples, shown.shape[1] // samples
    image = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _BAND):
        band = shown[top * samples : (top + _BAND) * samples]
        mean = _mean_of_samples(band, shading, top=top, background=background, samples=samples)
        image[top : top + _BAND] = np.rint(mean).reshape(-1, width, 3)
    return image
