"""Heads from meshes with ARKit morph targets: targets matched by name, regions, and checks.

Targets (ICT-FaceKit, glTF) become our 52 fields. Regions come from a file of the user's, such as
FLAME's published masks, or from our own head registered to the mesh.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, BoolArray, FloatArray, IntArray
from esarm_env.face.head import REQUIRED_REGIONS, Head, load_head
from esarm_env.face.loaders.alignment import Correspondence, align
from esarm_env.face.loaders.array_files import need, read_arrays
from esarm_env.face.loaders.surfaces import Faces, Points, Surface, build_surface, shared_landmarks
from esarm_env.face.names import ARKIT_NAMES, find_column

# FLAME_masks.pkl calls the region differently.
_OTHER_NAMES = {"eye_region": "eyes"}
# Most heads have no tongue; ICT-FaceKit's has one that no shape moves.
OPTIONAL_SHAPES = ("tongueOut",)
# An avatar may be a child or a cartoon, but a head in cm or m is ten or a thousand times off.
_SIZES = (0.4, 2.5)
_LARGEST_TURN_DEG = 30.0
_LEAST_MOTION_MM = 0.1
_LEAST_SIZE_MM, _LEAST_AREA = 1e-3, 1e-12  # the second as a part of the largest extent's square
MOST_VERTICES = 200_000  # of a head with its 52 shapes: 125 MB
_LONGEST_NAME = 200  # with the path before it


def read_regions(path: Path, n_vertices: int) -> dict[str, IntArray]:
    """Read vertex indices by region from a `.pkl` or `.npz` file.

    Args:
        path: Holds "lips", "forehead" and "eyes" (FLAME's "eye_region" will do), each an array of
            vertex indices in any order; other arrays are kept under their names.
        n_vertices: Number of vertices of the head.

    Raises:
        InputError: If a region is missing or no list of existing vertices.
    """
    arrays = read_arrays(path)
    named = {_OTHER_NAMES.get(name, name): array for name, array in arrays.items()}
    need(named, REQUIRED_REGIONS, path=path)
    for name, array in named.items():
        if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
            got = f"{array.dtype} {array.shape}"
            raise InputError(f"{path}: `{name}` must be vertex indices of shape (n,), got {got}")
        if array.min() < 0 or array.max() >= n_vertices:
            got = f"{array.min()}..{array.max()}"
            raise InputError(f"{path}: `{name}` must index the {n_vertices} vertices, got {got}")
    return {name: np.unique(array).astype(np.int64) for name, array in named.items()}


@functools.lru_cache(maxsize=4096)
def shape_of(name: str) -> tuple[int, str] | None:
    """Parse a target's name to our column and its half: "" (whole), "L" or "R".

    A path before the name, as in `head.eyeBlink_L`, does not count, nor a number, as in
    `A24_Jaw_Open`. `browInnerUp_L` is half of `browInnerUp`, as ICT-FaceKit splits it; `mouthLeft`
    is whole.
    """
    if len(name) > _LONGEST_NAME:
        return None
    parts = re.split(r"[.:|/]", name)
    # The last part alone comes last: the point of `eyeBlink.L` is no path.
    for start in range(len(parts)):
        last = "_".join(parts[start:])
        whole = find_column(last)
        if whole is not None:
            return whole, ""
        split = re.fullmatch(r"(.+?)(?:_?([LR])|_?(Left|Right))", last)
        index = find_column(split[1]) if split else None
        if split and index is not None:
            return index, (split[2] or split[3])[0]
    return None


def collect_fields(
    names: Sequence[str], fields: Iterable[npt.NDArray[np.floating]]
) -> tuple[FloatArray, BoolArray]:
    """Collect targets into our 52 fields; halves of a shape are added, unknown names skipped.

    Args:
        names: The targets' names, in any of our three spellings.
        fields: One of shape (V, 3) for each name; an iterator keeps only one in memory.

    Returns:
        The fields, shape (52, V, 3), float32, zero where a shape is absent; and which shapes are
        there, shape (52,): whole, or as a left and a right half.

    Raises:
        InputError: If two targets are the same shape.
    """
    collected = np.zeros((N_CHANNELS, 0, 3), np.float32)
    taken: dict[tuple[int, str], str] = {}
    for name, field in zip(names, fields, strict=True):
        if not taken:
            collected = np.zeros((N_CHANNELS, *field.shape), np.float32)
        place = shape_of(name)
        if place is None:
            continue
        if place in taken:
            got = f"{taken[place]!r} and {name!r}"
            raise InputError(f"`names` must name a shape once, got {got}")
        taken[place] = name
        if place[1] and (place[0], "") in taken:
            continue
        if not place[1]:
            collected[place[0]] = 0.0  # the whole shape stands for its halves
        collected[place[0]] += field
    whole = [(i, "") in taken for i in range(N_CHANNELS)]
    halves = [(i, "L") in taken and (i, "R") in taken for i in range(N_CHANNELS)]
    return collected, np.logical_or(whole, halves)


def need_all_shapes(found: BoolArray, *, source: str) -> None:
    """Raise an error that names every missing shape (`OPTIONAL_SHAPES` apart).

    Args:
        found: Shape (52,).
        source: Where the head comes from, for the message.
    """
    missing = [
        name
        for name, there in zip(ARKIT_NAMES, found, strict=True)
        if not there and name not in OPTIONAL_SHAPES
    ]
    if missing:
        raise InputError(
            f"{source}: must hold a target for each ARKit shape, got none for {', '.join(missing)}"
        )


def build_head(
    vertices_mm: Points,
    faces: Faces,
    deltas_mm: FloatArray,
    *,
    regions: Path | None,
    source: Path,
) -> Head:
    """Build a head; regions come from a file, or from our own head registered to it.

    Args:
        vertices_mm: Shape (V, 3), x to the subject's left, y up, z forward.
        faces: Shape (F, 3).
        deltas_mm: Shape (52, V, 3).
        regions: See `read_regions`; None to carry our own over.
        source: Where the mesh comes from, for messages.

    Raises:
        InputError: If the mesh is a point or a line, or if no region file is given and our own
            head cannot be laid on this one: a shape does not move the skin, its faces look inside,
            or it has another size or direction than it should.
    """
    if regions is None:
        surface = build_surface(vertices_mm, faces)
        found = _carried_regions(surface, deltas_mm, source=source)
    else:
        found = read_regions(regions, len(vertices_mm))
        _check_body(vertices_mm, faces, source=source)  # as nothing is laid on it
    return Head(vertices_mm.astype(np.float32), faces, deltas_mm, found)


def _check_body(vertices_mm: Points, faces: Faces, *, source: Path) -> None:
    """Raise an error for a mesh that is no surface, whose errors would all be 0."""
    apart = vertices_mm - vertices_mm.mean(axis=0)
    largest = np.abs(apart).max()
    if largest < _LEAST_SIZE_MM:
        raise InputError(f"{source}: vertices must be apart, got all at one place")
    first, second, third = (apart[faces[:, corner]] / largest for corner in range(3))
    if np.abs(np.cross(second - first, third - first)).max(initial=0.0) < _LEAST_AREA:
        raise InputError(f"{source}: triangles must have an area, got none that has")


def _check_motion(surface: Surface, deltas_mm: FloatArray, *, source: Path) -> None:
    """Raise an error for shapes that do not move the skin, whose errors would always be 0.

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
    """Transfer our own head's regions to the mesh by registration."""
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
    """Raise an error for inward-facing triangles, by whose normals registration would fail.

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
    """Raise an error if a registered head has an implausible size or direction, or no region.

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
