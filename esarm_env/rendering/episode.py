"""Episode renderer: RGB pictures of a head with a caption, as environments return from `render`.

The scalar and the vector environment hold an `EpisodeRenderer` each and give it what they know as
an `EpisodeView`. Motion is decoded only when a chunk has become complete.

The head is drawn by the package's own rasteriser in numpy (`esarm_env.face.render`). VTK, alone or
through PyVista, would do it too, but not better here. vtk 9.7.2 is a wheel of 140 MB and brings no
OpenGL of its own: without a display it needs libEGL or libOSMesa as a system package, and where
both are missing the first `Render` is a segmentation fault (tried), which no `except` can catch.
With Mesa's EGL and no GPU, a 480x480 picture of this head at 4 samples a pixel took 44 ms on one
core; numpy took 20 ms. A GPU would be faster, but nobody should need one to look at a face, and
OpenGL's pictures differ from driver to driver, which ours do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import FRAME_RATE_HZ, N_CHANNELS, FloatArray
from esarm_env.face.render import Palette, Renderer
from esarm_env.rendering.caption import BACKGROUND, Caption, CaptionWriter
from esarm_env.rendering.view import EpisodeView, Timing, caption_of
from esarm_env.rendering.window import Window

if TYPE_CHECKING:
    from esarm_env.face.head import Head
    from esarm_env.rendering.text import Picture
    from esarm_env.task.animation_task import AnimationTask

RENDER_MODES = ("rgb_array", "human")
SMALLEST_SIDE = 240  # below this the letters would not be legible
# Before any motion is known the face is at rest: the neutral pose, not the mean of the corpus.
_AT_REST = np.zeros(N_CHANNELS, dtype=np.float32)


class Scene:
    """Head renderer with captions, at a fixed size; static parts are computed once."""

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
        self._writer.draw(picture, caption)
        return picture

    def _head_in(self, motion: npt.ArrayLike) -> Picture:
        """Return the head's part of the picture; the latest pose is cached."""
        pose = np.array(motion, dtype=np.float32)
        if self._motion is None or not np.array_equal(pose, self._motion):
            self._head = self._renderer.frame(pose)
            self._motion = pose
        return self._head


class EpisodeRenderer:
    """Renderer of an environment's episode, or of all episodes of a vector environment."""

    def __init__(
        self,
        task: AnimationTask,
        *,
        render_mode: str = "rgb_array",
        size: tuple[int, int] = (480, 480),
        window: Window | None = None,
    ) -> None:
        """Prepare pictures of the head of `task`.

        Args:
            task: The task of the environment.
            render_mode: `rgb_array`, or `human` for a window on the screen.
            size: Height and width of the pictures, both at least 240.
            window: The window of mode `human`; None opens one at the first picture.

        Raises:
            InputError: If mode or size is none of these.
            MissingExtraError: If the mode is `human` and pygame is not installed.
        """
        if render_mode not in RENDER_MODES:
            valid = ", ".join(RENDER_MODES)
            raise InputError(f"`render_mode` must be one of {valid} or None, got {render_mode!r}")
        self._scene = Scene(task.head, size=size)
        self._window: Window | None = None
        if render_mode == "human":
            self._window = window or Window(size, fps=Timing.of(task.tokenizer).fps)
        self._decoded: dict[int, tuple[tuple[int, bytes], FloatArray]] = {}

    def render(self, view: EpisodeView) -> Picture | None:
        """Return the picture of `view`; in mode `human` show it, and return None.

        A window first shows the frames that the last picture skips.
        """
        if self._window is None:
            return self.frame(view)
        if not self._window.is_closed:
            for picture in self.frames_left(view):
                self._window.show(picture)
            self._window.show(self.frame(view))
        return None

    def frame(self, view: EpisodeView, *, slot: int = 0) -> Picture:
        """Return the picture of `view`.

        Args:
            view: The episode now.
            slot: Which of several episodes that are drawn in turn this is.

        Returns:
            Shape (height, width, 3), uint8, sRGB; a fresh array.
        """
        return self._scene.picture(self._pose(view, view.frame, slot), caption_of(view))

    def frames(self, views: Sequence[EpisodeView]) -> tuple[Picture, ...]:
        """Return one picture per view, as a vector environment's `render` does."""
        return tuple(self.frame(view, slot=slot) for slot, view in enumerate(views))

    def frames_left(self, view: EpisodeView) -> Iterator[Picture]:
        """Yield the delayed frames between the last two pictures; none before the episode ends."""
        if not view.is_over:
            return
        n_frames = int(view.task.n_frames[view.utterance])
        caption = replace(caption_of(view), scores=(), metrics=())
        for frame in view.timing.frames_left(length=view.length, n_frames=n_frames):
            now = replace(caption, time_s=(frame or 0) / FRAME_RATE_HZ)
            yield self._scene.picture(self._pose(view, frame, 0), now)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()

    def _pose(self, view: EpisodeView, frame: int | None, slot: int) -> FloatArray:
        """Return the coefficients (52,) of a frame of the motion so far."""
        if frame is None:
            return _AT_REST
        key = (view.utterance, view.whole_chunks.tobytes())
        known = self._decoded.get(slot)
        if known is None or known[0] != key:
            known = (key, view.task.tokenizer.decode(view.whole_chunks))
            self._decoded[slot] = known
        pose: FloatArray = known[1][frame]
        return pose
