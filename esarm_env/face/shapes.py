"""Blendshapes of the shipped head: 52 displacement fields over the rest mesh, scaled to the table.

Left shapes are built, right ones mirrored; shapes without a side are built symmetric. Skin follows
soft bumps, the jaw turns about its hinge, lids slide over the eyeballs, eyeballs and teeth stay
rigid.
"""

from __future__ import annotations

import numpy as np

from esarm_env.face import surface
from esarm_env.face.geometry import Anatomy, Kind
from esarm_env.face.names import ARKIT_NAMES
from esarm_env.face.shape_table import PUSHES, SCALES, TARGETS, UNSCALED, Push
from esarm_env.face.surface import Array, smoothstep

_FLIP = np.array([-1.0, 1.0, 1.0])

# The chord of the chin's path in the table and its length give this axis and angle.
_HINGE = np.array([0.0, -5.0, 17.5])
_JAW_ANGLE = np.deg2rad(22.0)
_GAZE_ANGLE = np.deg2rad(22.0)
_RIGID = (Kind.EYEBALL, Kind.IRIS, Kind.PUPIL, Kind.UPPER_TEETH, Kind.LOWER_TEETH, Kind.TONGUE)
_CORNER_SHARE = 0.38  # of the jaw's path that the corners of the mouth follow


def skin_of(anatomy: Anatomy) -> Array:
    """Return the mask of deformable vertices, 0 for rigid parts, shape (V, 1)."""
    return (~anatomy.of(*_RIGID))[:, None].astype(np.float64)


def _lower_side(anatomy: Anatomy, *, corner: float) -> Array:
    """Return 1 below the mouth slit and 0 above it, running into `corner` at the corners."""
    x = np.abs(anatomy.position[:, 0]) / surface.MOUTH_HALF_WIDTH
    hard = (anatomy.under & (anatomy.row < 0)).astype(np.float64)
    soft = smoothstep(anatomy.position[:, 1], -22.0, -48.0)
    soft = soft * (corner / 0.5) if corner < 0.5 else soft
    within = 1.0 - np.clip(x, 0.0, 1.0) ** 4
    return np.asarray(within * hard + (1.0 - within) * soft)


def jaw_weight(anatomy: Anatomy) -> Array:
    """Return the jaw's skinning weight of each vertex, shape (V,), in [0, 1]."""
    x, y, z = anatomy.position.T
    across = np.clip(np.abs(x) / surface.MOUTH_HALF_WIDTH, 0.0, 1.0)
    ramp = smoothstep(y, 2.0, -78.0)
    corner = _CORNER_SHARE / 0.43  # what the ramp reaches at the corner, brought to the share
    lower = anatomy.under & (anatomy.row < 0)
    within = np.where(lower, 1.0 - across**2.6, 1.0 - across**7)
    cheek = np.clip(ramp * (corner + (1 - corner) * smoothstep(y, -36.0, -60.0)), 0.0, 1.0)
    weight = within * lower + (1.0 - within) * cheek
    chin = 1.0 - 0.12 * smoothstep(anatomy.row, -66.0, -88.0)  # fat that hangs back a little
    weight *= smoothstep(z, 5.0, 70.0) * smoothstep(anatomy.row, -128.0, -90.0) * chin
    inside = anatomy.of(Kind.INNER_LIP, Kind.MOUTH)
    behind = within * lower + (1.0 - within) * _CORNER_SHARE
    weight = np.where(inside, behind, weight)
    rigid = anatomy.of(Kind.LOWER_TEETH, Kind.TONGUE)
    return np.where(rigid, 1.0, np.nan_to_num(weight) * skin_of(anatomy)[:, 0])


def _push(anatomy: Anatomy, push: Push) -> Array:
    """Return the displacement (V, 3) of one Gaussian bump."""
    x, y, z = anatomy.position.T
    far = ((x - push.at[0]) / push.radius[0]) ** 2 + ((y - push.at[1]) / push.radius[1]) ** 2
    weight = np.exp(-0.5 * far) * smoothstep(z, 25.0, 60.0)
    if push.lips != "both":
        lower = _lower_side(anatomy, corner=0.5)
        weight = weight * (lower if push.lips == "lower" else 1.0 - lower)
    deep = anatomy.of(Kind.MOUTH) * smoothstep(z, 105.0, 85.0)
    return np.asarray((weight * (1.0 - deep))[:, None] * np.array(push.by) * skin_of(anatomy))


def _pushes(anatomy: Anatomy, name: str) -> Array:
    """Return the sum of a shape's bumps, those off the midline mirrored if it has no side."""
    total = np.zeros_like(anatomy.position)
    sided = name.endswith("Left")
    for push in PUSHES.get(name, ()):
        total += _push(anatomy, push)
        if not sided and push.at[0] != 0:
            total += _push(anatomy.mirrored(), push) * _FLIP
    if name.startswith("brow"):
        # The lids stay on the eyeball when the brow rises.
        total *= smoothstep(anatomy.position[:, 1], 44.0, 54.0)[:, None]
    return total


def _turn(position: Array, *, about: Array, axis: int, angle: float) -> Array:
    """Return the displacement of points turned about an axis (0 is x, 1 is y)."""
    arm = position - about
    first, second = (1, 2) if axis == 0 else (2, 0)
    turned = arm.copy()
    turned[:, first] = np.cos(angle) * arm[:, first] - np.sin(angle) * arm[:, second]
    turned[:, second] = np.sin(angle) * arm[:, first] + np.cos(angle) * arm[:, second]
    return np.asarray(turned - arm)


def _jaw_open(anatomy: Anatomy) -> Array:
    """Return the jaw turned open about its hinge."""
    turned = _turn(anatomy.position, about=_HINGE, axis=0, angle=_JAW_ANGLE)
    return turned * jaw_weight(anatomy)[:, None]


