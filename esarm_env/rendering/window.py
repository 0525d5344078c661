"""Pygame window of `render_mode="human"` (extra `render`).

pygame greets on stdout at its first import; gymnasium, which is imported before, has turned it off.
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from esarm_env.rendering.text import Picture

_NO_SCREEN = ("dummy", "offscreen")  # drivers of SDL

Tick = Callable[[float], object]

# Warnings of pygame 2.6 about setuptools before 82, and about builds without SIMD.
_NOT_OUR_FAULT = (
    (UserWarning, "pkg_resources is deprecated"),
    (DeprecationWarning, "pkg_resources is deprecated"),
    (DeprecationWarning, r"Deprecated call to `pkg_resources\.declare_namespace"),
    (RuntimeWarning, r"Your system is \w+ capable but pygame was not built with support"),
)


class Window:
    """Pygame window that shows pictures in real time.

    It opens at the first picture. When the user closes it, it stays closed: the program goes on,
    and further pictures are dropped. pygame has one window per process, so that a second one takes
    the place of the first.
    """

    _on_screen: ClassVar[Window | None] = None

    def __init__(
        self,
        size: tuple[int, int],
        *,
        fps: float,
        title: str = "ESARM",
        tick: Tick | None = None,
    ) -> None:
        """Prepare a window, without opening it.

        Args:
            size: Height and width in pixels.
            fps: Pictures a second, above 0.
            title: What stands over the window.
            tick: Called with `fps` after each picture, to wait for the moment of the next. By
                default `pygame.time.Clock().tick`, but nothing where SDL's `dummy` or
                `offscreen` driver stands in for a screen: nobody watches there.

        Raises:
            MissingExtraError: If pygame is not installed.
        """
        if not fps > 0:
            raise InputError(f"`fps` must be above 0, got {fps}")
        self._pygame = _import_pygame()
        self._size, self._fps, self._title, self._tick = size, fps, title, tick
        self._has_opened = self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the window was closed for good."""
        return self._is_closed

    @property
    def is_open(self) -> bool:
        """Whether the window is on the screen now."""
        return self._surface() is not None

    def show(self, picture: Picture) -> None:
        """Show `picture` (height, width, 3), and wait until it is time for the next.

        Raises:
            InputError: If there is no screen.
        """
        if not (self._is_closed or self._has_opened):
            self._open()
        self._take_events()
        surface = self._surface()
        if surface is None:
            return
        pixels = np.ascontiguousarray(picture.swapaxes(0, 1))  # (W, H, 3), as pygame has it
        self._pygame.surfarray.blit_array(surface, pixels)
        self._pygame.display.flip()
        if self._tick is not None:
            self._tick(self._fps)

    def close(self) -> None:
        """Close the window for good; calling again changes nothing."""
        if self.is_open:
            self._pygame.display.quit()
            Window._on_screen = None
        self._is_closed = True

    def _surface(self) -> Any:
        """Return the surface to draw on, or None if another window owns the screen."""
        # pygame hands out one and the same object for all windows, so that others are told by size.
        surface = self._pygame.display.get_surface()
        is_own = surface is not None and surface.get_size() == self._size[::-1]
        return surface if is_own and Window._on_screen is self else None

    def _open(self) -> None:
        pygame = self._pygame
        try:
            with _quiet():
                pygame.display.init()
                pygame.display.set_mode(self._size[::-1])
        except pygame.error as error:
            raise InputError(
                f"`render_mode` must be 'rgb_array' where there is no screen, got 'human' ({error})"
            ) from error
        Window._on_screen = self
        self._has_opened = True
        pygame.display.set_caption(self._title)
        if self._tick is None and pygame.display.get_driver() not in _NO_SCREEN:
            self._tick = pygame.time.Clock().tick

    def _take_events(self) -> None:
        """Pump the event queue, and close the window if the user asked for it."""
        if not self.is_open:
            self._is_closed = True  # another window has taken or released the screen
        elif self._pygame.event.get(self._pygame.QUIT):
            self.close()
        else:
            self._pygame.event.clear()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings of pygame that the caller cannot mend."""
    with warnings.catch_warnings():
        for category, message in _NOT_OUR_FAULT:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield


def _import_pygame() -> Any:
    try:
        with _quiet():
            return importlib.import_module("pygame")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pygame", extra="render", purpose="`render_mode='human'`"
        ) from error
