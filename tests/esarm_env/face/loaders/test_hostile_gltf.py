"""glTF from strangers: whatever it declares, it reads no foreign memory, file or address."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, open_head

Document = dict[str, Any]
Damage = Callable[[Document], None]


def _document(names: list[str] | None = None) -> tuple[Document, bytes]:
    """Return a tetrahedron with all shapes, and its buffer: corners, triangles, then the shapes."""
    corners = np.eye(4)[:, :3].astype("<f4")
    triangles = np.array([0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3], "<u4")
    fields = np.random.default_rng(3).normal(size=(52, 4, 3)).astype("<f4")
    raw, views, accessors = b"", [], []
    for array in (corners, triangles, *fields):
        views.append({"buffer": 0, "byteOffset": len(raw), "byteLength": array.nbytes})
        raw += array.tobytes()
        component, kind = (5125, "SCALAR") if array.ndim == 1 else (5126, "VEC3")
        accessors.append(
            {
                "bufferView": len(accessors),
                "componentType": component,
                "count": len(array),
                "type": kind,
            }
        )
    primitive = {
        "attributes": {"POSITION": 0},
        "indices": 1,
        "targets": [{"POSITION": 2 + i} for i in range(52)],
    }
    mesh = {"primitives": [primitive], "extras": {"targetNames": names or list(ARKIT_NAMES)}}
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [mesh],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(raw)}],
    }
    return document, raw


def _glb(text: bytes, raw: bytes) -> bytes:
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I", len(text)) + b"JSON" + text
    chunks += struct.pack("<I", len(raw)) + b"BIN\0" + raw
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def _write(path: Path, document: Document, raw: bytes) -> Path:
    path.write_bytes(_glb(json.dumps(document).encode(), raw))
    return path


def _set(*place: Any, to: Any) -> Damage:
    """Return the damage that puts a value at a place of the document."""

    def damage(document: Document) -> None:
        owner: Any = document
        for step in place[:-1]:
            owner = owner[step]
        owner[place[-1]] = to

    return damage


def _sparse(**change: Any) -> Damage:
    """Return the damage of a sparse accessor of one row whose fields are changed."""

    def damage(document: Document) -> None:
        sparse = {
            "count": 1,
            "indices": {"bufferView": 1, "componentType": 5125},
            "values": {"bufferView": 0},
        }
        document["accessors"][2]["sparse"] = {**sparse, **change}

    return damage


def _skin(**change: Any) -> Damage:
    """Return the damage of a skin of one joint whose fields are changed."""

    def damage(document: Document) -> None:
        document["skins"] = [{"joints": [0], **change}]
        document["nodes"][0]["skin"] = 0
        document["bufferViews"].append({"buffer": 0, "byteLength": 16})
        joints = {"componentType": 5121, "count": 4, "type": "VEC4"}
        weights = {"componentType": 5126, "count": 4, "type": "VEC4"}
        document["accessors"] += [joints, weights]
        primitive = document["meshes"][0]["primitives"][0]
        primitive["attributes"] |= {"JOINTS_0": 54, "WEIGHTS_0": 55}

    return damage


_PRIMITIVE = ("meshes", 0, "primitives", 0)
_DAMAGES: list[tuple[Damage, str]] = [
    (_set("bufferViews", 0, "byteStride", to=-4096), "`byteStride` -4096 where a whole number"),
    (_set("bufferViews", 0, "byteStride", to=4), "rows of 12 bytes that overlap, 4 bytes apart"),
    (_set("bufferViews", 0, "byteStride", to=10**12), "4 rows beyond the end of their buffer"),
    (_set("bufferViews", 0, "byteStride", to=True), "`byteStride` True where a whole number"),
    (_set("bufferViews", 0, "byteStride", to="16"), "`byteStride` '16' where a whole number"),
    (_set("bufferViews", 0, "byteOffset", to=-8), "`byteOffset` -8 where a whole number"),
    (_set("bufferViews", 0, "byteOffset", to=2**63), "4 rows beyond the end of their buffer"),
    (_set("bufferViews", 0, "byteLength", to=20), "4 rows beyond the end of their buffer"),
    (_set("bufferViews", 0, "buffer", to=1), "no buffer 1"),
    (_set("bufferViews", 0, "buffer", to=None), "no buffer None"),
    (_set("bufferViews", 0, to=7), "`bufferViews` that is no list of objects"),
    (_set("accessors", 0, "byteOffset", to=-4), "`byteOffset` -4 where a whole number"),
    (_set("accessors", 0, "byteOffset", to=4), "4 rows beyond the end of their buffer"),
    (_set("accessors", 0, "count", to=10**15), "1000000000000000 vertices and 4 triangles"),
    (_set("accessors", 0, "count", to=-1), "`count` -1 where a whole number"),
    (_set("accessors", 0, "count", to=0), "0 rows where 1 to 6000000 can be"),
    (_set("accessors", 0, "count", to=4.0), "`count` 4.0 where a whole number"),
    (_set("accessors", 0, "type", to=["VEC3"]), "an accessor of type ['VEC3']"),
    (_set("accessors", 1, "count", to=10**9), "vertices and 333333333 triangles"),
    (_set("accessors", 1, "componentType", to=5124), "a component type 5124"),
    (_set("accessors", 5, "count", to=10**9), "a target of 1000000000 vertices where its mesh"),
    (_sparse(count=10**12), "1000000000000 sparse values of 4"),
    (_sparse(count=0), "0 sparse values of 4"),
    (_sparse(indices={"bufferView": 1, "componentType": 5120}), "sparse places as int8"),
    (_sparse(indices={"componentType": 5125}), "`bufferView` None where a whole number"),
    (_sparse(values={"componentType": 5126}), "`bufferView` None where a whole number"),
    (_sparse(values={"bufferView": 0, "byteOffset": 40}), "1 rows beyond the end"),
    (_set("buffers", 0, "byteLength", to=10**12), "bytes that says it has 1000000000000"),
    (_set("buffers", 0, "byteLength", to=None), "`byteLength` None where a whole number"),
    (_set("buffers", 0, "byteLength", to=48), "4 rows beyond the end of their buffer"),
    (_set("nodes", 0, "children", to=[0]), "node 0, which is missing or reached twice"),
    (_set("nodes", 0, "children", to=[-1]), "node -1, which is missing or reached twice"),
    (_set("nodes", 0, "children", to={"a": 1}), "`children` that is no list of whole numbers"),
    (_set("nodes", 0, "mesh", to=9), "no mesh 9"),
    (_set("nodes", 0, "mesh", to=-1), "no mesh -1"),
    (_set("nodes", 0, "matrix", to=[1.0] * 15), "where 16 numbers are needed"),
    (_set("nodes", 0, "scale", to=[1e308] * 3), "transforms that lead to nan or infinity"),
    (_set("nodes", 0, "rotation", to=["x"] * 4), "where 4 numbers are needed"),
    (_set("scene", to=3), "no scene 3"),
    (_set("scenes", 0, "nodes", to="all"), "`nodes` that is no list of whole numbers"),
    (_set(*_PRIMITIVE, "attributes", to=[]), "`attributes` that is no object"),
    (_set(*_PRIMITIVE, "attributes", to={}), "no accessor None"),
    (_set(*_PRIMITIVE, "targets", to=[[]] * 52), "`targets` that is no list of objects"),
    (_set(*_PRIMITIVE, "indices", to=-3), "no accessor -3"),
    (_skin(joints=[]), "a skin of 0 joints"),
    (_skin(joints=[5]), "joint 5, which is no node of the scene"),
    (_skin(inverseBindMatrices=0), "3 columns where 16 are needed"),
]


@pytest.mark.parametrize(("damage", "got"), _DAMAGES)
def test_what_contradicts_itself_is_refused_in_one_line(
    tmp_path: Path, small_regions: Path, damage: Damage, got: str
) -> None:
    """A negative stride read the memory before the buffer: foreign bytes, or a crash."""
    document, raw = _document()
    damage(document)
    path = _write(tmp_path / "a.glb", document, raw)
    with pytest.raises(InputError, match=re.escape(got)) as caught:
        open_head(path, regions=small_regions)
    assert str(caught.value).startswith(f"{path}: must be a sound glTF file, got ")
    assert "\n" not in str(caught.value)


def test_the_same_mesh_a_million_times_is_refused_before_memory_is_taken(
    tmp_path: Path, small_regions: Path
) -> None:
    """A short file that names one mesh in all its nodes would fill the memory."""
    document, raw = _document()
    document["nodes"] = [{"mesh": 0}] * 5_000
    document["scenes"] = [{"nodes": list(range(5_000))}]
    with pytest.raises(InputError, match="more than 1000 meshes with ARKit shapes"):
        open_head(_write(tmp_path / "a.glb", document, raw), regions=small_regions)
    document["nodes"] = [{"mesh": 0}] + [{}] * 60_000
    document["scenes"] = [{"nodes": list(range(60_001))}]
    with pytest.raises(InputError, match="a scene of more than 50000 nodes"):
        open_head(_write(tmp_path / "a.glb", document, raw), regions=small_regions)
    document, raw = _document()
    names = ["a"] * 100_001
    document["meshes"][0]["extras"]["targetNames"] = names
    document["meshes"][0]["primitives"][0]["targets"] = [{}] * len(names)
    with pytest.raises(InputError, match="more than 100000 morph targets"):
        open_head(_write(tmp_path / "a.glb", document, raw), regions=small_regions)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda data: b"glTX" + data[4:], "text that is no JSON"),
        (lambda data: data[:4] + struct.pack("<I", 1) + data[8:], "glTF of version 1 where 2"),
        (lambda data: data[:8] + struct.pack("<I", len(data) + 4) + data[12:], "bytes"),
        (
            lambda data: data[:12] + struct.pack("<I", 2**32 - 1) + data[16:],
            "a chunk of 4294967295",
        ),
        (lambda data: data[:16] + b"BIN\0" + data[20:], "a first chunk of kind b'BIN\\x00'"),
        (lambda data: data[:15], "the first 15 bytes of a file"),
        (lambda data: _glb(b'{"asset": NaN}', b""), "the number NaN"),
        (lambda data: _glb(b"[" * 50_000, b""), "text that is no JSON"),
        (lambda data: _glb(b"[]", b""), "a list instead of an object"),
        (lambda data: _glb(b'{"scene": ' + b"9" * 9000 + b"}", b""), "text that is no JSON"),
    ],
)
def test_a_container_that_contradicts_itself_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], got: str
) -> None:
    """Wrong magic, version, length and chunks, and text that is hostile itself."""
    document, raw = _document()
    path = tmp_path / "a.glb"
    path.write_bytes(change(_glb(json.dumps(document).encode(), raw)))
    with pytest.raises(InputError, match=re.escape(got)):
        open_head(path)


@pytest.mark.parametrize(
    ("uri", "got"),
    [
        ("https://example.org/a.bin", "save it in the file, or beside it"),
        ("file:///etc/hostname", "save it in the file, or beside it"),
        ("/etc/hostname", "save it in the file, or beside it"),
        ("..\\a.bin", "save it in the file, or beside it"),
        ("../a.bin", "outside of the folder of the file"),
        ("inner/../../a.bin", "outside of the folder of the file"),
        ("%2e%2e/a.bin", "outside of the folder of the file"),
        ("link.bin", "outside of the folder of the file"),
        ("inner", "a buffer without data ('inner')"),
        ("none.bin", "a buffer without data ('none.bin')"),
        ("a\0.bin", "save it in the file, or beside it"),
        ("", "a buffer without data ('')"),
        (7, "a buffer at 7"),
        ("data:application/octet-stream;base64,AAAA", "3 bytes that says it has"),
        ("data:;base64,%%%%", "got "),
        ("data:text/plain,AAAA", "save it in the file, or beside it"),
    ],
)
def test_a_buffer_is_in_the_file_or_its_folder(
    tmp_path: Path, small_regions: Path, uri: Any, got: str
) -> None:
    """A file from a stranger must not read the user's others, nor tell anyone that it is open."""
    document, raw = _document()
    folder = tmp_path / "head"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "a.bin").write_bytes(raw)
    (folder / "link.bin").symlink_to(tmp_path / "a.bin")
    document["buffers"][0]["uri"] = uri
    path = folder / "a.gltf"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=re.escape(got)):
        open_head(path, regions=small_regions)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_buffer_beside_the_file_is_read(
    tmp_path: Path, small_regions: Path, encoding: str
) -> None:
    """Also by an escaped name, in a folder below, and from text with a byte order mark."""
    document, raw = _document()
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "a.bin").write_bytes(raw)
    path = tmp_path / "a.glTF"
    for uri in ("a%20folder/a.bin", f"data:;base64,{base64.b64encode(raw).decode()}"):
        document["buffers"][0]["uri"] = uri
        path.write_bytes(json.dumps(document).encode(encoding))
        assert open_head(path, regions=small_regions).n_vertices == 4


