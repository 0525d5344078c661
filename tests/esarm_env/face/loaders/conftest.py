"""Miniature files of other people's heads, written anew for each test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from esarm_env.face import ARKIT_NAMES, load_head


@pytest.fixture
def small_regions(tmp_path: Path) -> Path:
    """Return a region file for meshes of four vertices or more."""
    path = tmp_path / "regions.npz"
    np.savez(path, lips=[1, 0], eyes=[2], forehead=[3])
    return path


@pytest.fixture
def small_fields() -> np.ndarray:
    """Return one field per ARKit shape for the tetrahedron, all different, (52, 4, 3)."""
    return np.random.default_rng(0).normal(size=(52, 4, 3)).round(3)


class GlbWriter:
    """Collects meshes and writes them with pygltflib."""

    def __init__(self) -> None:
        import pygltflib

        self.lib = pygltflib
        self.document = pygltflib.GLTF2(scene=0, scenes=[pygltflib.Scene(nodes=[])])
        self.document.buffers = [pygltflib.Buffer(byteLength=0)]
        self.blob = bytearray()

    def view(self, array: np.ndarray) -> int:
        """Add raw bytes."""
        self.blob.extend(b"\0" * (-len(self.blob) % 4))
        view = self.lib.BufferView(buffer=0, byteOffset=len(self.blob), byteLength=array.nbytes)
        self.document.bufferViews.append(view)
        self.blob.extend(array.tobytes())
        return len(self.document.bufferViews) - 1

    def accessor(self, array: np.ndarray, component: int, kind: str, **more: Any) -> int:
        """Add a plain accessor."""
        view = None if array.size == 0 else self.view(array)
        count = more.pop("count", len(array))
        accessor = self.lib.Accessor(
            bufferView=view, componentType=component, count=count, type=kind, **more
        )
        self.document.accessors.append(accessor)
        return len(self.document.accessors) - 1

    def floats(self, array: np.ndarray) -> int:
        """Add vectors as float32."""
        kind = {3: "VEC3", 4: "VEC4", 16: "MAT4"}[array.shape[1]]
        return self.accessor(np.asarray(array, "<f4"), 5126, kind)

    def sparse(self, array: np.ndarray) -> int:
        """Add vectors of which only those that are not zero are stored."""
        rows = np.flatnonzero(np.abs(array).max(axis=1)).astype("<u2")
        lib = self.lib
        sparse = lib.Sparse(
            count=len(rows),
            indices=lib.AccessorSparseIndices(bufferView=self.view(rows), componentType=5123),
            values=lib.AccessorSparseValues(bufferView=self.view(array[rows].astype("<f4"))),
        )
        return self.accessor(np.empty(0), 5126, "VEC3", count=len(array), sparse=sparse)

    def normalised(self, array: np.ndarray) -> int:
        """Add vectors in [-1, 1] as normalised 16-bit integers."""
        # Rows are padded to 8 bytes, as the format wants its vertices aligned.
        padded = np.zeros((len(array), 4), "<i2")
        padded[:, :3] = np.rint(array * 32767)
        accessor = self.accessor(padded, 5122, "VEC3", normalized=True)
        self.document.bufferViews[-1].byteStride = 8
        return accessor

    def mesh(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        fields: np.ndarray,
        *,
        names: Sequence[str] = ARKIT_NAMES,
        store: Callable[[np.ndarray], int] | None = None,
        attributes: dict[str, int] | None = None,
        **node: Any,
    ) -> Any:
        """Add a mesh with its node to the scene and return the primitive."""
        lib, add = self.lib, store or self.floats
        primitive = lib.Primitive(
            attributes=lib.Attributes(POSITION=self.floats(vertices), **(attributes or {})),
            indices=self.accessor(np.asarray(faces, "<u4").ravel(), 5125, "SCALAR"),
            targets=[lib.Attributes(POSITION=add(field)) for field in fields],
        )
        extras = {"targetNames": list(names)}
        self.document.meshes.append(lib.Mesh(primitives=[primitive], extras=extras))
        self.document.nodes.append(lib.Node(mesh=len(self.document.meshes) - 1, **node))
        self.document.scenes[0].nodes.append(len(self.document.nodes) - 1)
        return primitive

    def save(self, path: Path) -> Path:
        """Write `.glb`, or `.gltf` with its buffer as a data URI."""
        self.document.buffers[0].byteLength = len(self.blob)
        self.document.set_binary_blob(bytes(self.blob))
        if path.suffix == ".gltf":
            self.document.convert_buffers(self.lib.BufferFormat.DATAURI)
        self.document.save(path)
        return path


@pytest.fixture
def glb() -> GlbWriter:
    """Return an empty file to put meshes into; skips where pygltflib is not installed."""
    pytest.importorskip("pygltflib")
    return GlbWriter()


class FlameMaker:
    """Plays FLAME with our own head in another place, size and direction.

    Attributes:
        turn: Shape (3, 3).
        scale: How much larger than ours.
        jaw: Shape (3,), the jaw's joint on our head in mm.
        bound: Shape (V,), how much each vertex follows the jaw.
    """

    turn = Rotation.from_euler("xyz", [6, 3, -2], degrees=True).as_matrix()
    scale = 1.15
    jaw = np.array([0.0, 5.0, 10.0])

    def __init__(self) -> None:
        self.head = load_head()
        self.vertices = self.head.vertices.astype(np.float64)
        self.bound = np.clip((-self.vertices[:, 1] - 35) / 10, 0, 1) * (self.vertices[:, 2] > 0)

    def metres(self, vectors_mm: np.ndarray) -> np.ndarray:
        """Return vectors of ours as they are there."""
        return vectors_mm @ self.turn.T * (self.scale / 1000)

    def arrays(self, expressions_mm: np.ndarray) -> dict[str, np.ndarray]:
        """Return arrays as in a FLAME file with expression components (50, V, 3)."""
        balls = self.vertices[self.head.regions["eyeballs"]]
        eyes = [balls[side].mean(axis=0) for side in (balls[:, 0] > 0, balls[:, 0] < 0)]
        joints = np.array([[0, -90, 0], [0, -60, 0], self.jaw, *eyes])
        weights = np.zeros((len(self.vertices), 5))
        weights[:, 1], weights[:, 2] = 1 - self.bound, self.bound
        shapes = np.zeros((len(self.vertices), 3, 150))
        shapes[:, :, 100:] = self.metres(expressions_mm).transpose(1, 2, 0)
        return {
            "v_template": self.metres(self.vertices) + np.array([0.01, -0.03, 0.02]),
            "f": self.head.faces.astype(np.uint32),
            "shapedirs": shapes,
            "posedirs": np.zeros((len(self.vertices), 3, 36)),
            "J_regressor": self._regressor(joints),
            "weights": weights,
        }

    def _regressor(self, points: np.ndarray) -> np.ndarray:
        """Return weights (len(points), V) whose sums over vertices give the points."""
        chosen = np.linspace(0, len(self.vertices) - 1, 40).astype(int)
        system = np.vstack([self.vertices[chosen].T, np.ones(len(chosen))])
        rows = np.zeros((len(points), len(self.vertices)))
        for row, point in zip(rows, points, strict=True):
            row[chosen] = np.linalg.lstsq(system, np.append(point, 1.0), rcond=None)[0]
        return rows

    def mixtures(self) -> np.ndarray:
        """Return 48 random orthonormal mixtures of our shapes and 2 smooth others, (50, V, 3)."""
        rng = np.random.default_rng(0)
        fields = self.head.deltas.reshape(52, -1).astype(np.float64)
        own = np.linalg.svd(fields, full_matrices=False)[2][:48]
        own = np.linalg.qr(rng.normal(size=(48, 48)))[0] @ own
        waves = np.cos(self.vertices @ rng.normal(size=(3, 2)) / 40).T  # (2, V)
        other = (waves[:, :, None] * rng.normal(size=(2, 1, 3))).reshape(2, -1)
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        mean_mm = np.sqrt(len(self.vertices))  # makes each move the head by 1 mm on average
        return (mean_mm * np.concatenate([own, other])).reshape(50, -1, 3)


@pytest.fixture(scope="session")
def flame_maker() -> FlameMaker:
    """Return the maker of FLAME-like arrays."""
    return FlameMaker()


@pytest.fixture(scope="session")
def flame_file(tmp_path_factory: pytest.TempPathFactory, flame_maker: FlameMaker) -> Path:
    """Return a FLAME-like `.npz` whose expressions are mixtures of our shapes."""
    path = tmp_path_factory.mktemp("flame") / "flame.npz"
    np.savez(path, **flame_maker.arrays(flame_maker.mixtures()))
    return path
