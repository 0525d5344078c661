"""glTF loader: any `.glb`, `.vrm` or `.gltf` with ARKit-named morph targets as one `Head`.

Meshes are placed in the world by their nodes' transforms and skins (glTF 2.0 specification,
sections 3.5 and 3.7.3). glTF has +y up, the face towards +z, so that +x is the subject's left, and
metres: ours but for the unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, one_line
from esarm_env.core.types import BoolArray, FloatArray
from esarm_env.face.loaders.gltf_arrays import GltfArrays
from esarm_env.face.loaders.gltf_document import (
    GltfDocument,
    Object,
    floats,
    object_in,
    objects_in,
    read_document,
    wholes,
)
from esarm_env.face.loaders.surfaces import Faces, Points
from esarm_env.face.loaders.targets import (
    MOST_VERTICES,
    build_head,
    collect_fields,
    need_all_shapes,
    shape_of,
)

if TYPE_CHECKING:
    from esarm_env.face.head import Head

_MM_PER_M = 1000.0
_TRIANGLES = 4
_DRACO = "KHR_draco_mesh_compression"
# Far beyond any avatar: without bounds, a file of a few bytes names the same mesh a million times.
_MOST_NODES, _MOST_MESHES, _MOST_TARGETS = 50_000, 1_000, 100_000
_MOST_CORNERS = 6_000_000
_SHOWN = 6

# Vertices, faces, fields, and which shapes are there.
_Part = tuple[Points, Faces, FloatArray, BoolArray]
# A primitive with the names of its targets, its skin's index or None, and its node's matrix.
_Placed = tuple[Object, Sequence[str], int | None, Points]


def world_matrices(document: GltfDocument) -> dict[int, Points]:
    """Return the world transform (4, 4) of each node of the scene.

    Raises:
        ValueError: If the nodes form no tree.
    """
    nodes = document.items("nodes")
    matrices: dict[int, Points] = {}
    waiting = [(root, np.eye(4)) for root in _roots(document)[: _MOST_NODES + 1]]
    while waiting:
        index, above = waiting.pop()
        if not 0 <= index < len(nodes) or index in matrices:
            raise ValueError(f"node {index}, which is missing or reached twice")
        if len(matrices) == _MOST_NODES:
            raise ValueError(f"a scene of more than {_MOST_NODES} nodes")
        matrices[index] = above @ _local_matrix(nodes[index])
        waiting += [(child, matrices[index]) for child in wholes(nodes[index], "children")]
    return matrices


def _roots(document: GltfDocument) -> list[int]:
    """Return the nodes that the scene begins with."""
    if document.items("scenes"):
        scene = document.item("scenes", document.content.get("scene") or 0, kind="scene")
        return wholes(scene, "nodes")
    nodes = document.items("nodes")
    children = {child for node in nodes for child in wholes(node, "children")}
    return [node for node in range(len(nodes)) if node not in children]


def _local_matrix(node: Object) -> Points:
    """Return a node's local transform: a matrix by columns, or shift, rotation and scale."""
    if node.get("matrix"):
        return floats(node, "matrix", [0.0] * 16).reshape(4, 4).T
    matrix = np.eye(4)
    if node.get("rotation") or node.get("scale"):
        x, y, z, w = floats(node, "rotation", [0.0, 0.0, 0.0, 1.0])
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        rotation = np.eye(3) + 2 * w * cross + 2 * cross @ cross
        matrix[:3, :3] = rotation * floats(node, "scale", [1.0, 1.0, 1.0])
    matrix[:3, 3] = floats(node, "translation", [0.0, 0.0, 0.0])
    return matrix