_SPELLINGS: dict[str, Callable[[int, str], str]] = {
    "numbered": lambda i, name: f"A{i:02d}_" + re.sub("([A-Z])", r"_\1", name).title(),
    "numbered by a point": lambda i, name: f"{i}. {name}",
    "Blender's sides": lambda _, name: re.sub(r"(?<!jaw)(?<!mouth)(L|R)(?:ef|igh)t$", r".\1", name),
    "behind the object's name": lambda _, name: f"Head.001|{name}",
}


@pytest.mark.parametrize("spelling", _SPELLINGS)
@pytest.mark.parametrize("place", ["mesh", "primitive", "accessors"])
@pytest.mark.parametrize("suffix", [".glb", ".GLB", ".vrm", ".avatar"])
def test_names_are_found_wherever_exporters_put_them(
    tmp_path: Path, small_regions: Path, spelling: str, place: str, suffix: str
) -> None:
    """Each of these came from a program that writes nothing else."""
    names = [_SPELLINGS[spelling](i, name) for i, name in enumerate(ARKIT_NAMES)]
    plain, raw = _document()
    wanted = open_head(_write(tmp_path / "plain.glb", plain, raw), regions=small_regions)
    document, _ = _document(names)
    mesh = document["meshes"][0]
    if place == "primitive":
        mesh["primitives"][0]["extras"] = mesh.pop("extras")
    elif place == "accessors":
        del mesh["extras"]
        for accessor, name in zip(document["accessors"][2:], names, strict=True):
            accessor["name"] = name
    found = open_head(_write(tmp_path / f"a{suffix}", document, raw), regions=small_regions)
    np.testing.assert_array_equal(found.deltas, wanted.deltas)


