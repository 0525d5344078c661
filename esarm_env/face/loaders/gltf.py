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
from esarm_env.core.types import BoolArray, FloatArray, IntArray
from esarm_env.face.loaders.gltf_arrays import GltfArrays
from esarm_env.face.loaders.gltf_document import (
    GltfDocument,
    Object,
    object_in,
    objects_in,
    read_document,
    wholes,
)
from esarm_env.face.loaders.gltf_nodes import MOST_NODES, Place, is_flat, label, world_places
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
_MOST_MESHES, _MOST_TARGETS = 1_000, 100_000
_MOST_CORNERS = 6_000_000
_SHOWN = 6
_FLATTEST = 1e-6  # of the spread of vertices in one direction by that in another

# Vertices, faces, fields, and which shapes are there.
_Part = tuple[Points, Faces, FloatArray, BoolArray]
# A primitive with the names of its targets, its skin's index or None, its node's place, and its
# mesh's name.
_Placed = tuple[Object, Sequence[str], int | None, Place, str]


class _Avatar:
    """Reader of the parts of one document, in the world's millimetres."""

    def __init__(self, document: GltfDocument) -> None:
        """Place all nodes of the scene."""
        self._document, self._arrays = document, GltfArrays(document)
        self._places = world_places(document)
        self._joints: dict[int, tuple[list[int], Points]] = {}
        self._names: dict[int, list[list[str]]] = {}
        self.other_names: list[str] = []
        self.miscounted: str | None = None
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
        for index, place in sorted(self._places.items(), key=lambda item: item[0]):
            node = self._document.items("nodes")[index]
            if node.get("mesh") is None:
                continue
            mesh = self._document.item("meshes", node["mesh"], kind="mesh")
            for primitive, names in zip(
                objects_in(mesh, "primitives"), self._target_names(node["mesh"], mesh), strict=True
            ):
                if names:
                    yield primitive, names, node.get("skin"), place, label(mesh, node["mesh"])

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
            if not isinstance(names, list) or not self._has_shapes([str(name) for name in names]):
                continue
            if len(names) == len(targets):
                return [str(name) for name in names]
            self.miscounted = f"{len(names)} names for {len(targets)} targets"
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
        self, primitive: Object, names: Sequence[str], skin: int | None, place: Place, mesh: str
    ) -> _Part:
        """Read one primitive in the world's millimetres."""
        if _DRACO in object_in(primitive, "extensions"):
            raise ValueError("Draco-compressed meshes; save the file uncompressed")
        if primitive.get("mode") not in (None, _TRIANGLES):
            raise ValueError(f"a mesh that is no list of triangles (mode {primitive['mode']})")
        points = self._arrays.floats(object_in(primitive, "attributes").get("POSITION"), 3)
        if not np.ptp(points, axis=0).any():
            raise ValueError(f"mesh {mesh} with all vertices at one place")
        to_world = self._to_world(primitive, skin, place, n_vertices=len(points))
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
            raise ValueError(f"transforms that lead to nan or infinity in mesh {mesh}")
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
        self, primitive: Object, skin: int | None, place: Place, *, n_vertices: int
    ) -> Points:
        """Return the world transform of all vertices, (4, 4), or of each under skinning, (V, 4, 4).

        A skin replaces its node's transform by a blend of its joints', in the pose of the file.
        """
        attributes = object_in(primitive, "attributes")
        if skin is None or attributes.get("JOINTS_0") is None:
            if place.fault is not None:
                raise ValueError(place.fault)
            return place.matrix
        joints, moved = self._skin(skin)
        for name in ("JOINTS_0", "WEIGHTS_0"):
            if self._arrays.count(attributes.get(name)) != n_vertices:
                raise ValueError(f"`{name}` of other vertices than its mesh")
        bound = self._arrays.integers(attributes["JOINTS_0"], 4)
        if bound.max() >= len(moved):
            raise ValueError(f"joint {bound.max()} of a skin of {len(moved)}")
        weights = self._arrays.floats(attributes["WEIGHTS_0"], 4)
        total = weights.sum(axis=1, keepdims=True)
        if (weights < 0).any() or not (total > 0).all():
            raise ValueError("`WEIGHTS_0` below 0, or 0 for all joints of a vertex")
        weights = weights / total
        self._check_joints(joints, moved, np.unique(bound[weights > 0]))
        return np.asarray(np.einsum("vj,vjab->vab", weights, moved[bound]))

    def _check_joints(self, joints: Sequence[int], moved: Points, used: IntArray) -> None:
        """Raise an error if a joint that moves vertices brings them to a plane or a point."""
        flat = is_flat(moved[used, :3, :3])
        for number, is_lost in zip(used.tolist(), flat.tolist(), strict=True):
            fault = self._places[joints[number]].fault
            if fault is not None or is_lost:
                name = label(self._document.items("nodes")[joints[number]], joints[number])
                raise ValueError(fault or f"joint {name} that flattens the vertices of its skin")

    def _skin(self, index: int) -> tuple[list[int], Points]:
        """Return a skin's joints, and their transforms (J, 4, 4) from the mesh to the world."""
        if index not in self._joints:
            skin = self._document.item("skins", index, kind="skin")
            joints = wholes(skin, "joints")
            if not joints or len(joints) > MOST_NODES:
                raise ValueError(f"a skin of {len(joints)} joints")
            outside = [joint for joint in joints if joint not in self._places]
            if outside:
                raise ValueError(f"joint {outside[0]}, which is no node of the scene")
            moved = np.stack([self._places[joint].matrix for joint in joints])  # (J, 4, 4)
            if skin.get("inverseBindMatrices") is not None:
                inverse = self._arrays.floats(skin["inverseBindMatrices"], 16).reshape(-1, 4, 4)
                if len(inverse) < len(moved):
                    raise ValueError(f"{len(inverse)} matrices for {len(moved)} joints")
                moved = moved @ inverse[: len(moved)].transpose(0, 2, 1)
            self._joints[index] = joints, moved
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


