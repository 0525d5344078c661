"""glTF loader: any `.glb` or `.gltf` with ARKit-named morph targets as one `Head`.

Read with pygltflib, which knows morph targets (trimesh drops them). Meshes are placed in the world
by their nodes' transforms and skins (glTF 2.0 specification, sections 3.5 and 3.7.3). glTF has +y
up, the face towards +z, so that +x is the subject's left, and metres: ours but for the unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.types import BoolArray, FloatArray
from esarm_env.face.loaders.gltf_arrays import GltfArrays
from esarm_env.face.loaders.surfaces import Faces, Points
from esarm_env.face.loaders.targets import build_head, collect_fields, need_all_shapes, shape_of

if TYPE_CHECKING:
    from esarm_env.face.head import Head

_MM_PER_M = 1000.0
_TRIANGLES = 4
_DRACO = "KHR_draco_mesh_compression"

# Vertices, faces, fields, and which shapes are there.
_Part = tuple[Points, Faces, FloatArray, BoolArray]


def world_matrices(document: Any) -> dict[int, Points]:
    """Return the world transform (4, 4) of each node of the scene.

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
    """Return a node's local transform: a matrix by columns, or shift, rotation and scale."""
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
    """Return the world transform of all vertices, (4, 4), or of each under skinning, (V, 4, 4).

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


def load_gltf(path: Path, *, regions: Path | None = None) -> Head:
    """Load all meshes that have ARKit targets (head, teeth, eyes, ...) as one head.

    Args:
        path: A `.glb` or `.gltf` file; targets are named in `extras.targetNames`, as Blender and
            others write them. Meshes are placed by their nodes and skins.
        regions: See `read_regions`; None to carry our own over.

    Raises:
        InputError: If the file is damaged or compressed, or a shape is missing.
        MissingExtraError: If pygltflib is not installed.
    """
    document = _open(path)
    try:
        parts = _parts(document)
    # A contradictory document may raise any exception, depending on where it contradicts itself.
    except Exception as error:
        raise InputError(f"{path}: must be a sound glTF file, got {one_line(error)}") from error
    if not parts:
        got = "no mesh with such targets"
        raise InputError(f"{path}: must name ARKit shapes in `extras.targetNames`, got {got}")
    starts = np.cumsum([0, *(len(vertices) for vertices, *_ in parts)])
    vertices = np.concatenate([part[0] for part in parts])
    faces = np.concatenate([part[1] + start for part, start in zip(parts, starts, strict=False)])
    deltas = np.concatenate([part[2] for part in parts], axis=1)
    need_all_shapes(np.logical_or.reduce([part[3] for part in parts]), source=str(path))
    return build_head(vertices, faces.astype(np.int32), deltas, regions=regions, source=path)


def _open(path: Path) -> Any:
    """Parse the file to a pygltflib document."""
    try:
        from pygltflib import GLTF2
    except ImportError as error:
        raise MissingExtraError(
            "pygltflib", extra="heads", purpose="Reading a glTF head"
        ) from error
    try:
        document = GLTF2().load(path)
    # The library checks little: a damaged file fails wherever its content is first used.
    except Exception as error:
        raise InputError(f"{path}: must be a sound glTF file, got {one_line(error)}") from error
    if document is None:
        raise InputError(f"{path}: must be a sound glTF file, got one that cannot be read")
    return document


def _parts(document: Any) -> list[_Part]:
    """Return all primitives with ARKit targets, in the world's millimetres."""
    arrays, matrices = GltfArrays(document), world_matrices(document)
    parts = []
    for mesh, skin, matrix in mesh_nodes(document, matrices):
        for primitive in mesh.primitives:
            names = _target_names(mesh, primitive)
            if any(shape_of(name) for name in names):
                to_world = vertex_matrices(primitive, skin, matrix, joints=matrices, arrays=arrays)
                parts.append(_part(primitive, names, to_world=to_world, arrays=arrays))
    return parts


def _target_names(mesh: Any, primitive: Any) -> list[str]:
    """Return the names of a primitive's morph targets, empty if the file has none."""
    for owner in (mesh, primitive):
        names = (owner.extras or {}).get("targetNames") or []
        if names and len(names) == len(primitive.targets or []):
            return [str(name) for name in names]
    return []


def _part(primitive: Any, names: list[str], *, to_world: Points, arrays: GltfArrays) -> _Part:
    """Read one primitive in the world's millimetres."""
    if _DRACO in (primitive.extensions or {}):
        raise ValueError("Draco-compressed meshes; save the file uncompressed")
    if primitive.mode not in (None, _TRIANGLES):
        raise ValueError(f"a mesh that is no list of triangles (mode {primitive.mode})")
    points = arrays.floats(primitive.attributes.POSITION, 3)
    fields = np.zeros((len(names), *points.shape))
    for field, target in zip(fields, primitive.targets, strict=True):
        position = target.get("POSITION") if isinstance(target, dict) else target.POSITION
        if position is not None:
            field[:] = arrays.floats(position, 3)
    turn, shift = to_world[..., :3, :3], to_world[..., :3, 3]
    world = np.einsum("...ab,...b->...a", turn, points) + shift
    moved = np.einsum("...ab,...b->...a", turn, fields)
    deltas, found = collect_fields(names, _MM_PER_M * moved)
    return _MM_PER_M * world, _triangles(primitive, turn, len(points), arrays), deltas, found


def _triangles(primitive: Any, turn: Points, n_vertices: int, arrays: GltfArrays) -> Faces:
    """Return a primitive's triangles, with flipped winding where a transform mirrors them."""
    if primitive.indices is None:
        corners = np.arange(n_vertices)
    else:
        corners = arrays.integers(primitive.indices, 1)[:, 0]
    if len(corners) % 3 or (len(corners) and corners.max() >= n_vertices):
        raise ValueError(f"{len(corners)} corners of triangles among {n_vertices} vertices")
    faces = corners.reshape(-1, 3).astype(np.int32)
    mirrored = np.linalg.det(turn.reshape(-1, 3, 3)[0]) < 0
    return faces[:, ::-1] if mirrored else faces