def test_targets_of_other_names_are_listed(tmp_path: Path) -> None:
    """Their first names tell which program's they are, and what to rename."""
    document, raw = _document([f"Fcl_{i}" for i in range(52)])
    path = _write(tmp_path / "a.glb", document, raw)
    rule = (
        f"{path}: must name ARKit shapes in `extras.targetNames`, got no mesh with such targets, "
        "only 'Fcl_0', 'Fcl_1', 'Fcl_2', 'Fcl_3', 'Fcl_4', 'Fcl_5', ..."
    )
    with pytest.raises(InputError, match=f"^{re.escape(rule)}$"):
        open_head(path)


def _node(**change: Any) -> Damage:
    """Return the damage of a node called Head, below one that is sound."""

    def damage(document: Document) -> None:
        document["nodes"] = [{"name": "Root", "children": [1]}, {"mesh": 0, "name": "Head"}]
        document["nodes"][1] |= change

    return damage


def _parent(**change: Any) -> Damage:
    """Return the damage of a node called Root above the head's."""

    def damage(document: Document) -> None:
        document["nodes"] = [{"name": "Root", "children": [1], **change}, {"mesh": 0}]

    return damage


_FLAT = np.diag([1.0, 1, 0, 1]).ravel().tolist()
_SHEARED = np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]).ravel().tolist()
_BY_ROWS = np.array([[1.0, 0, 0, 2], [0, 1, 0, 3], [0, 0, 1, 4], [0, 0, 0, 1]]).ravel().tolist()
_INFINITE = json.loads("1e999")
_HIDDEN: list[tuple[Damage, str]] = [
    (_node(scale=[0.0, 0, 0]), "node 'Head' with a `scale` of 0, 0, 0, which hides what is below"),
    (_node(scale=[1.0, 1, 0]), "node 'Head' with a `scale` of 1, 1, 0, which hides"),
    (_parent(scale=[0, 0, 0]), "node 'Root' with a `scale` of 0, 0, 0, which hides"),
    (_set("nodes", 0, "scale", to=[0, 1, 1]), "node 0 with a `scale` of 0, 1, 1, which hides"),
    (_node(rotation=[0.0] * 4), "node 'Head' with a `rotation` of length 0"),
    (_parent(rotation=[0, 0, 0, 0]), "node 'Root' with a `rotation` of length 0"),
    (_node(matrix=[0.0] * 15 + [1.0]), "node 'Head' with a `matrix` that flattens all"),
    (_node(matrix=_FLAT), "node 'Head' with a `matrix` that flattens all"),
    (_parent(matrix=_SHEARED), "node 'Root' with a `matrix` that flattens all"),
    (_node(matrix=_BY_ROWS), "node 'Head' with a `matrix` whose last row is not 0 0 0 1 (is it by"),
    (_node(matrix=[0.0] * 16), "node 'Head' with a `matrix` whose last row is not 0 0 0 1"),
    (_node(scale=[1, _INFINITE, 1]), "node 'Head' with a `scale` of nan or infinity"),
    (_node(rotation=[_INFINITE, 0, 0, 1]), "node 'Head' with a `rotation` of nan or infinity"),
    (_node(translation=[0, -_INFINITE, 0]), "node 'Head' with a `translation` of nan or infinity"),
    (_node(matrix=[_INFINITE] * 16), "node 'Head' with a `matrix` of nan or infinity"),
    (_node(scale=[]), "`scale` [] where 3 numbers are needed"),
    (
        _node(translation=[1e300, 1, 1], scale=[1e300] * 3),
        "transforms that lead to nan or infinity",
    ),
]


