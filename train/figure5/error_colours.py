"""Error colours: how far each vertex of the head is off, in mm, as colours with a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esarm_env.rendering import text

if TYPE_CHECKING:
    import numpy.typing as npt

    from esarm_env.core.types import DoubleArray, FloatArray
    from esarm_env.face.head import Head
    from esarm_env.rendering.text import Picture

# From right (a light grey, as a plaster head) over yellow and red to dark: lightness falls all the
# way, so that it reads in grey, too. sRGB.
STOPS = ((232, 232, 230), (253, 212, 120), (240, 110, 60), (150, 20, 50), (60, 4, 50))
SCALES_MM = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # ends of the bar, of which one is chosen
_QUANTILE = 0.995
_BAR = (14, 240)


def errors_mm(head: Head, motion: FloatArray, truth: FloatArray) -> DoubleArray:
    """Return how far vertices are apart, shape (V,), of two frames (52,), in mm."""
    apart = head.apply(motion).astype(np.float64) - head.apply(truth)
    return np.asarray(np.linalg.norm(apart, axis=-1))


def scale_of(errors: DoubleArray) -> float:
    """Return the end of the bar in mm: the least of `SCALES_MM` that nearly all errors are below.

    Args:
        errors: Of all frames of the picture, any shape.
    """
    largest = float(np.quantile(errors, _QUANTILE)) if errors.size else 0.0
    return next((scale for scale in SCALES_MM if largest <= scale), SCALES_MM[-1])


def error_colours(errors: DoubleArray, *, scale_mm: float) -> npt.NDArray[np.float64]:
    """Return the colour of errors (V,), shape (V, 3), sRGB in 0..255; beyond the bar its end."""
    place = np.clip(errors / scale_mm, 0.0, 1.0) * (len(STOPS) - 1)
    table = np.array(STOPS, dtype=np.float64)
    return np.stack(
        [np.interp(place, np.arange(len(STOPS)), table[:, channel]) for channel in range(3)],
        axis=-1,
    )


def colour_bar(*, scale_mm: float, size: int) -> Picture:
    """Return the bar with its numbers, letters of `size` pixels, on white, shape (H, W, 3)."""
    height, width = _BAR
    line = text.line_height(size)
    said = "distance of each vertex from the recording"
    whole = width + 24 + text.width_of(said, size) + 24
    bar = np.full((height + line + 4, whole, 3), 255, dtype=np.uint8)
    ramp = error_colours(np.linspace(0.0, scale_mm, width), scale_mm=scale_mm)
    bar[:height, 12 : 12 + width] = np.rint(ramp)
    for share in (0.0, 0.5, 1.0):
        number = f"{share * scale_mm:g}" + (" mm" if share == 1 else "")
        x = 12 + round(share * (width - 1))
        text.draw(bar, number, x=x, y=height + 2, size=size, colour=(30, 36, 46), align="centre")
    text.draw(bar, said, x=width + 36, y=0, size=size, colour=(98, 106, 118))
    return bar
