"""glTF: numbers hidden in strides, sparse tables and integers, meshes hidden behind transforms."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from esarm_env.core.errors import InputError
from esarm_env.face import ORDERS, index_of, load_head
from esarm_env.face.loaders import load_gltf

_VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64)
_FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@pytest.mark.parametrize("order", ["alphabetical", "apple_keys", "livelink_csv"])
def test_a_mesh_becomes_millimetres(
    tmp_path: Path, glb: Any, small_fields: np.ndarray, small_regions: Path, suffix: str, order: str
) -> None:
    """Targets stand in any order and spelling, buffers in the file or in its text."""
    names = [name for name in ORDERS[order] if name.lower() != "tongueout"]
    columns = [index_of(name) for name in names]
    glb.mesh(_VERTICES, _FACES, small_fields[columns], names=names)
    head = load_gltf(glb.save(tmp_path / f"a{suffix}"), regions=small_regions)
    np.testing.assert_allclose(head.vertices, 1000 * _VERTICES)
    np.testing.assert_allclose(head.deltas[columns], 1000 * small_fields[columns], rtol=1e-5)
    np.testing.assert_array_equal(head.faces, _FACES)
    assert not head.deltas[index_of("tongueOut")].any()


@pytest.mark.parametrize(("store", "tolerance"), [("sparse", 1e-6), ("normalised", 1 / 32767)])
def test_compact_targets_are_read(
    tmp_path: Path,
    glb: Any,
    small_fields: np.ndarray,
    small_regions: Path,
    store: str,
    tolerance: float,
) -> None:
    """Exporters store morph targets sparse or as integers; taken raw they are zero or enormous."""
    fields = small_fields / np.abs(small_fields).max()
    fields[:, 2] = 0.0
    glb.mesh(_VERTICES, _FACES, fields, store=getattr(glb, store))
    head = load_gltf(glb.save(tmp_path / "a.glb"), regions=small_regions)
    np.testing.assert_allclose(head.deltas, 1000 * fields, atol=1000 * tolerance)


def test_meshes_are_joined_where_their_nodes_put_them(
    tmp_path: Path, glb: Any, small_fields: np.ndarray, small_regions: Path
) -> None:
    """Teeth hang below the head's node, with only the shapes that move them, maybe mirrored."""
    turn = Rotation.from_euler("xyz", [10, 20, 30], degrees=True)
    jaw = index_of("jawOpen")
    glb.mesh(
        _VERTICES,
        _FACES,
        small_fields,
        translation=[1.0, 2.0, 3.0],
        rotation=turn.as_quat().tolist(),
        scale=[1.0, 2.0, 1.0],
    )
    glb.mesh(_VERTICES, _FACES, small_fields[[jaw]], names=["jawOpen"], scale=[-1.0, 1.0, 1.0])
    outer = glb.lib.Node(children=[1], matrix=np.diag([2.0, 2, 2, 1]).ravel().tolist())
    glb.document.nodes.append(outer)
    glb.document.scenes[0].nodes = [0, 2]
    head = load_gltf(glb.save(tmp_path / "a.glb"), regions=small_regions)
    matrix = turn.as_matrix() * [1.0, 2.0, 1.0]
    np.testing.assert_allclose(
        head.vertices[:4], 1000 * (_VERTICES @ matrix.T + [1, 2, 3]), rtol=1e-5, atol=1e-3
    )
    moved = 1000 * small_fields @ matrix.T
    np.testing.assert_allclose(head.deltas[:, :4], moved, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(head.vertices[4:], 2000 * _VERTICES * [-1, 1, 1])
    mirrored = 2000 * small_fields[jaw] * [-1, 1, 1]
    np.testing.assert_allclose(head.deltas[jaw, 4:], mirrored, rtol=1e-5)
    assert np.count_nonzero(np.abs(head.deltas[:, 4:]).max(axis=(1, 2))) == 1
    np.testing.assert_array_equal(head.faces[4:], _FACES[:, ::-1] + 4)


def test_a_skin_replaces_its_nodes_transform(
    tmp_path: Path, glb: Any, small_fields: np.ndarray, small_regions: Path
) -> None:
    """Avatars hang on a skeleton; by their node alone they lie on the floor in centimetres."""
    inverse = np.eye(4)
    inverse[:3, 3] = [0, -1, 0]
    matrices = np.stack([np.eye(4), inverse]).transpose(0, 2, 1).reshape(2, 16)
    joints = glb.accessor(np.tile(np.array([[0, 1, 0, 0]], "<u1"), (4, 1)), 5121, "VEC4")
    shares = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.5, 0, 0], [1, 0, 0, 0]])
    glb.mesh(
        _VERTICES,
        _FACES,
        small_fields,
        attributes={"JOINTS_0": joints, "WEIGHTS_0": glb.floats(shares)},
        skin=0,
        translation=[9.0, 9.0, 9.0],
    )
    glb.document.nodes += [
        glb.lib.Node(translation=[0.0, 3.0, 0.0]),
        glb.lib.Node(scale=[2.0, 2.0, 2.0]),
    ]
    glb.document.scenes[0].nodes += [1, 2]
    glb.document.skins = [glb.lib.Skin(joints=[1, 2], inverseBindMatrices=glb.floats(matrices))]
    head = load_gltf(glb.save(tmp_path / "a.glb"), regions=small_regions)
    first, second = _VERTICES + np.array([0, 3, 0]), 2 * (_VERTICES - [0, 1, 0])
    expected = np.stack([first[0], second[1], (first[2] + second[2]) / 2, first[3]])
    np.testing.assert_allclose(head.vertices, 1000 * expected, atol=1e-3)
    grown = np.array([1, 2, 1.5, 1])[:, None] * small_fields
    np.testing.assert_allclose(head.deltas, 1000 * grown, rtol=1e-5)