@pytest.mark.parametrize(("damage", "got"), _HIDDEN)
def test_a_node_that_hides_the_face_is_refused_by_name(
    tmp_path: Path, small_regions: Path, damage: Damage, got: str
) -> None:
    """A scale of 0 opened as a point, a rotation of length 0 as none: errors of 0, all perfect."""
    document, raw = _document()
    damage(document)
    path = tmp_path / "a.glb"
    text = json.dumps(document).replace("Infinity", "1e999")
    path.write_bytes(_glb(text.encode(), raw))
    with pytest.raises(
        InputError, match=re.escape(f"{path}: must be a sound glTF file, got {got}")
    ):
        open_head(path, regions=small_regions)


def test_what_is_wrong_with_a_node_without_a_face_does_not_matter(
    tmp_path: Path, small_regions: Path
) -> None:
    """Programs hide a hat by a scale of 0."""
    document, raw = _document()
    document["meshes"].append({"primitives": [{"attributes": {"POSITION": 0}}]})
    document["nodes"] += [{"mesh": 1, "scale": [0, 0, 0]}, {"rotation": [0, 0, 0, 0]}]
    document["scenes"] = [{"nodes": [0, 1, 2]}]
    assert (
        open_head(_write(tmp_path / "a.glb", document, raw), regions=small_regions).n_vertices == 4
    )


