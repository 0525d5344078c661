"""The skin at rest, as formulas: where a point of the head's grid lies in millimetres.

A grid point is a column (how far round the head) and a row (its height on the midline). A
cross-section of the head is a superellipse; nose, lips, sockets and cheeks are added to its depth,
and two slits, eye and mouth, are opened by pulling the rows beside them apart.

Frame: x to the subject's left, y up, z forward, in mm; the numbers were fitted by eye so that the
places in `shape_table` fall on the features they name.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from esarm_env.types import BoolArray

Array = npt.NDArray[np.float64]

EYE_CENTRE = (32.0, 40.0, 83.5)  # of the left eyeball
EYEBALL_RADIUS = 13.0
EYE_HALF_WIDTH = 13.5  # corner to corner is twice this, in mm
UPPER_LID_RISE = 6.0  # rim above the slit, at the middle of the eye
LOWER_LID_DROP = 4.0
MOUTH_HALF_WIDTH = 25.0
MOUTH_HEIGHT = -35.0  # row of the mouth slit
EYE_HEIGHT = EYE_CENTRE[1]  # row of the eye slit

# Height on the midline, front depth, back depth, half width, exponent of the section's front.
_SECTIONS = np.array(
    [
        [-142, 36, -62, 62, 2.0],
        [-125, 37, -60, 56, 2.0],
        [-108, 42, -62, 54, 2.0],
        [-98, 58, -66, 54, 1.9],
        [-92, 80, -70, 55, 1.8],
        [-86, 96, -74, 56, 1.75],
        [-78, 104, -78, 58, 1.8],
        [-68, 107, -83, 60, 1.95],
        [-56, 104.5, -88, 62, 2.1],
        [-45, 106, -92, 64, 2.25],
        [-35, 107, -95, 66, 2.35],
        [-20, 107.5, -97, 69, 2.45],
        [0, 107, -99, 72, 2.5],
        [20, 106, -100, 74, 2.55],
        [40, 106, -101, 75, 2.5],
        [55, 108, -100, 75, 2.45],
        [75, 106, -97, 73.5, 2.35],
        [95, 97, -89, 68, 2.2],
        [112, 80, -75, 57, 2.1],
        [124, 57, -55, 42, 2.0],
        [131, 33, -33, 25, 2.0],
        [135, 12, -12, 9, 2.0],
    ]
)

# Height, how far the nose stands out of the section, and its width (standard deviation).
_NOSE = np.array(
    [
        [-24, 0, 9],
        [-20, 1.5, 9],
        [-17, 6, 9],
        [-14, 15, 7.6],
        [-10, 23.5, 6.8],
        [-5, 26.5, 6.4],
        [0, 24, 6.2],
        [10, 17, 5.8],
        [20, 11, 5.6],
        [30, 6, 5.6],
        [40, 2, 6],
        [50, 0.5, 7],
        [60, 0, 8],
    ]
)

# Soft bumps: |x|, y, height (mm, forward), and standard deviations in x and y.
_BUMPS = np.array(
    [
        [12.0, -11, 8.5, 3.8, 4.2],  # wing of the nose
        [6.0, -15, -3.0, 2.6, 1.8],  # nostril
        [33.0, 41, -7.0, 15, 9],  # eye socket
        [16.0, 41, -6.0, 6, 8],  # inner corner of the eye
        [30.0, 54, 3.0, 15, 5],  # ridge under the brow
        [46.0, 8, 5.0, 15, 14],  # cheekbone
        [33.0, -14, 1.5, 11, 10],  # cheek
        [28.0, -36, -2.5, 5, 5],  # corner of the mouth
        [0.0, -24, -1.5, 2.2, 4],  # philtrum
        [0.0, -53, -4.0, 16, 4.5],  # furrow between lip and chin
        [0.0, -71, 4.0, 12, 9],  # chin
    ]
)


def smoothstep(value: Array, low: float, high: float) -> Array:
    """Return 0 below `low`, 1 above `high`, and a smooth ramp between (`high` may be smaller)."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def _curve(table: Array, column: int, at: Array) -> Array:
    """Interpolate one column of a table over its first, cubic, with the chords' mean slopes."""
    x, y = table[:, 0], table[:, column]
    slope = np.gradient(y, x)
    right = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
    left = right - 1
    step = x[right] - x[left]
    t = np.clip((at - x[left]) / step, 0.0, 1.0)
    rise = (1 + 2 * t) * (1 - t) ** 2 * y[left] + t**2 * (3 - 2 * t) * y[right]
    bend = t * (1 - t) ** 2 * slope[left] - t**2 * (1 - t) * slope[right]
    return np.asarray(rise + step * bend)


def half_width(row: Array) -> Array:
    """Return the half width of the head at a row."""
    return _curve(_SECTIONS, 3, row)


def eye_profile(across: Array) -> Array:
    """Return how open the eye is (0 to 1) at `across`, -1 and 1 being its corners."""
    return np.clip(1.0 - across**2, 0.0, 1.0) ** 0.75


def lid_falloff(row: Array) -> Array:
    """Return how much a row follows the rim of the lid, 1 at the rim."""
    return np.asarray(np.exp(-0.5 * ((row - EYE_HEIGHT) / 7.0) ** 2))


