"""`Head`: a blendshape mesh of the 52 ARKit shapes, and the procedural one that ships with us."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, BoolArray, FloatArray, IntArray
from esarm_env.face import surface
from esarm_env.face.geometry import Anatomy, Kind, join
from esarm_env.face.parts import build_parts
from esarm_env.face.shapes import build_deltas
from esarm_env.face.skin import build_skin

REQUIRED_REGIONS = ("lips", "eyes", "forehead")

# Smaller displacements are set to 0: they cost time and show on no screen and in no metric.
_SMALLEST_DELTA_MM = 0.01


@dataclass(frozen=True, eq=False)
class Head:
    """Blendshape mesh: a triangle mesh with one displacement field per ARKit shape.

    Attributes:
        vertices: Shape (V, 3), float32, at rest, in mm: x to the subject's left, y up, z forward.
        faces: Shape (F, 3), int32, counter-clockwise seen from outside.
        deltas: Shape (52, V, 3), float32, displacement at weight 1 in mm, alphabetical order.
        regions: Vertex indices by name, int64, ascending; "lips", "eyes" and "forehead" at least.
    """

    vertices: FloatArray
    faces: npt.NDArray[np.int32]
    deltas: FloatArray
    regions: dict[str, IntArray]

    def __post_init__(self) -> None:
        """Check shapes, types and indices."""
        n = len(self.vertices)
        for name, shape in (("vertices", (n, 3)), ("deltas", (N_CHANNELS, n, 3))):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                got = f"{array.dtype} {array.shape}"
                raise InputError(f"`{name}` must be float32 of shape {shape}, got {got}")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or self.faces.dtype != np.int32:
            got = f"{self.faces.dtype} {self.faces.shape}"
            raise InputError(f"`faces` must be int32 of shape (F, 3), got {got}")
        _check_indices("faces", self.faces, n)
        missing = [name for name in REQUIRED_REGIONS if name not in self.regions]
        if missing:
            raise InputError(f"`regions` must hold {REQUIRED_REGIONS}, got none called {missing}")
        for name, region in self.regions.items():
            _check_region(name, region, n)

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return len(self.vertices)

    @property
    def upper(self) -> IntArray:
        """Vertices of the upper face: eyes and forehead, ascending, each once."""
        return np.union1d(self.regions["eyes"], self.regions["forehead"])

    def apply(self, motion: npt.ArrayLike) -> FloatArray:
        """Return the vertices displaced by coefficients (linear blendshapes).

        Args:
            motion: Shape (..., 52), alphabetical order.

        Returns:
            Shape (..., V, 3), float32, in mm.

        Raises:
            InputError: If the last axis is not 52 long.
        """
        weights = np.asarray(motion, dtype=np.float32)
        if weights.ndim == 0 or weights.shape[-1] != N_CHANNELS:
            raise InputError(f"`motion` must have shape (..., {N_CHANNELS}), got {weights.shape}")
        moved = weights @ self.deltas.reshape(N_CHANNELS, -1)  # (..., V * 3)
        return np.asarray(moved.reshape(*weights.shape[:-1], -1, 3) + self.vertices)


def _check_indices(name: str, indices: npt.NDArray[np.integer], n_vertices: int) -> None:
    """Refuse indices of vertices that do not exist."""
    if indices.size and (indices.min() < 0 or indices.max() >= n_vertices):
        got = f"{indices.min()}..{indices.max()}"
        raise InputError(f"`{name}` must index the {n_vertices} vertices, got {got}")


def _check_region(name: str, region: IntArray, n_vertices: int) -> None:
    """Refuse a region that is not an ascending list of existing vertices."""
    if region.ndim != 1 or region.dtype != np.int64 or np.any(np.diff(region) <= 0):
        got = f"{region.dtype} {region.shape}"
        raise InputError(f"`regions[{name!r}]` must be ascending int64 of shape (n,), got {got}")
    _check_indices(f"regions[{name!r}]", region, n_vertices)


def _around_eyes(anatomy: Anatomy) -> BoolArray:
    """Return the lids and the skin round the eye sockets."""
    x, y, z = anatomy.position.T
    across = (np.abs(x) - surface.EYE_CENTRE[0]) / 23.0
    up = (y - surface.EYE_CENTRE[1] + 3.0) / 15.0
    near = (np.hypot(across, up) < 1.0) & (z > 40.0) & anatomy.of(Kind.SKIN)
    return np.asarray(near | anatomy.of(Kind.LID_EDGE))


def _nostrils(anatomy: Anatomy) -> BoolArray:
    """Return the skin at the mouths of the nostrils."""
    x, y, z = anatomy.position.T
    near = np.hypot((np.abs(x) - 6.5) / 3.6, (y + 15.0) / 2.2) < 1.0
    return np.asarray(near & (z > 60.0) & anatomy.of(Kind.SKIN))


def _lashes(anatomy: Anatomy) -> BoolArray:
    """Return the rims and edges of the upper lids."""
    x, _, z = anatomy.position.T
    in_slit = (anatomy.row == surface.EYE_HEIGHT) & (np.abs(surface.eye_across(x)) < 0.97)
    lid = anatomy.of(Kind.LID_EDGE) | (in_slit & (z > 60.0) & anatomy.of(Kind.SKIN))
    return np.asarray(lid & ~anatomy.under)


def _regions(anatomy: Anatomy) -> dict[str, IntArray]:
    """Return the regions the metrics need and the parts a renderer paints."""
    _, y, z = anatomy.position.T
    eyes = _around_eyes(anatomy)
    forehead = anatomy.of(Kind.SKIN, Kind.HAIR) & (y > 47.0) & (y < 100.0) & (z > 50.0) & ~eyes
    masks = {
        "lips": anatomy.of(Kind.LIP, Kind.INNER_LIP),
        "eyes": eyes,
        "forehead": forehead | anatomy.of(Kind.BROW),
        "brows": anatomy.of(Kind.BROW),
        "hair": anatomy.of(Kind.HAIR),
        "lashes": _lashes(anatomy),
        "nostrils": _nostrils(anatomy),
        "ears": anatomy.of(Kind.EAR),
        "eyeballs": anatomy.of(Kind.EYEBALL, Kind.IRIS, Kind.PUPIL),
        "iris": anatomy.of(Kind.IRIS, Kind.PUPIL),
        "pupils": anatomy.of(Kind.PUPIL),
        "mouth_inside": anatomy.of(Kind.INNER_LIP, Kind.MOUTH),
        "teeth": anatomy.of(Kind.UPPER_TEETH, Kind.LOWER_TEETH),
        "tongue": anatomy.of(Kind.TONGUE),
    }
    return {name: np.flatnonzero(mask).astype(np.int64) for name, mask in masks.items()}


@functools.cache
def load_head() -> Head:
    """Return the package's own head, built by formulas; its arrays are read-only.

    The regions beyond `REQUIRED_REGIONS` ("hair", "iris", ...) are what `esarm_env.face.render`
    paints.
    """
    anatomy = join([build_skin(), build_parts()])
    deltas = build_deltas(anatomy)
    deltas[np.linalg.norm(deltas, axis=-1) < _SMALLEST_DELTA_MM] = 0.0
    regions = _regions(anatomy)
    head = Head(
        anatomy.position.astype(np.float32),
        anatomy.faces.astype(np.int32),
        deltas.astype(np.float32),
        regions,
    )
    arrays: list[npt.NDArray[Any]] = [head.vertices, head.faces, head.deltas, *regions.values()]
    for array in arrays:
        array.setflags(write=False)
    return head