@pytest.mark.parametrize("length", [1e-200, 0.5, 1.0000001, 3.0, 1e200])
def test_a_rotation_of_another_length_turns_as_far(
    tmp_path: Path, small_regions: Path, length: float
) -> None:
    """Taken as it is, a quaternion of length 2 stretches the head fourfold."""
    document, raw = _document()
    half = np.sqrt(0.5)
    document["nodes"][0]["rotation"] = [0, 0, float(length * half), float(length * half)]
    head = open_head(_write(tmp_path / "a.glb", document, raw), regions=small_regions)
    turned = 1000 * np.eye(4)[:, :3] @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(head.vertices, turned, atol=1e-3)


def _bound(joint: Any, weights: np.ndarray) -> tuple[Document, bytes]:
    """Return a document whose vertices are bound to a joint called Neck, and to none of scale 0."""
    document, raw = _document()
    document["nodes"] = [{"mesh": 0, "skin": 0}, {"name": "Neck", **joint}, {"scale": [0, 0, 0]}]
    document["scenes"] = [{"nodes": [0, 1, 2]}]
    document["skins"] = [{"joints": [1, 2]}]
    first = len(document["accessors"])
    for array, component in ((np.zeros((4, 4), "u1"), 5121), (weights.astype("<f4"), 5126)):
        view = {"buffer": 0, "byteOffset": len(raw), "byteLength": array.nbytes}
        accessor = {"componentType": component, "count": 4, "type": "VEC4"}
        accessor["bufferView"] = len(document["bufferViews"])
        document["bufferViews"].append(view)
        document["accessors"].append(accessor)
        raw += array.tobytes()
    document["buffers"][0]["byteLength"] = len(raw)
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    attributes |= {"JOINTS_0": first, "WEIGHTS_0": first + 1}
    return document, raw