def test_meshes_without_arkit_targets_are_left_out(
    tmp_path: Path, glb: Any, small_fields: np.ndarray, small_regions: Path
) -> None:
    """A body would be most of the head."""
    glb.mesh(_VERTICES, _FACES, small_fields[:2], names=["breathe", "flex"])
    glb.mesh(_VERTICES, _FACES, small_fields)
    glb.mesh(_VERTICES, _FACES, small_fields[:0], names=[])
    head = load_gltf(glb.save(tmp_path / "a.glb"), regions=small_regions)
    assert head.n_vertices == 4


def test_triangles_may_come_without_indices(
    tmp_path: Path, glb: Any, small_fields: np.ndarray, small_regions: Path
) -> None:
    """Then each three vertices are one; and a target may move nothing."""
    triangles, fields = _VERTICES[_FACES].reshape(-1, 3), small_fields[:, _FACES.ravel()]
    primitive = glb.mesh(triangles, _FACES, fields)
    primitive.indices = None
    primitive.targets[0].POSITION = None
    head = load_gltf(glb.save(tmp_path / "a.glb"), regions=small_regions)
    np.testing.assert_array_equal(head.faces, np.arange(12).reshape(4, 3))
    assert not head.deltas[0].any()


def test_regions_come_from_our_own_head(tmp_path: Path, glb: Any) -> None:
    """A file has none; a full avatar stands elsewhere than our head does."""
    own = load_head()
    glb.mesh(
        own.vertices / 1000, own.faces, own.deltas / 1000, store=None, translation=[0.0, 1.6, 0.0]
    )
    head = load_gltf(glb.save(tmp_path / "a.glb"))
    for name in ("lips", "eyes"):
        wanted = set(own.regions[name].tolist())
        assert len(wanted & set(head.regions[name].tolist())) > 0.85 * len(wanted)


def _draco(writer: Any, primitive: Any) -> None:
    primitive.extensions = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {}}}


def _meshopt(writer: Any, primitive: Any) -> None:
    writer.document.bufferViews[0].extensions = {"EXT_meshopt_compression": {}}


def _strip(writer: Any, primitive: Any) -> None:
    primitive.mode = 5


def _no_targets(writer: Any, primitive: Any) -> None:
    writer.document.meshes[0].extras = {}


def _few_names(writer: Any, primitive: Any) -> None:
    writer.document.meshes[0].extras["targetNames"].pop()


def _missing_shapes(writer: Any, primitive: Any) -> None:
    names = writer.document.meshes[0].extras["targetNames"]
    names[index_of("jawOpen")] = names[index_of("mouthLeft")] = "other"


def _bad_index(writer: Any, primitive: Any) -> None:
    bad = np.array([0, 1, 4], "<u4")
    primitive.indices = writer.accessor(bad, 5125, "SCALAR")


def _float_indices(writer: Any, primitive: Any) -> None:
    primitive.indices = writer.accessor(np.zeros(3, "<f4"), 5126, "SCALAR")


def _short_target(writer: Any, primitive: Any) -> None:
    primitive.targets[3].POSITION = writer.floats(np.zeros((3, 3)))


def _nan(writer: Any, primitive: Any) -> None:
    primitive.targets[3].POSITION = writer.floats(np.full((4, 3), np.nan))