def eye_across(x: Array) -> Array:
    """Return where |x| lies across its eye, -1 at the inner and 1 at the outer corner."""
    return (np.abs(x) - EYE_CENTRE[0]) / EYE_HALF_WIDTH


def lid_depth(x: Array, y: Array) -> Array:
    """Return the depth of a closed lid over the eyeball at (x, y)."""
    squared = (np.abs(x) - EYE_CENTRE[0]) ** 2 + (y - EYE_CENTRE[1]) ** 2
    radius = EYEBALL_RADIUS + 1.2
    return EYE_CENTRE[2] + np.sqrt(np.maximum(radius**2 - squared, 8.0**2))


def lip_line(x: Array) -> Array:
    """Return the height of the closed mouth: a soft bow, its corners a little lower."""
    across = np.clip(np.abs(x) / MOUTH_HALF_WIDTH, 0.0, 1.5)
    return MOUTH_HEIGHT - 0.9 * np.cos(np.pi * across) + 0.2


def _open_eye(x: Array, row: Array, under: BoolArray) -> Array:
    """Return the height of a grid point after the eye slit was pulled open."""
    profile = eye_profile(eye_across(x)) * lid_falloff(row)
    tilt = 1.2 * eye_across(x) * lid_falloff(row)
    fade = smoothstep(np.abs(eye_across(x)), 2.0, 1.0)
    return row + np.where(under, -LOWER_LID_DROP, UPPER_LID_RISE) * profile + tilt * fade


def _shape_lips(x: Array, y: Array) -> Array:
    """Return the height after the rows of the lips were drawn together towards the corners."""
    across = np.abs(x) / MOUTH_HALF_WIDTH
    over = y - MOUTH_HEIGHT
    narrow = 0.86 * np.clip(across, 0.0, 1.0) ** 2.4 * smoothstep(across, 2.2, 1.0)
    narrow = narrow * np.exp(-0.5 * (over / 13.0) ** 2)
    bow = -1.1 * np.exp(-0.5 * (x / 3.0) ** 2) * np.exp(-0.5 * ((over - 7.0) / 3.0) ** 2)
    near = np.exp(-0.5 * (over / 8.0) ** 2)
    line = (lip_line(x) - MOUTH_HEIGHT) * near * smoothstep(across, 1.6, 1.1)
    return y - narrow * over + line + bow


def _lip_bulge(x: Array, y: Array) -> Array:
    """Return how far the lips stand out."""
    over = y - lip_line(x)
    body = np.clip(1.0 - (x / (MOUTH_HALF_WIDTH + 1.0)) ** 2, 0.0, 1.0) ** 0.8
    upper = 7.5 * np.exp(-0.5 * ((over - 4.0) / 3.6) ** 2)
    lower = 8.0 * np.exp(-0.5 * ((over + 4.6) / 4.0) ** 2)
    crease = -2.6 * np.exp(-0.5 * (over / 1.3) ** 2)
    return body * (upper + lower + crease)


def relief(x: Array, y: Array) -> Array:
    """Return what nose, lips and the other features add to the depth of the face."""
    nose = _curve(_NOSE, 1, y) * np.exp(-0.5 * np.abs(x / _curve(_NOSE, 2, y)) ** 2.1)
    depth = nose + _lip_bulge(x, y)
    for at_x, at_y, height, width, tall in _BUMPS:
        far = ((np.abs(x) - at_x) / width) ** 2 + ((y - at_y) / tall) ** 2
        depth = depth + height * np.exp(-0.5 * far)
    return depth


def skin(across: Array, row: Array, *, back: BoolArray, under: BoolArray) -> Array:
    """Return the position of grid points on the skin.

    Args:
        across: Shape (n,), x as a signed fraction of the half width, in [-1, 1].
        row: Shape (n,), height on the midline, in mm.
        back: Shape (n,), True on the back half of the head.
        under: Shape (n,), True on the lower side of a slit.

    Returns:
        Shape (n, 3), in mm.
    """
    front_depth, back_depth = _curve(_SECTIONS, 1, row), _curve(_SECTIONS, 2, row)
    exponent = np.where(back, 2.1, _curve(_SECTIONS, 4, row))
    middle = np.interp(row, [-142, -105, -70], [-14.0, -12.0, 0.0])
    reach = np.clip(1.0 - np.abs(across) ** exponent, 0.0, 1.0) ** (1.0 / exponent)
    x = across * half_width(row)
    z = middle + reach * np.where(back, back_depth - middle, front_depth - middle)
    # The jaw rises towards the ear, so the rows of the chin do too.
    around = np.where(back, 1.0 - reach, 1.0 - reach)
    lift = 26.0 * smoothstep(row, -40.0, -92.0) * (1.0 - 0.5 * smoothstep(row, -100.0, -142.0))
    y = np.where(back, row, _shape_lips(x, _open_eye(x, row, under)))
    front = smoothstep(reach, 0.15, 0.45) * ~back
    z = z + relief(x, y) * front
    y = y + lift * smoothstep(around, 0.08, 0.8)
    near_eye = np.hypot(eye_across(x), (row - EYE_HEIGHT) / 9.0)
    lid = smoothstep(near_eye, 1.35, 0.75) * front
    return np.stack([x, y, z + lid * (lid_depth(x, y) - z)], axis=-1)
