"""Where the meshes of a glTF file stand: nodes with their transforms, and skins.

glTF 2.0 specification, sections 3.5 and 3.7.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from esarm_env.face.loaders.gltf_arrays import GltfArrays
from esarm_env.face.loaders.surfaces import Points


def world_matrices(document: Any) -> dict[int, Points]:
    """Return the matrix (4, 4) from each node of the scene to the world, by node.

    Raises:
        ValueError: If the nodes form no tree.
    """
    nodes = document.nodes
    children = {child for node in nodes for child in node.children or []}
    if document.scenes:
        roots = document.scenes[document.scene or 0].nodes or []
    else:
        roots = [node for node in range(len(nodes)) if node not in children]
    matrices: dict[int, Points] = {}
    waiting = [(root, np.eye(4)) for root in roots]
    while waiting:
        index, above = waiting.pop()
        if not 0 <= index < len(nodes) or index in matrices:
            raise ValueError(f"node {index}, which is missing or reached twice")
        matrices[index] = above @ _local_matrix(nodes[index])
        waiting += [(child, matrices[index]) for child in nodes[index].children or []]
    return matrices


def _local_matrix(node: Any) -> Points:
    """Return a node's own matrix: given by columns, or as shift, rotation and scale."""
    if node.matrix:
        return np.asarray(node.matrix, np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = node.rotation or (0.0, 0.0, 0.0, 1.0)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    matrix[:3, :3] = rotation * np.asarray(node.scale or (1.0, 1.0, 1.0))
    matrix[:3, 3] = node.translation or (0.0, 0.0, 0.0)
    return matrix


def mesh_nodes(document: Any, matrices: dict[int, Points]) -> Iterator[tuple[Any, Any, Points]]:
    """Yield each mesh of the scene with its skin or None and its node's matrix."""
    for index, matrix in sorted(matrices.items()):
        node = document.nodes[index]
        if node.mesh is not None:
            skin = None if node.skin is None else document.skins[node.skin]
            yield document.meshes[node.mesh], skin, matrix


def vertex_matrices(
    primitive: Any, skin: Any, node_matrix: Points, *, joints: dict[int, Points], arrays: GltfArrays
) -> Points:
    """Return the matrix of each vertex to the world, (4, 4) for all or (V, 4, 4).

    A skin replaces its node's transform by a blend of its joints', in the pose of the file.
    """
    attributes = primitive.attributes
    if skin is None or attributes.JOINTS_0 is None:
        return node_matrix
    moved = np.stack([joints[joint] for joint in skin.joints])  # (J, 4, 4)
    if skin.inverseBindMatrices is not None:
        inverse = arrays.floats(skin.inverseBindMatrices, 16).reshape(-1, 4, 4)
        moved = moved @ inverse[: len(moved)].transpose(0, 2, 1)
    bound = arrays.integers(attributes.JOINTS_0, 4)
    weights = arrays.floats(attributes.WEIGHTS_0, 4)
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.einsum("vj,vjab->vab", weights, moved[bound]))