_ONE = np.tile([1.0, 0, 0, 0], (4, 1))


@pytest.mark.parametrize(
    ("joint", "weights", "got"),
    [
        ({"scale": [0, 0, 0]}, _ONE, "node 'Neck' with a `scale` of 0, 0, 0, which hides"),
        ({"rotation": [0, 0, 0, 0]}, _ONE, "node 'Neck' with a `rotation` of length 0"),
        ({}, 0 * _ONE, "`WEIGHTS_0` below 0, or 0 for all joints of a vertex"),
        ({}, _ONE - [0, 0.5, 0, 0], "`WEIGHTS_0` below 0, or 0 for all joints of a vertex"),
    ],
)
def test_a_joint_that_hides_the_face_is_refused_by_name(
    tmp_path: Path, small_regions: Path, joint: Any, weights: np.ndarray, got: str
) -> None:
    """A vertex without weights came to lie at the origin; unused joints do not matter."""
    path = _write(tmp_path / "whole.glb", *_bound({}, _ONE))
    assert open_head(path, regions=small_regions).n_vertices == 4
    path = _write(tmp_path / "a.glb", *_bound(joint, weights))
    with pytest.raises(InputError, match=re.escape(got)):
        open_head(path, regions=small_regions)


def _with_array(number: int, array: np.ndarray) -> tuple[Document, bytes]:
    """Return a document with one of its buffer views overwritten."""
    document, raw = _document()
    start = document["bufferViews"][number]["byteOffset"]
    return document, raw[:start] + array.tobytes() + raw[start + array.nbytes :]


_POINTS = np.eye(4)[:, :3].astype("<f4")


@pytest.mark.parametrize(
    ("number", "array", "got"),
    [
        (
            0,
            np.ones((4, 3), "<f4"),
            "must be a sound glTF file, got mesh 0 with all vertices at one",
        ),
        (0, _POINTS * np.float32([1, 1, 0]), "vertices must fill a body, got all on a plane"),
        (
            0,
            _POINTS * np.float32([1, 0, 0]),
            "vertices must fill a body, got all on a plane or a line",
        ),
        (0, _POINTS * np.float32(1e-9), "vertices must be apart, got all at one place"),
        (0, _POINTS + np.float32(np.nan), "got numbers that are nan or infinite"),
        (1, np.zeros(12, "<u4"), "triangles must have an area, got none that has"),
        (2, np.zeros((52, 4, 3), "<f4"), "shapes must move the mesh, got none that does"),
    ],
)
def test_a_mesh_that_is_no_body_is_refused(
    tmp_path: Path, small_regions: Path, number: int, array: np.ndarray, got: str
) -> None:
    """Its errors would all be 0, which is better than any head that moves."""
    path = _write(tmp_path / "a.glb", *_with_array(number, array))
    with pytest.raises(InputError, match=re.escape(f"{path}: ") + ".*" + re.escape(got)):
        open_head(path, regions=small_regions)


def test_names_for_other_targets_than_there_are_are_told(tmp_path: Path) -> None:
    """With no word of them, the file looks as if it had no shapes."""
    document, raw = _document()
    del document["meshes"][0]["primitives"][0]["targets"]
    with pytest.raises(InputError, match="no mesh with such targets, but 52 names for 0 targets"):
        open_head(_write(tmp_path / "a.glb", document, raw))
