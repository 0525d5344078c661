"""`Renderer`: coefficients to RGB pictures of a head, with numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, BoolArray
from esarm_env.face.render.camera import FRONT, Camera, View
from esarm_env.face.render.raster import (
    FaceShading,
    Image,
    front_faces,
    nearest_faces,
    planes,
    resolve_samples,
)
from esarm_env.face.render.shading import Mesh, Palette, corner_albedo, light, part_of, to_srgb

if TYPE_CHECKING:
    from esarm_env.face.head import Head


class Renderer:
    """Renderer of one head from one view at one size; static parts are computed once."""

    def __init__(
        self,
        head: Head,
        *,
        size: tuple[int, int] = (480, 480),
        view: View = FRONT,
        palette: Palette | None = None,
        samples: int = 2,
    ) -> None:
        """Prepare pictures of a head.

        Args:
            head: Any head; its regions are painted by their names.
            size: Height and width of the picture in pixels, both at least 1.
            view: From where it is seen.
            palette: Colours; the default ones if None.
            samples: Samples per pixel along each axis, 1 (fast, jagged edges) to 4.

        Raises:
            InputError: If size or samples are out of range or the head has no vertices.
        """
        sides = size if np.iterable(size) else (size,)
        whole = all(isinstance(side, int | np.integer) for side in sides)
        if len(sides) != 2 or not whole or min(sides) < 1:
            raise InputError(f"`size` must be two whole numbers of at least 1, got {size}")
        if not isinstance(samples, int | np.integer) or samples not in (1, 2, 3, 4):
            raise InputError(f"`samples` must be in 1..4, got {samples}")
        if not head.n_vertices:
            raise InputError("`head` must have vertices, got none")
        palette = palette if palette is not None else Palette()
        self._head = head
        self._samples = samples
        self._height, self._width = size[0] * samples, size[1] * samples
        self._camera = Camera(head.vertices, view, width=self._width, height=self._height)
        self._mesh = Mesh(head.faces, head.n_vertices)
        self._albedo = corner_albedo(head, palette)
        self._is_wet: BoolArray = np.all(part_of(head, "eyeballs")[head.faces], axis=1)
        self._background = np.array(palette.background, dtype=np.float32)

    def frame(self, motion: npt.ArrayLike, *, paint: npt.ArrayLike | None = None) -> Image:
        """Return the picture of one frame.

        Args:
            motion: Shape (52,), alphabetical order.
            paint: Colour of each vertex instead of the palette's, shape (V, 3), sRGB in 0..255,
                for instance of an error in mm.

        Returns:
            Shape (height, width, 3), uint8, sRGB.

        Raises:
            InputError: If a shape is another or a coefficient is not finite.
        """
        weights = np.asarray(motion, dtype=np.float32)
        if weights.shape != (N_CHANNELS,):
            raise InputError(f"`motion` must have shape ({N_CHANNELS},), got {weights.shape}")
        if not np.all(np.isfinite(weights)):
            raise InputError("`motion` must be finite, got nan or infinity")
        vertices = self._head.apply(weights)
        points = self._camera.project(vertices)
        front = front_faces(points, self._head.faces)
        faces = self._head.faces[front]
        shown = nearest_faces(points, faces, width=self._width, height=self._height)
        normals = self._mesh.normals(vertices)
        seen_normals = normals @ self._camera.rotation.T
        bright = light(seen_normals, self._mesh.mean_curvature(vertices, normals))
        albedo = self._albedo[front] if paint is None else self._painted(paint)[faces]
        colours = to_srgb(albedo * bright[faces])  # (F, 3, 3)
        is_wet = self._is_wet[front]
        wet_faces = faces[is_wet]
        shading = FaceShading(
            planes(points, faces, colours).astype(np.float32),
            np.where(is_wet, np.cumsum(is_wet) - 1, -1),
            planes(points, wet_faces, seen_normals[wet_faces]).astype(np.float32),
        )
        return resolve_samples(shown, shading, background=self._background, samples=self._samples)

    def _painted(self, paint: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the albedo (linear RGB) of each vertex, shape (V, 3), of colours given."""
        colours = np.asarray(paint, dtype=np.float64)
        shape = (self._head.n_vertices, 3)
        if colours.shape != shape or not np.all((colours >= 0) & (colours <= 255)):
            raise InputError(
                f"`paint` must be colours in 0..255 of shape {shape}, got {colours.shape}"
            )
        return np.asarray((colours / 255.0) ** 2.2)


def render(
    head: Head,
    motion: npt.ArrayLike,
    *,
    size: tuple[int, int] = (480, 480),
    view: View = FRONT,
    palette: Palette | None = None,
    samples: int = 2,
) -> Image:
    """Return one picture of a head; for many of them keep a `Renderer`.

    Arguments, result and errors are those of `Renderer` and `Renderer.frame`.
    """
    return Renderer(head, size=size, view=view, palette=palette, samples=samples).frame(motion)
