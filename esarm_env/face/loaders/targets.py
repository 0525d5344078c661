"""A head from a mesh that brings its own ARKit targets (ICT-FaceKit, glTF)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from esarm_env.errors import InputError
from esarm_env.face.head import Head, load_head
from esarm_env.face.loaders.alignment import Correspondence, align
from esarm_env.face.loaders.landmarks import shared_landmarks
from esarm_env.face.loaders.regions import read_regions
from esarm_env.face.loaders.surfaces import Faces, Points, Surface, build_surface
from esarm_env.face.names import ARKIT_NAMES
from esarm_env.types import FloatArray, IntArray

# An avatar may be a child or a cartoon, but a head in cm or m is ten or a thousand times off.
_SIZES = (0.4, 2.5)
_LARGEST_TURN_DEG = 30.0
_LEAST_MOTION_MM = 0.1


def build_head(
    vertices_mm: Points,
    faces: Faces,
    deltas_mm: FloatArray,
    *,
    regions: Path | None,
    source: Path,
) -> Head:
    """Return the head; regions come from a file or from our own head laid on it.

    Args:
        vertices_mm: Shape (V, 3), x to the subject's left, y up, z forward.
        faces: Shape (F, 3).
        deltas_mm: Shape (52, V, 3).
        regions: See `read_regions`; None to carry our own over.
        source: Where the mesh comes from, for messages.

    Raises:
        InputError: If no region file is given and our own head cannot be laid on this one: a shape
            does not move the skin, its faces look inside, or it has another size or direction than
            it should.
    """
    if regions is None:
        surface = build_surface(vertices_mm, faces)
        found = _carried_regions(surface, deltas_mm, source=source)
    else:
        found = read_regions(regions, len(vertices_mm))
    return Head(vertices_mm.astype(np.float32), faces, deltas_mm, found)


def _check_motion(surface: Surface, deltas_mm: FloatArray, *, source: Path) -> None:
    """Refuse shapes that leave the skin alone: they are as good as missing, and errors would be 0.

    Teeth may move without it, eyes turn without it, and the tongue lies behind it.
    """
    moved_mm = np.linalg.norm(deltas_mm[:, surface.skin], axis=-1).max(axis=1)
    still = [
        name
        for name, moved in zip(ARKIT_NAMES, moved_mm.tolist(), strict=True)
        if moved < _LEAST_MOTION_MM and not name.startswith(("eyeLook", "tongueOut"))
    ]
    if still:
        raise InputError(f"{source}: shapes must move the skin, got none by {', '.join(still)}")


def _carried_regions(
    surface: Surface, deltas_mm: FloatArray, *, source: Path
) -> dict[str, IntArray]:
    """Return our own head's regions on the mesh."""
    check_winding(surface, source=source)
    landmarks = shared_landmarks(load_head(), surface, deltas_mm)
    if landmarks is None:
        raise InputError(
            f"{source}: the shapes must move the skin, got blinks or too many others that do not; "
            "give the regions in a file"
        )
    found = align(load_head(), surface, landmarks)
    check_placing(found, source=source)
    _check_motion(surface, deltas_mm, source=source)
    return found.regions()


def check_winding(surface: Surface, *, source: Path) -> None:
    """Refuse a skin that is inside out: alignment goes by normals and would find other regions.

    Args:
        surface: The head's surface; open at the neck, or even a mask, as the sign will do.
        source: Where the mesh comes from, for messages.
    """
    points, areas = surface.points[surface.skin], surface.areas[surface.skin]
    # From the middle of the skin, times its area: that may be 0 and must not be divided by.
    arms = areas.sum() * points - areas @ points
    if areas @ np.einsum("vk,vk->v", arms, surface.normals[surface.skin]) < 0:
        raise InputError(
            f"{source}: triangles must be counter-clockwise seen from outside, got a head inside "
            "out; swap two corners of each, or mirror it back"
        )


def check_placing(found: Correspondence, *, source: Path, mm_per_unit: float = 1.0) -> None:
    """Refuse a head of another size or direction than heads have, or without a region.

    Args:
        found: Our own head laid on it.
        source: Where the mesh comes from, for messages.
        mm_per_unit: Unit of the mesh.
    """
    size = mm_per_unit / found.placing.scale
    if not _SIZES[0] < size < _SIZES[1]:
        raise InputError(f"{source}: must have the size of a head, got {size:.3g} times as much")
    cosine = (np.trace(found.placing.rotation) - 1) / 2
    turn = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    if turn > _LARGEST_TURN_DEG:
        raise InputError(f"{source}: must face +z with y up, got a head turned by {turn:.0f}°")
    empty = [name for name, region in found.regions().items() if not len(region)]
    if empty:
        got = f"nothing there for {', '.join(empty)}"
        raise InputError(f"{source}: must have a face like ours, got {got}; give the regions")
