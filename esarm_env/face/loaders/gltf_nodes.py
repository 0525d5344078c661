"""glTF nodes: where in the world each stands, and which of them place nothing that can be seen.

A scale of 0 is how programs hide a mesh, and a rotation of length 0 is none: what hangs below such
a node would open as a point. The fault is kept beside the transform, as most nodes carry no face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.face.loaders.gltf_document import GltfDocument, Object, floats, wholes

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray
    from esarm_env.face.loaders.surfaces import Points

# Far beyond any avatar.
MOST_NODES = 50_000
_FLATTEST = 1e-7  # of the stretch in one direction by that in another
_LONGEST_NAME = 40
_LAST_ROW = np.array([0.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Place:
    """World transform of a node.

    Attributes:
        matrix: Shape (4, 4).
        fault: Why nothing can be placed by it, with the name of the node whose fault it is; None if
            it is sound.
    """

    matrix: Points
    fault: str | None


def world_places(document: GltfDocument) -> dict[int, Place]:
    """Return the world transform of each node of the scene.

    Raises:
        ValueError: If the nodes form no tree, or a transform has other numbers than it should.
    """
    nodes = document.items("nodes")
    places: dict[int, Place] = {}
    waiting = [(root, Place(np.eye(4), None)) for root in _roots(document)[: MOST_NODES + 1]]
    while waiting:
        index, above = waiting.pop()
        if not 0 <= index < len(nodes) or index in places:
            raise ValueError(f"node {index}, which is missing or reached twice")
        if len(places) == MOST_NODES:
            raise ValueError(f"a scene of more than {MOST_NODES} nodes")
        local, fault = _local_matrix(nodes[index])
        told = None if fault is None else f"node {label(nodes[index], index)} with {fault}"
        places[index] = Place(above.matrix @ local, above.fault or told)
        waiting += [(child, places[index]) for child in wholes(nodes[index], "children")]
    return places


def label(item: Object, index: int) -> str:
    """Return how to call a node or mesh: by its name if it has one, else by its number."""
    name = item.get("name")
    return repr(name[:_LONGEST_NAME]) if isinstance(name, str) and name else str(index)


def _roots(document: GltfDocument) -> list[int]:
    """Return the nodes that the scene begins with."""
    if document.items("scenes"):
        scene = document.item("scenes", document.content.get("scene") or 0, kind="scene")
        return wholes(scene, "nodes")
    nodes = document.items("nodes")
    children = {child for node in nodes for child in wholes(node, "children")}
    return [node for node in range(len(nodes)) if node not in children]


def _local_matrix(node: Object) -> tuple[Points, str | None]:
    """Return a node's local transform: a matrix by columns, or shift, rotation and scale.

    And what is wrong with it, None if it is sound.
    """
    if node.get("matrix") is not None:
        matrix = floats(node, "matrix", [0.0] * 16).reshape(4, 4).T
        if not np.isfinite(matrix).all():
            return matrix, "a `matrix` of nan or infinity"
        if not np.allclose(matrix[3], _LAST_ROW, atol=1e-4):
            return matrix, "a `matrix` whose last row is not 0 0 0 1 (is it by rows?)"
        return matrix, "a `matrix` that flattens all" if is_flat(matrix[:3, :3]).any() else None
    if all(node.get(key) is None for key in ("rotation", "scale", "translation")):
        return np.eye(4), None
    turn = floats(node, "rotation", [0.0, 0.0, 0.0, 1.0])
    scale = floats(node, "scale", [1.0, 1.0, 1.0])
    shift = floats(node, "translation", [0.0, 0.0, 0.0])
    matrix = np.eye(4)
    for key, numbers in (("rotation", turn), ("scale", scale), ("translation", shift)):
        if not np.isfinite(numbers).all():
            return matrix, f"a `{key}` of nan or infinity"
    if not turn.any():
        return matrix, "a `rotation` of length 0"
    if not scale.all():
        got = ", ".join(f"{number:g}" for number in scale)
        return matrix, f"a `scale` of {got}, which hides what is below; show it, or take it out"
    turn = turn / np.abs(turn).max()  # whose square may be beyond all floats
    x, y, z, w = turn / np.linalg.norm(turn)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix[:3, :3] = (np.eye(3) + 2 * w * cross + 2 * cross @ cross) * scale
    matrix[:3, 3] = shift
    return matrix, None


def is_flat(turns: Points) -> BoolArray:
    """Return whether linear maps (..., 3, 3) bring space to a plane, a line or a point."""
    sound = np.isfinite(turns).all(axis=(-2, -1), keepdims=True)
    stretches = np.linalg.svd(np.where(sound, turns, 0.0), compute_uv=False)
    return np.asarray(stretches[..., -1] <= _FLATTEST * stretches[..., 0])
