"""From which face each sample shows to the finished picture.

Colours run evenly over a face. Eyes also get a small highlight, worked out per sample because it is
smaller than a face.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from esarm_env.face.render.raster import NO_FACE
from esarm_env.types import FloatArray, IntArray

Image = npt.NDArray[np.uint8]
_Numbers = npt.NDArray[np.number]

_BAND = 32  # rows finished at a time, so that what they need stays in the cache
# Halfway between the camera and a lamp above it, where a wet eye mirrors the lamp.
_GLINT = np.array([0.0, 0.2, 0.98], dtype=np.float32)
_GLINT_START, _GLINT_FULL = 0.9905, 0.9955  # cosines of the angle off the glint
_GLINT_BRIGHTNESS = 230.0


class Surface(NamedTuple):
    """What the visible faces look like; planes as `raster.planes` returns them.

    Attributes:
        colours: Shape (F, 3, 3), sRGB in 0..255.
        wet: Shape (F,), row in `normals` of the faces that mirror the lamp, -1 for the others.
        normals: Shape (W, 3, 3), of the wet faces, in the camera's frame.
    """

    colours: FloatArray
    wet: IntArray
    normals: FloatArray


def _at(table: FloatArray, face: IntArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return planes' values at samples (n,), shape (n, 3)."""
    plane = table.take(face, axis=0)
    return np.asarray(plane[:, 0] + plane[:, 1] * x[:, None] + plane[:, 2] * y[:, None])


def _colours(surface: Surface, face: IntArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the colours of faces at samples (n,), shape (n, 3)."""
    colours = _at(surface.colours, face, x, y)
    row = surface.wet[face]
    wet = np.flatnonzero(row >= 0)
    normals = _at(surface.normals, row[wet], x[wet], y[wet])
    towards = normals @ _GLINT / np.maximum(np.linalg.norm(normals, axis=1), 1e-6)
    share = np.clip((towards - _GLINT_START) / (_GLINT_FULL - _GLINT_START), 0.0, 1.0)
    colours[wet] += _GLINT_BRIGHTNESS * share[:, None]
    return np.clip(colours, 0.0, 255.0)


def _mean_of_samples(
    shown: IntArray, surface: Surface, *, top: int, background: FloatArray, samples: int
) -> FloatArray:
    """Return the colours of some rows of the picture, the first of which is `top`.

    Where all samples of a pixel show one face its colour in the middle is their mean.
    """
    width = shown.shape[1] // samples
    blocks = shown.reshape(-1, samples, width, samples).transpose(1, 3, 0, 2)
    grid = blocks.reshape(samples**2, -1)  # (samples of a pixel, pixels)

    def colours_at(pixel: IntArray, face: IntArray, down: _Numbers, right: _Numbers) -> FloatArray:
        row, column = np.divmod(pixel, width)
        x = (column * samples + right).astype(np.float32)
        y = ((row + top) * samples + down).astype(np.float32)
        return _colours(surface, face, x, y)

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


def develop(shown: IntArray, surface: Surface, *, background: FloatArray, samples: int) -> Image:
    """Return the picture, each pixel the mean of its samples.

    Args:
        shown: Shape (height * samples, width * samples), the face each sample shows or `NO_FACE`.
        surface: What the faces look like.
        background: Shape (3,), float32, sRGB in 0..255.
        samples: Per pixel along each axis.

    Returns:
        Shape (height, width, 3), uint8.
    """
    height, width = shown.shape[0] // samples, shown.shape[1] // samples
    image = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _BAND):
        band = shown[top * samples : (top + _BAND) * samples]
        mean = _mean_of_samples(band, surface, top=top, background=background, samples=samples)
        image[top : top + _BAND] = np.rint(mean).reshape(-1, width, 3)
    return image