def _mouth_close(anatomy: Anatomy) -> Array:
    """Return the lips brought back together from an open jaw, the chin left where it is."""
    y = anatomy.position[:, 1]
    lips = smoothstep(y, -64.0, -45.0) * smoothstep(np.abs(anatomy.position[:, 0]), 48.0, 26.0)
    lips = np.where(anatomy.of(Kind.LIP, Kind.INNER_LIP, Kind.MOUTH), 1.0, lips)
    lips = lips * ~anatomy.of(Kind.LOWER_TEETH, Kind.TONGUE)
    return np.asarray(-_jaw_open(anatomy) * lips[:, None])


def _lids(anatomy: Anatomy, *, upper_mm: float, lower_mm: float) -> Array:
    """Return the left lids slid over the eyeball, the rims' middles by so many mm upwards."""
    x, y, z = anatomy.position.T
    profile = surface.eye_profile(surface.eye_across(x)) * ((x > 0) & (z > 0))
    follow = np.nan_to_num(profile * surface.lid_falloff(anatomy.row))
    rise = follow * np.where(anatomy.under, lower_mm, upper_mm)
    depth = surface.lid_depth(x, y + rise) - surface.lid_depth(x, y)
    rests = np.nan_to_num(surface.on_eyeball(x, anatomy.row)) * (follow > 0)
    return np.stack([np.zeros_like(x), rise, depth * rests], axis=1)


def _gaze(anatomy: Anatomy, *, axis: int, angle: float) -> Array:
    """Return the left eyeball turned about its centre."""
    eye = anatomy.of(Kind.EYEBALL, Kind.IRIS, Kind.PUPIL) & (anatomy.position[:, 0] > 0)
    centre = np.array(surface.EYE_CENTRE)
    return _turn(anatomy.position, about=centre, axis=axis, angle=angle) * eye[:, None]


def _eye_shape(anatomy: Anatomy, name: str) -> Array:
    """Return the skin's part of a shape of the left eye."""
    opening = surface.UPPER_LID_RISE + surface.LOWER_LID_DROP
    if name == "eyeBlinkLeft":
        return _lids(anatomy, upper_mm=-opening + 0.5, lower_mm=0.5)
    if name == "eyeWideLeft":
        return _lids(anatomy, upper_mm=3.5, lower_mm=-0.6)
    if name == "eyeLookUpLeft":
        return _lids(anatomy, upper_mm=3.5, lower_mm=0.8)
    if name == "eyeLookDownLeft":
        return _lids(anatomy, upper_mm=-7.0, lower_mm=-2.6)
    if name == "eyeSquintLeft":
        return _lids(anatomy, upper_mm=-1.2, lower_mm=2.6) + _pushes(anatomy, name)
    x, _, z = anatomy.position.T
    # The cornea bulges the lids it passes under.
    lids = np.nan_to_num(surface.lid_falloff(anatomy.row)) * (z > 0)
    lids = lids * np.exp(-0.5 * ((x - 40) / 6) ** 2)
    return np.asarray(lids[:, None] * np.array(TARGETS[name].direction))


def _gaze_of(anatomy: Anatomy, name: str) -> Array:
    """Return the eyeball's part of a shape of the left eye; it is not scaled to the table."""
    turns = {
        "eyeLookUpLeft": (0, -_GAZE_ANGLE),
        "eyeLookDownLeft": (0, _GAZE_ANGLE),
        "eyeLookInLeft": (1, -_GAZE_ANGLE),
        "eyeLookOutLeft": (1, _GAZE_ANGLE),
    }
    if name not in turns:
        return np.zeros_like(anatomy.position)
    axis, angle = turns[name]
    return _gaze(anatomy, axis=axis, angle=angle)


def _field(anatomy: Anatomy, name: str) -> Array:
    """Return an unscaled displacement field, the left one of a pair."""
    if name == "jawOpen":
        return _jaw_open(anatomy)
    if name == "mouthClose":
        return _mouth_close(anatomy)
    if name in ("jawForward", "jawLeft"):
        # The chin leads and the lip, held by its muscle, lags a little.
        lead = 0.8 + 0.2 * smoothstep(anatomy.position[:, 1], -40.0, -66.0)
        weight = jaw_weight(anatomy) * lead
        return np.asarray(weight[:, None] * np.array(TARGETS[name].direction))
    if name == "tongueOut":
        root = smoothstep(anatomy.position[:, 2], 55.0, 91.0)
        moved = root * anatomy.of(Kind.TONGUE)
        rise = 15.0 * moved - 7.0 * moved**3  # over the lower lip, the tip hanging down
        return np.stack([np.zeros_like(moved), rise, 33.0 * moved], axis=1)
    if name.startswith("eye"):
        return _eye_shape(anatomy, name)
    return _pushes(anatomy, name)


def _shape(anatomy: Anatomy, name: str) -> Array:
    """Return a field scaled to its target, the left one of a pair."""
    field = _field(anatomy, name)
    largest = float(np.linalg.norm(field[~anatomy.of(Kind.MOUTH)], axis=1).max())
    if name not in UNSCALED:
        field = field * (TARGETS[name].max_mm * SCALES.get(name, 1.0) / largest)
    return field + _gaze_of(anatomy, name)


def build_deltas(anatomy: Anatomy) -> Array:
    """Return the displacements of all 52 shapes at weight 1, shape (52, V, 3), in mm."""
    mirrored = anatomy.mirrored()
    shapes = []
    for name in ARKIT_NAMES:
        if name.endswith("Right"):
            shapes.append(_shape(mirrored, name.removesuffix("Right") + "Left") * _FLIP)
        else:
            shapes.append(_shape(anatomy, name))
    return np.stack(shapes)