class _Avatar:
    """Reader of the parts of one document, in the world's millimetres."""

    def __init__(self, document: GltfDocument) -> None:
        """Place all nodes of the scene."""
        self._document, self._arrays = document, GltfArrays(document)
        self._matrices = world_matrices(document)
        self._joints: dict[int, Points] = {}
        self._names: dict[int, list[list[str]]] = {}
        self.other_names: list[str] = []
        self.parts = [self._part(*placed) for placed in self._checked()]

    def _checked(self) -> list[_Placed]:
        """Return all primitives with ARKit targets, few and small enough to be a head."""
        placed, n_vertices, n_corners = [], 0, 0
        for each in self._placed():
            placed.append(each)
            if len(placed) > _MOST_MESHES:
                raise ValueError(f"more than {_MOST_MESHES} meshes with ARKit shapes")
            primitive = each[0]
            n_vertices += self._arrays.count(object_in(primitive, "attributes").get("POSITION"))
            if primitive.get("indices") is not None:
                n_corners += self._arrays.count(primitive["indices"])
            if n_vertices > MOST_VERTICES or n_corners > _MOST_CORNERS:
                got = f"{n_vertices} vertices and {n_corners // 3} triangles"
                rule = f"at most {MOST_VERTICES} and {_MOST_CORNERS // 3} can be"
                raise ValueError(f"{got} with ARKit shapes where {rule}; decimate them")
        return placed

    def _placed(self) -> Iterator[_Placed]:
        """Yield all primitives with ARKit targets."""
        for index, matrix in sorted(self._matrices.items()):
            node = self._document.items("nodes")[index]
            if node.get("mesh") is None:
                continue
            mesh = self._document.item("meshes", node["mesh"], kind="mesh")
            for primitive, names in zip(
                objects_in(mesh, "primitives"), self._target_names(node["mesh"], mesh), strict=True
            ):
                if names:
                    yield primitive, names, node.get("skin"), matrix

    def _target_names(self, number: int, mesh: Object) -> list[list[str]]:
        """Return the names of each primitive's targets, empty where none is a shape of ARKit's."""
        if number not in self._names:
            self._names[number] = [
                self._names_of(mesh, primitive) for primitive in objects_in(mesh, "primitives")
            ]
            if sum(map(len, self._names.values())) > _MOST_TARGETS:
                raise ValueError(f"more than {_MOST_TARGETS} meshes")
        return self._names[number]

    def _names_of(self, mesh: Object, primitive: Object) -> list[str]:
        """Return the names of a primitive's targets: from extras, or from their accessors."""
        targets = objects_in(primitive, "targets")
        if len(targets) > _MOST_TARGETS:
            raise ValueError(f"more than {_MOST_TARGETS} morph targets")
        for owner in (mesh, primitive):
            extras = owner.get("extras")
            names = extras.get("targetNames") if isinstance(extras, dict) else None
            if isinstance(names, list) and len(names) == len(targets):
                found = [str(name) for name in names]
                if self._has_shapes(found):
                    return found
        # FBX2glTF and others leave the extras out and name the accessors.
        found = [self._accessor_name(target.get("POSITION")) for target in targets]
        return found if self._has_shapes(found) else []

    def _has_shapes(self, names: list[str]) -> bool:
        if any(shape_of(name) for name in names):
            return True
        self.other_names += [name for name in names[:_SHOWN] if name]
        return False

    def _accessor_name(self, index: object) -> str:
        if index is None:
            return ""
        name = self._document.item("accessors", index, kind="accessor").get("name")
        return name if isinstance(name, str) else ""

    def _part(
        self, primitive: Object, names: Sequence[str], skin: int | None, matrix: Points
    ) -> _Part:
        """Read one primitive in the world's millimetres."""
        if _DRACO in object_in(primitive, "extensions"):
            raise ValueError("Draco-compressed meshes; save the file uncompressed")
        if primitive.get("mode") not in (None, _TRIANGLES):
            raise ValueError(f"a mesh that is no list of triangles (mode {primitive['mode']})")
        points = self._arrays.floats(object_in(primitive, "attributes").get("POSITION"), 3)
        to_world = self._to_world(primitive, skin, matrix, n_vertices=len(points))
        turn, shift = to_world[..., :3, :3], to_world[..., :3, 3]
        world = np.einsum("...ab,...b->...a", turn, points) + shift
        shapes = [
            (name, target)
            for name, target in zip(names, objects_in(primitive, "targets"), strict=True)
            if shape_of(name)
        ]
        moved = (
            _MM_PER_M * np.einsum("...ab,...b->...a", turn, self._field(target, len(points)))
            for _, target in shapes
        )
        deltas, found = collect_fields([name for name, _ in shapes], moved)
        if not np.isfinite(world).all() or not np.isfinite(deltas).all():
            raise ValueError("transforms that lead to nan or infinity")
        return _MM_PER_M * world, self._triangles(primitive, turn, len(points)), deltas, found

    def _field(self, target: Object, n_vertices: int) -> Points:
        """Return a target's displacements (V, 3) in the mesh's own units."""
        index = target.get("POSITION")
        if index is None:
            return np.zeros((n_vertices, 3))
        if self._arrays.count(index) != n_vertices:
            got = f"a target of {self._arrays.count(index)} vertices"
            raise ValueError(f"{got} where its mesh has {n_vertices}")
        return self._arrays.floats(index, 3)

    def _to_world(
        self, primitive: Object, skin: int | None, node_matrix: Points, *, n_vertices: int
    ) -> Points:
        """Return the world transform of all vertices, (4, 4), or of each under skinning, (V, 4, 4).

        A skin replaces its node's transform by a blend of its joints', in the pose of the file.
        """
        attributes = object_in(primitive, "attributes")
        if skin is None or attributes.get("JOINTS_0") is None:
            return node_matrix
        moved = self._skin(skin)
        for name in ("JOINTS_0", "WEIGHTS_0"):
            if self._arrays.count(attributes.get(name)) != n_vertices:
                raise ValueError(f"`{name}` of other vertices than its mesh")
        bound = self._arrays.integers(attributes["JOINTS_0"], 4)
        if bound.max() >= len(moved):
            raise ValueError(f"joint {bound.max()} of a skin of {len(moved)}")
        weights = self._arrays.floats(attributes["WEIGHTS_0"], 4)
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        return np.asarray(np.einsum("vj,vjab->vab", weights, moved[bound]))

    def _skin(self, index: int) -> Points:
        """Return the transforms (J, 4, 4) of a skin's joints, from the mesh to the world."""
        if index not in self._joints:
            skin = self._document.item("skins", index, kind="skin")
            joints = wholes(skin, "joints")
            if not joints or len(joints) > _MOST_NODES:
                raise ValueError(f"a skin of {len(joints)} joints")
            outside = [joint for joint in joints if joint not in self._matrices]
            if outside:
                raise ValueError(f"joint {outside[0]}, which is no node of the scene")
            moved = np.stack([self._matrices[joint] for joint in joints])  # (J, 4, 4)
            if skin.get("inverseBindMatrices") is not None:
                inverse = self._arrays.floats(skin["inverseBindMatrices"], 16).reshape(-1, 4, 4)
                if len(inverse) < len(moved):
                    raise ValueError(f"{len(inverse)} matrices for {len(moved)} joints")
                moved = moved @ inverse[: len(moved)].transpose(0, 2, 1)
            self._joints[index] = moved
        return self._joints[index]

    def _triangles(self, primitive: Object, turn: Points, n_vertices: int) -> Faces:
        """Return a primitive's triangles, with flipped winding where a transform mirrors them."""
        if primitive.get("indices") is None:
            corners = np.arange(n_vertices)
        else:
            corners = self._arrays.integers(primitive["indices"], 1)[:, 0]
        if len(corners) % 3 or (len(corners) and corners.max() >= n_vertices):
            raise ValueError(f"{len(corners)} corners of triangles among {n_vertices} vertices")
        faces = corners.reshape(-1, 3).astype(np.int32)
        mirrored = np.linalg.det(turn.reshape(-1, 3, 3)[0]) < 0
        return faces[:, ::-1] if mirrored else faces