def _fills_space(vertices: Points) -> bool:
    """Return whether vertices (V, 3) are apart in all directions."""
    apart = vertices - vertices.mean(axis=0)
    apart = apart / max(float(np.abs(apart).max()), 1e-300)
    spread = np.sqrt(np.linalg.eigvalsh(apart.T @ apart / len(apart)).clip(0.0))  # ascending
    return bool(spread[0] > _FLATTEST * spread[-1])


def load_gltf(path: Path, *, regions: Path | None = None) -> Head:
    """Load all meshes that have ARKit targets (head, teeth, eyes, ...) as one head.

    Args:
        path: A `.glb`, `.vrm` or `.gltf` file; targets are named in `extras.targetNames` of their
            mesh, as Blender and others write them, or by their accessors. Meshes are placed by
            their nodes and skins.
        regions: See `read_regions`; None to carry our own over.

    Raises:
        InputError: If the file is damaged or compressed, a node or a joint hides what it places,
            the mesh is flat, or a shape is missing.
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
        got += "" if avatar.miscounted is None else f", but {avatar.miscounted}"
        raise InputError(f"{path}: must name ARKit shapes in `extras.targetNames`, got {got}")
    starts = np.cumsum([0, *(len(vertices) for vertices, *_ in parts)])
    vertices = np.concatenate([part[0] for part in parts])
    faces = np.concatenate([part[1] + start for part, start in zip(parts, starts, strict=False)])
    deltas = np.concatenate([part[2] for part in parts], axis=1)
    if not _fills_space(vertices):
        raise InputError(f"{path}: vertices must fill a body, got all on a plane or a line")
    if not deltas.any():
        raise InputError(f"{path}: shapes must move the mesh, got none that does")
    need_all_shapes(np.logical_or.reduce([part[3] for part in parts]), source=str(path))
    return build_head(vertices, faces.astype(np.int32), deltas, regions=regions, source=path)
