"""Exporter `glb`: head, its 52 morph targets by ARKit name and their animation (glTF 2.0).

Targets are sparse (a shape moves a fifth of the face at most), and weights are 16-bit as the
specification allows animations to be (sections 3.6.2.3 and 3.11): a clip of 10 s takes 2 MB at most
with our head, and no extension is asked of the reader.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import MissingExtraError
from esarm_env.face.exporters.clip import at_rate, check_motion
from esarm_env.face.exporters.meshes import shown_mesh
from esarm_env.face.exporters.registry import Exporter
from esarm_env.face.names import ARKIT_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import FloatArray
    from esarm_env.face.exporters.clip import Sound
    from esarm_env.face.exporters.meshes import Shape, ShownMesh
    from esarm_env.face.head import Head

_VERTEX_DATA, _CORNERS = 34962, 34963  # what a buffer view is for: ARRAY_BUFFER, ELEMENT_ARRAY_...
_COMPONENTS = {"<u2": 5123, "<u4": 5125, "<f4": 5126}
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
_MOST_SHORT = 65_535  # the last index of 16 bits ends a strip of triangles
_GENERATOR = "esarm"


def need_pygltflib() -> Any:
    """Return the module `pygltflib`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        return importlib.import_module("pygltflib")
    except ImportError as error:
        raise MissingExtraError("pygltflib", extra="heads", purpose="A .glb file") from error


def _index_type(n_vertices: int) -> str:
    return "<u2" if n_vertices < _MOST_SHORT else "<u4"


class _Document:
    """A glTF document that grows, and its one buffer."""

    def __init__(self, lib: Any) -> None:
        self.lib = lib
        self.gltf = lib.GLTF2(scene=0, asset=lib.Asset(version="2.0", generator=_GENERATOR))
        self._blob = bytearray()

    def view(self, array: npt.NDArray[Any], target: int | None = None) -> int:
        """Add an array's bytes to the buffer and return the number of their view."""
        self._blob.extend(b"\0" * (-len(self._blob) % 4))
        view = self.lib.BufferView(
            buffer=0, byteOffset=len(self._blob), byteLength=array.nbytes, target=target
        )
        self._blob.extend(array.tobytes())
        self.gltf.bufferViews.append(view)
        return len(self.gltf.bufferViews) - 1

    def accessor(
        self,
        values: npt.NDArray[Any],
        dtype: str,
        *,
        target: int | None = None,
        bounded: bool = False,
        normalised: bool = False,
    ) -> int:
        """Add values (n,) or (n, width) and return the number of their accessor."""
        array = np.ascontiguousarray(values, dtype=dtype)
        width = 1 if array.ndim == 1 else array.shape[1]
        accessor = self.lib.Accessor(
            bufferView=self.view(array, target),
            componentType=_COMPONENTS[dtype],
            count=len(array),
            type=_KINDS[width],
            normalized=normalised,
        )
        if bounded:
            rows = array.reshape(len(array), width)
            accessor.min, accessor.max = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1

    def sparse(self, rows: int | None, values: FloatArray, *, n_rows: int, bounded: bool) -> int:
        """Add vectors (n, 3) that stand in `n_rows` rows of zeros; `rows` is the view of where."""
        lib = self.lib
        accessor = lib.Accessor(
            byteOffset=None, componentType=_COMPONENTS["<f4"], count=n_rows, type="VEC3"
        )  # an offset into no view is against the specification
        if rows is not None:
            kind = _COMPONENTS[_index_type(n_rows)]
            array = np.ascontiguousarray(values, dtype="<f4")
            accessor.sparse = lib.Sparse(
                count=len(array),
                indices=lib.AccessorSparseIndices(bufferView=rows, componentType=kind),
                values=lib.AccessorSparseValues(bufferView=self.view(array)),
            )
        if bounded:
            ends = np.concatenate([values, np.zeros((1, 3))]) if len(values) < n_rows else values
            accessor.min = ends.min(axis=0).astype(np.float32).tolist()
            accessor.max = ends.max(axis=0).astype(np.float32).tolist()
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1

    def save(self, path: Path) -> None:
        """Write the `.glb` file."""
        self.gltf.buffers = [self.lib.Buffer(byteLength=len(self._blob))]
        self.gltf.set_binary_blob(bytes(self._blob))
        path.write_bytes(b"".join(self.gltf.save_to_bytes()))


