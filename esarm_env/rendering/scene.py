"""One picture of an episode: a head with a caption.

The head is drawn by the package's own rasteriser in numpy (`esarm_env.face.render`). VTK, alone or
through PyVista, would do it too, but not better here. vtk 9.7.2 is a wheel of 140 MB and brings no
OpenGL of its own: without a display it needs libEGL or libOSMesa as a system package, and where
both are missing the first `Render` is a segmentation fault (tried), which no `except` can catch.
With Mesa's EGL and no GPU, a 480x480 picture of this head at 4 samples a pixel took 44 ms on one
core; numpy took 20 ms. A GPU would be faster, but nobody should need one to look at a face, and
OpenGL's pictures differ from driver to driver, which ours do not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.face.head import Head
from esarm_env.face.render import Palette, Renderer
from esarm_env.rendering.caption import BACKGROUND, Caption, CaptionWriter
from esarm_env.rendering.text import Picture

SMALLEST_SIDE = 240  # below this the letters would not be legible


class Scene:
    """Draws one head with captions at one size; what does not move is worked out once."""

    def __init__(self, head: Head, *, size: tuple[int, int] = (480, 480), samples: int = 2) -> None:
        """Prepare pictures of `head`.

        Args:
            head: Any head.
            size: Height and width in pixels, both at least 240.
            samples: Per pixel along each axis, 1 (fast, jagged edges) to 4.

        Raises:
            InputError: If `size` or `samples` is out of range.
        """
        if len(size) != 2 or min(size) < SMALLEST_SIDE:
            raise InputError(
                f"`size` must be height and width of at least {SMALLEST_SIDE} pixels, got {size}"
            )
        self.size = size
        self._writer = CaptionWriter(height=size[0], width=size[1])
        rows = self._writer.bottom - self._writer.top
        palette = Palette(background=BACKGROUND)
        self._renderer = Renderer(head, size=(rows, size[1]), palette=palette, samples=samples)
        self._motion: npt.NDArray[np.float32] | None = None
        self._head: Picture

    def picture(self, motion: npt.ArrayLike, caption: Caption) -> Picture:
        """Return the head in one frame of motion, with its caption.

        Args:
            motion: Shape (52,), alphabetical order.
            caption: What to write; too long a text is shortened.

        Returns:
            Shape (height, width, 3), uint8, sRGB; a fresh array at every call.

        Raises:
            InputError: If `motion` has another shape or is not finite.
        """
        picture = np.empty((*self.size, 3), dtype=np.uint8)
        picture[:] = BACKGROUND
        picture[self._writer.top : self._writer.bottom] = self._head_in(motion)
        self._writer.write(picture, caption)
        return picture

    def _head_in(self, motion: npt.ArrayLike) -> Picture:
        """Return the head's part of the picture; a pose asked for twice is drawn once."""
        pose = np.array(motion, dtype=np.float32)
        if self._motion is None or not np.array_equal(pose, self._motion):
            self._head = self._renderer.frame(pose)
            self._motion = pose
        return self._head