def _flat_target(writer: Any, primitive: Any) -> None:
    primitive.targets[3].POSITION = writer.accessor(np.zeros(4, "<f4"), 5126, "SCALAR")


def _no_accessor(writer: Any, primitive: Any) -> None:
    primitive.attributes.POSITION = 999


def _past_the_end(writer: Any, primitive: Any) -> None:
    writer.document.accessors[0].count = 100_000


def _odd_type(writer: Any, primitive: Any) -> None:
    writer.document.accessors[0].type = "MAT2"


def _odd_component(writer: Any, primitive: Any) -> None:
    writer.document.accessors[0].componentType = 5130


def _sparse_beyond(writer: Any, primitive: Any) -> None:
    field = np.zeros((9, 3))
    field[8] = 1
    primitive.targets[0].POSITION = writer.sparse(field)
    writer.document.accessors[-1].count = 4


def _circle(writer: Any, primitive: Any) -> None:
    writer.document.nodes[0].children = [0]


def _no_view(writer: Any, primitive: Any) -> None:
    writer.document.accessors[0].bufferView = 999


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_draco, "must be a sound glTF file, got Draco-compressed meshes; save the file uncomp"),
        (_meshopt, "got meshopt-compressed buffers; save the file uncompressed"),
        (_strip, "got a mesh that is no list of triangles (mode 5)"),
        (_no_targets, "must name ARKit shapes in `extras.targetNames`, got no mesh with such"),
        (_few_names, "must name ARKit shapes in `extras.targetNames`, got no mesh with such"),
        (_missing_shapes, "must hold a target for each ARKit shape, got none for jawOpen, mouthL"),
        (_bad_index, "got 3 corners of triangles among 4 vertices"),
        (_float_indices, "got float32 (3, 1) where integers are needed"),
        (_short_target, "got a target of 3 vertices where its mesh has 4"),
        (_nan, "got numbers that are nan or infinite"),
        (_flat_target, "got 1 columns where 3 are needed"),
        (_no_accessor, "got no accessor 999"),
        (_past_the_end, "got 100000 rows beyond the end of their buffer"),
        (_odd_type, "got an accessor of type MAT2"),
        (_odd_component, "got a component type 5130"),
        (_sparse_beyond, "got a sparse value at 8 of 4"),
        (_circle, "got node 0, which is missing or reached twice"),
        (_no_view, "got no buffer view 999"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path,
    glb: Any,
    small_fields: np.ndarray,
    small_regions: Path,
    damage: Any,
    message: str,
) -> None:
    """Each in one line that says what to change in the exporter."""
    damage(glb, glb.mesh(_VERTICES, _FACES, small_fields))
    path = glb.save(tmp_path / "a.glb")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_gltf(path, regions=small_regions)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_buffer_is_refused(
    tmp_path: Path, glb: Any, small_fields: np.ndarray, small_regions: Path
) -> None:
    """A `.gltf` moved without its `.bin`."""
    glb.mesh(_VERTICES, _FACES, small_fields)
    path = glb.save(tmp_path / "a.gltf")
    text = path.read_text()
    path.write_text(re.sub(r"data:application/octet-stream;base64,[^\"]*", "gone.bin", text))
    with pytest.raises(InputError, match=r"must be a sound glTF file, got .*gone\.bin"):
        load_gltf(path, regions=small_regions)


@pytest.mark.parametrize("content", [b"", b"glTF", b"glTF" + bytes(40), b"hello" * 9])
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    """The library itself raises half a dozen kinds of error."""
    pytest.importorskip("pygltflib")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a sound glTF file, got ")):
        load_gltf(path)


def test_a_truncated_file_is_refused(tmp_path: Path, glb: Any, small_fields: np.ndarray) -> None:
    """At every length: in the header, in the text and in the numbers."""
    glb.mesh(_VERTICES, _FACES, small_fields)
    path = glb.save(tmp_path / "a.glb")
    whole = path.read_bytes()
    for length in (10, 30, 5000, len(whole) - 2000):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="must be a sound glTF file"):
            load_gltf(path)


def test_reading_needs_no_library(
    tmp_path: Path,
    glb: Any,
    small_fields: np.ndarray,
    small_regions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The writer of these tests checks nothing when it reads, and takes seconds for an avatar."""
    glb.mesh(_VERTICES, _FACES, small_fields)
    path = glb.save(tmp_path / "a.glb")
    monkeypatch.setitem(sys.modules, "pygltflib", None)
    assert load_gltf(path, regions=small_regions).n_vertices == 4