def _add_mesh(document: _Document, mesh: ShownMesh, name: str) -> None:
    """Add the head as mesh 0 on node 0 of the scene."""
    lib, gltf = document.lib, document.gltf
    opaque = np.column_stack([mesh.colours, np.ones(len(mesh.colours))])
    at = _VERTEX_DATA
    primitive = lib.Primitive(
        attributes=lib.Attributes(
            POSITION=document.accessor(mesh.vertices, "<f4", target=at, bounded=True),
            NORMAL=document.accessor(mesh.normals, "<f4", target=at),
            COLOR_0=document.accessor(
                np.rint(opaque * _MOST_SHORT), "<u2", target=at, normalised=True
            ),
        ),
        indices=document.accessor(
            mesh.faces.reshape(-1), _index_type(len(mesh.vertices)), target=_CORNERS
        ),
        material=0,
        targets=[_target(document, shape, len(mesh.vertices)) for shape in mesh.shapes],
    )
    matt = lib.PbrMetallicRoughness(
        baseColorFactor=[1.0, 1.0, 1.0, 1.0], metallicFactor=0.0, roughnessFactor=0.65
    )
    gltf.materials.append(lib.Material(name="head", pbrMetallicRoughness=matt, doubleSided=True))
    names = list(ARKIT_NAMES)
    gltf.meshes.append(
        lib.Mesh(
            name="head",
            primitives=[primitive],
            weights=[0.0] * len(names),
            extras={"targetNames": names},
        )
    )
    gltf.nodes.append(lib.Node(name=name, mesh=0))
    gltf.scenes.append(lib.Scene(nodes=[0]))


def _target(document: _Document, shape: Shape, n_vertices: int) -> Any:
    rows = None
    if len(shape.rows):
        rows = document.view(shape.rows.astype(_index_type(n_vertices)))
    return document.lib.Attributes(
        POSITION=document.sparse(rows, shape.offsets, n_rows=n_vertices, bounded=True),
        NORMAL=document.sparse(rows, shape.turns, n_rows=n_vertices, bounded=False),
    )


def _add_animation(
    document: _Document, motion: FloatArray, *, rate_hz: int, name: str, speech: Sound | None
) -> None:
    """Add the weights' animation, and in its extras what no track says: rate and sound."""
    lib = document.lib
    times = np.arange(len(motion)) / rate_hz
    weights = np.rint(motion.reshape(-1) * _MOST_SHORT)
    sampler = lib.AnimationSampler(
        input=document.accessor(times, "<f4", bounded=True),
        output=document.accessor(weights, "<u2", normalised=True),
        interpolation="LINEAR",
    )
    target = lib.AnimationChannelTarget(node=0, path="weights")
    extras: dict[str, Any] = {"fps": rate_hz, "frames": len(motion)}
    if speech is not None:
        extras["audio"] = {
            "file": speech.name,
            "offset_s": 0.0,  # when its first sample is heard, in seconds of this animation
            "duration_s": round(speech.duration_s, 6),
        }
    channel = lib.AnimationChannel(sampler=0, target=target)
    document.gltf.animations.append(
        lib.Animation(name=name, samplers=[sampler], channels=[channel], extras=extras)
    )


def _write(
    path: Path,
    motion: FloatArray,
    *,
    rate_hz: int,
    head: Head,
    speech: Sound | None = None,
    name: str = "",
) -> None:
    values = at_rate(check_motion(motion, rate_hz=rate_hz), rate_hz)
    document = _Document(need_pygltflib())
    _add_mesh(document, shown_mesh(head), name or "head")
    _add_animation(document, values, rate_hz=rate_hz, name=name or "clip", speech=speech)
    document.save(path)


GLB = Exporter(
    ".glb",
    _write,
    "glTF 2.0 with a head, 52 morph targets by ARKit name and their animation (extra heads).",
    needs=need_pygltflib,
)
