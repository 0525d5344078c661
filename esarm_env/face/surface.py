"""Surface formulas of the shipped head: grid coordinates to the resting skin's position in mm.

A grid point is a column (how far round the head) and a row (its height on the midline). A
cross-section of the head is a superellipse; nose, lips, sockets and cheeks are added to its depth,
and two slits, eye and mouth, are opened by pulling the rows beside them apart.

Frame: x to the subject's left, y up, z forward, in mm; the numbers were fitted by eye so that the
places in `shape_table` fall on the features they name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray

Array = npt.NDArray[np.float64]

EYE_CENTRE = (32.0, 40.0, 81.5)  # of the left eyeball
EYEBALL_RADIUS = 15.0
EYE_HALF_WIDTH = 14.5  # corner to corner is twice this, in mm
UPPER_LID_RISE = 5.4  # rim above the slit, at the middle of the eye
LOWER_LID_DROP = 4.4
MOUTH_HALF_WIDTH = 25.0
MOUTH_HEIGHT = -35.0  # row of the mouth slit
EYE_HEIGHT = EYE_CENTRE[1]  # row of the eye slit

# Height on the midline, front depth, back depth, half width, exponent of the section's front.
_SECTIONS = np.array(
    [
        [-142, 38, -72, 60, 2.0],
        [-125, 39, -66, 52, 2.0],
        [-108, 46, -64, 50, 2.0],
        [-102, 58, -64, 52, 2.0],
        [-97, 78, -66, 54, 1.8],
        [-92, 94, -68, 57, 1.75],
        [-86, 102, -71, 59, 1.75],
        [-78, 106, -75, 61.5, 1.8],
        [-68, 107, -79, 63.5, 1.9],
        [-56, 104.5, -84, 65.5, 2.05],
        [-45, 105.5, -88, 67, 2.2],
        [-35, 106.5, -91, 68.5, 2.3],
        [-20, 107, -95, 70.5, 2.4],
        [0, 107, -98, 72.5, 2.45],
        [20, 106, -100, 74, 2.45],
        [40, 106, -101, 75, 2.4],
        [55, 108, -100, 75.5, 2.35],
        [75, 105.5, -97, 75.5, 2.3],
        [95, 95, -89, 71.5, 2.2],
        [112, 77, -75, 62, 2.1],
        [124, 54, -55, 48, 2.0],
        [131, 32, -33, 33, 2.0],
        [135, 12, -12, 13, 2.0],
    ]
)

# Height, how far the nose stands out of the section, and its width (standard deviation).
_NOSE = np.array(
    [
        [-24, 0, 9],
        [-20, 0.5, 9],
        [-17, 4, 8],
        [-14, 14, 6.4],
        [-11, 22.5, 6.0],
        [-7, 26.5, 6.2],
        [-2, 25.5, 6.0],
        [4, 20.5, 5.4],
        [10, 16, 5.2],
        [20, 10.5, 5.4],
        [30, 5.5, 5.6],
        [40, 2, 6],
        [50, 0.5, 7],
        [60, 0, 8],
    ]
)

# Soft bumps: |x|, y, height (mm, forward), standard deviations in x and y, and how flat their top
# is (2 is a normal curve, more has a crisper edge).
_BUMPS = np.array(
    [
        [12.0, -10.5, 8.5, 4.8, 4.8, 3],  # wing of the nose
        [6.5, -14.5, -6.0, 3.0, 2.2, 2],  # nostril
        [33.0, 41, -7.0, 15, 9, 2],  # eye socket
        [16.0, 41, -6.0, 6, 8, 2],  # inner corner of the eye
        [30.0, 54, 3.0, 15, 5, 2],  # ridge under the brow
        [46.0, 8, 5.0, 15, 14, 2],  # cheekbone
        [33.0, -14, 1.5, 11, 10, 2],  # cheek
        [54.0, -36, -4.0, 12, 16, 2],  # hollow of the cheek
        [28.0, -36, -1.8, 5, 6, 2],  # corner of the mouth
        [0.0, -24, -1.5, 2.2, 4, 2],  # philtrum
        [0.0, -53, -4.0, 16, 4.5, 2],  # furrow between lip and chin
        [0.0, -73, 4.0, 13, 9, 2],  # chin
    ]
)


# Rows of the hair's lower edge: above the forehead, at the temple, before the ear, behind it; and
# how far a section reaches forward (1 is the midline, 0 the side) where the first two end.
_HAIR_ROWS = (87.0, 72.0, 4.0, -48.0)
_HAIR_REACH = (0.47, 0.285)


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


def _reach(across: Array, exponent: Array | float) -> Array:
    """Return the superellipse profile of a section at a fraction of its half width, 1 at 0."""
    return np.asarray(np.clip(1.0 - np.abs(across) ** exponent, 0.0, 1.0) ** (1.0 / exponent))


def half_width(row: Array) -> Array:
    """Return the half width of the head at a row."""
    return _curve(_SECTIONS, 3, row)


def eye_profile(across: Array) -> Array:
    """Return the relative opening of the eye (0 to 1) at `across`, -1 and 1 at its corners."""
    return np.clip(1.0 - across**2, 0.0, 1.0) ** 0.75


def lid_falloff(row: Array) -> Array:
    """Return the weight with which a row follows the rim of the lid, 1 at the rim."""
    return np.asarray(np.exp(-0.5 * ((row - EYE_HEIGHT) / 7.0) ** 2))


def eye_across(x: Array) -> Array:
    """Return the position of |x| across its eye, -1 at the inner and 1 at the outer corner."""
    return (np.abs(x) - EYE_CENTRE[0]) / EYE_HALF_WIDTH


def lid_depth(x: Array, y: Array) -> Array:
    """Return the depth of a closed lid over the eyeball at (x, y)."""
    squared = (np.abs(x) - EYE_CENTRE[0]) ** 2 + (y - EYE_CENTRE[1]) ** 2
    radius = EYEBALL_RADIUS + 1.2
    return EYE_CENTRE[2] + np.sqrt(np.maximum(radius**2 - squared, 8.0**2))


def on_eyeball(x: Array, row: Array) -> Array:
    """Return the weight of the eyeball's depth: 1 on the lids, 0 from the socket's edge on."""
    near = np.hypot(eye_across(x), (row - EYE_HEIGHT) / 9.0)
    return smoothstep(near, 1.35, 0.75)


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
    taper = np.where(over > 0, 1.5, 2.2)
    narrow = 0.86 * np.clip(across, 0.0, 1.0) ** taper * smoothstep(across, 1.8, 1.0)
    narrow = narrow * np.exp(-0.5 * (over / 13.0) ** 2)
    bow = -1.5 * np.exp(-0.5 * (x / 3.2) ** 2) * np.exp(-0.5 * ((over - 7.0) / 3.0) ** 2)
    near = np.exp(-0.5 * (over / 8.0) ** 2)
    line = (lip_line(x) - MOUTH_HEIGHT) * near * smoothstep(across, 1.6, 1.1)
    return y - narrow * over + line + bow


def _lip_bulge(x: Array, y: Array) -> Array:
    """Return the depth that the lips add."""
    over = y - lip_line(x)
    body = np.clip(1.0 - (x / (MOUTH_HALF_WIDTH + 1.0)) ** 2, 0.0, 1.0) ** 0.8
    upper = 7.5 * np.exp(-0.5 * ((over - 4.0) / 3.6) ** 2)
    lower = 8.0 * np.exp(-0.5 * ((over + 4.6) / 4.0) ** 2)
    crease = -2.6 * np.exp(-0.5 * (over / 1.3) ** 2)
    return body * (upper + lower + crease)


def relief(x: Array, y: Array) -> Array:
    """Return the depth that nose, lips and other features add to the face."""
    nose = _curve(_NOSE, 1, y) * np.exp(-0.5 * np.abs(x / _curve(_NOSE, 2, y)) ** 2.1)
    depth = nose + _lip_bulge(x, y)
    for at_x, at_y, height, width, tall, flat in _BUMPS:
        far = np.hypot((np.abs(x) - at_x) / width, (y - at_y) / tall)
        depth = depth + height * np.exp(-0.5 * far**flat)
    return depth


def is_hair(across: Array, row: Array, *, back: BoolArray) -> BoolArray:
    """Return which grid points lie in the hair; its edge follows rows and columns."""
    reach = _reach(across, 2.4)
    ear_and_nape = np.where(back & (reach > 0.2), _HAIR_ROWS[3], _HAIR_ROWS[2])
    temple = np.where(~back & (reach > _HAIR_REACH[1]), _HAIR_ROWS[1], ear_and_nape)
    edge = np.where(~back & (reach > _HAIR_REACH[0]), _HAIR_ROWS[0], temple)
    return np.asarray(row > edge)


def _hair_thickness(position: Array) -> Array:
    """Return the thickness of the hair, more on top, in mm."""
    _, y, z = position.T
    within = np.maximum(y - 86.0, np.minimum(30.0 - z, y - np.where(z < -20.0, -36.0, 4.0)))
    ear = smoothstep(np.hypot((z + 8.0) / 26.0, (y - 19.0) / 36.0), 1.0, 1.4)
    top = 5.0 + 5.0 * smoothstep(y, 70.0, 125.0)
    return np.asarray(smoothstep(within, 0.0, 16.0) * ear * top)


def _outward(position: Array) -> Array:
    """Return the direction away from the middle of the skull."""
    arm = (position - np.array([0.0, 30.0, 0.0])) * np.array([1.3, 1.0, 0.8])
    return np.asarray(arm / np.linalg.norm(arm, axis=1)[:, None])


def _arched(across: Array, row: Array, *, back: BoolArray) -> Array:
    """Return the rows with those of the hairline bent down towards the temples."""
    arch = smoothstep(row, 60.0, 88.0) * smoothstep(row, 130.0, 90.0) * ~back
    return np.asarray(row - 12.0 * (1.0 - _reach(across, 2.3)) * arch)


def _section(across: Array, y: Array, *, back: BoolArray) -> tuple[Array, Array]:
    """Return the depth of the head without its features, and its share of the section's reach."""
    exponent = np.where(back, 2.1, _curve(_SECTIONS, 4, y))
    middle = np.interp(y, [-142, -105, -70], [-14.0, -12.0, 0.0])
    end = np.where(back, _curve(_SECTIONS, 2, y), _curve(_SECTIONS, 1, y))
    reach = _reach(across, exponent)
    return middle + reach * (end - middle), reach


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
    row = _arched(across, row, back=back)
    x = across * half_width(row)
    y = np.where(back, row, _shape_lips(x, _open_eye(x, row, under)))
    # Depth is a function of where a point ended up: rows drawn together must not make steps.
    z, reach = _section(x / half_width(y), y, back=back)
    front = smoothstep(reach, 0.15, 0.45) * ~back
    z = z + relief(x, y) * front
    # The jaw rises towards the ear, so the rows of the chin do too.
    around = np.where(back, 1.0 - 0.5 * reach**2, 1.0 - reach**1.3)
    lift = 46.0 * smoothstep(row, 5.0, -97.0) - 40.0 * smoothstep(row, -97.0, -142.0)
    y = y + lift * around
    lid = on_eyeball(x, row) * front
    position = np.stack([x, y, z + lid * (lid_depth(x, y) - z)], axis=-1)
    return position + _hair_thickness(position)[:, None] * _outward(position)
