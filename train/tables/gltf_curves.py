"""Motion in a glTF file: the animated weights of morph targets that bear ARKit's names.

What Blender, Unreal and web viewers export of an animated head. Of several meshes the one with the
most ARKit shapes counts, since the others (teeth, brows) follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.corpus.motion.track import MotionTrack, check_times, track_of_table
from esarm_env.face.loaders.gltf_arrays import GltfArrays
from esarm_env.face.loaders.gltf_document import (
    SUFFIXES,
    GltfDocument,
    object_in,
    objects_in,
    read_document,
)
from esarm_env.face.names import find_column
from esarm_env.formats.files import check_regular, reading

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray

__all__ = ["SUFFIXES", "read_gltf_track"]


def read_gltf_track(path: Path) -> MotionTrack:
    """Read the weights of a `.glb` or `.gltf` file's first animation, at the times of its keys.

    Raises:
        InputError: If the file is damaged, or animates no shape of ARKit's.
    """
    check_regular(path, "a motion file", missing="no such file")
    with reading(path, "a glTF file with animated ARKit morph targets"):
        document = read_document(path)
        found = [_curves(document, *each) for each in _animated(document)]
        found = [each for each in found if each[0]]
        if not found:
            raise ValueError("no animation of morph targets with ARKit names")
        names, time_s, values = max(found, key=lambda each: len(each[0]))
        notes = [f"{len(found) - 1} more animated meshes are left out"] if len(found) > 1 else []
    times = check_times(path, time_s)
    return track_of_table(path, names, values, time_s=times, notes=notes)


def _animated(document: GltfDocument) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the mesh and the sampler of each channel of weights in the first animation."""
    animations = document.items("animations")
    if not animations:
        raise ValueError("no animation")
    samplers = objects_in(animations[0], "samplers")
    found = []
    for channel in objects_in(animations[0], "channels"):
        target = object_in(channel, "target")
        if target.get("path") != "weights":
            continue
        node = document.item("nodes", target.get("node"), kind="node")
        number = channel.get("sampler")
        if not isinstance(number, int) or not 0 <= number < len(samplers):
            raise ValueError(f"no sampler {number!r}")
        mesh = document.item("meshes", node.get("mesh"), kind="mesh")
        found.append((mesh, samplers[number]))
    return found


def _curves(
    document: GltfDocument, mesh: Mapping[str, Any], sampler: Mapping[str, Any]
) -> tuple[list[str], DoubleArray, DoubleArray]:
    """Return the ARKit names of a mesh, the times (T,) and the weights (T, n) of its animation."""
    names = _target_names(mesh)
    places = [place for place, name in enumerate(names) if find_column(name) is not None]
    if sampler.get("interpolation", "LINEAR") not in ("LINEAR", "STEP"):
        raise ValueError(f"{sampler['interpolation']} keys; sample the animation when you export")
    arrays = GltfArrays(document)
    time_s = arrays.floats(sampler.get("input"), 1)[:, 0]
    weights = arrays.floats(sampler.get("output"), 1)[:, 0]
    if len(weights) != len(time_s) * len(names):
        raise ValueError(f"{len(weights)} weights for {len(time_s)} keys of {len(names)} targets")
    return [names[place] for place in places], time_s, weights.reshape(len(time_s), -1)[:, places]


def _target_names(mesh: Mapping[str, Any]) -> list[str]:
    """Return the names of a mesh's targets, as exporters write them into its extras."""
    primitives = objects_in(mesh, "primitives")
    for owner in (mesh, *primitives):
        extras = owner.get("extras")
        names = extras.get("targetNames") if isinstance(extras, dict) else None
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    raise ValueError("morph targets without names (`extras.targetNames`)")