def load_gltf(path: Path, *, regions: Path | None = None) -> Head:
    """Load all meshes that have ARKit targets (head, teeth, eyes, ...) as one head.

    Args:
        path: A `.glb`, `.vrm` or `.gltf` file; targets are named in `extras.targetNames` of their
            mesh, as Blender and others write them, or by their accessors. Meshes are placed by
            their nodes and skins.
        regions: See `read_regions`; None to carry our own over.

    Raises:
        InputError: If the file is damaged or compressed, or a shape is missing.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # such transforms are refused
            avatar = _Avatar(read_document(path))
    # A contradictory document may raise any exception, depending on where it contradicts itself.
    except Exception as error:
        raise InputError(f"{path}: must be a sound glTF file, got {one_line(error)}") from error
    parts = avatar.parts
    if not parts:
        others = ", ".join(repr(name[:40]) for name in avatar.other_names[:_SHOWN])
        got = "no mesh with such targets" + (f", only {others}, ..." if others else "")
        raise InputError(f"{path}: must name ARKit shapes in `extras.targetNames`, got {got}")
    starts = np.cumsum([0, *(len(vertices) for vertices, *_ in parts)])
    vertices = np.concatenate([part[0] for part in parts])
    faces = np.concatenate([part[1] + start for part, start in zip(parts, starts, strict=False)])
    deltas = np.concatenate([part[2] for part in parts], axis=1)
    need_all_shapes(np.logical_or.reduce([part[3] for part in parts]), source=str(path))
    return build_head(vertices, faces.astype(np.int32), deltas, regions=regions, source=path)
