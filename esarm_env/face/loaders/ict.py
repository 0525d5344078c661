"""ICT-FaceKit loader (MIT): the repository's folder, or its face with all shapes in one `.npz`.

Li et al. 2020, "Learning Formation of Physically-Based Face Attributes", arXiv:2004.03458. Files
and axes as in github.com/ICT-VGL/ICT-FaceKit: centimetres, y up, z forward, x to the left.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, one_line
from esarm_env.face.loaders.array_files import as_faces, as_points, need, read_arrays
from esarm_env.face.loaders.targets import (
    MOST_VERTICES,
    build_head,
    collect_fields,
    need_all_shapes,
    shape_of,
)

if TYPE_CHECKING:
    from esarm_env.face.head import Head
    from esarm_env.face.loaders.plain_pickle import AnyArray
    from esarm_env.face.loaders.surfaces import Faces, Points

NPZ_ARRAYS = ("vertices", "faces", "deltas", "names")
NEUTRAL_FILE = "generic_neutral_mesh.obj"

_MM_PER_CM = 10.0
_MODEL_FOLDER = "FaceXModel"
# The README's table: from vertex 24591 on come the fluid, occlusion and lash meshes round the eyes,
# which are transparent and would hide them.
_N_ALL, _N_OPAQUE = 26719, 24591
_MOST_SHAPES = 10_000


def load_ict_arrays(path: Path, *, regions: Path | None = None) -> Head:
    """Load the `.npz` form.

    Args:
        path: Holds `vertices` (V, 3), `faces` (F, 3), `deltas` (n, V, 3) in cm and `names` (n,).
        regions: See `read_regions`; None to carry our own over.

    Raises:
        InputError: If an array is missing or does not fit, or a shape is missing.
    """
    arrays = read_arrays(path)
    need(arrays, NPZ_ARRAYS, path=path)
    vertices = as_points(arrays["vertices"], (None, 3), name="vertices", path=path)
    n_vertices, names = len(vertices), _as_names(arrays["names"], path=path)
    faces = as_faces(arrays["faces"], n_vertices, name="faces", path=path)
    shape = (len(names), n_vertices, 3)
    fields = as_points(arrays["deltas"], shape, name="deltas", path=path)
    return _head(vertices, faces, names, fields, regions=regions, source=path)


def _as_names(array: AnyArray, *, path: Path) -> list[str]:
    """Return the names of the shapes."""
    if array.ndim != 1 or array.dtype.kind != "U" or len(array) > _MOST_SHAPES:
        got = f"{array.dtype} {array.shape}"
        raise InputError(f"{path}: `names` must be text of shape (n,), got {got}")
    return [str(name) for name in array]


def _head(
    vertices_cm: Points,
    faces: Faces,
    names: list[str],
    fields_cm: Iterable[Points],
    *,
    regions: Path | None,
    source: Path,
) -> Head:
    """Return the head in millimetres."""
    try:
        deltas, found = collect_fields(names, (_MM_PER_CM * field for field in fields_cm))
    except InputError as error:
        if str(error).startswith(str(source)):
            raise
        raise InputError(f"{source}: {error}") from error
    need_all_shapes(found, source=str(source))
    return build_head(_MM_PER_CM * vertices_cm, faces, deltas, regions=regions, source=source)


def model_folder(path: Path) -> Path | None:
    """Return the folder with the meshes, `path` itself or in it; None if there is none."""
    for folder in (path, path / _MODEL_FOLDER):
        if (folder / NEUTRAL_FILE).is_file():
            return folder
    return None


def load_ict_folder(path: Path, *, regions: Path | None = None) -> Head:
    """Load the repository's folder: the neutral mesh and one OBJ file per shape.

    Args:
        path: The repository or its folder `FaceXModel`.
        regions: See `read_regions`; None to carry our own over.

    Raises:
        InputError: If a file is damaged, or a shape is missing.
    """
    folder = model_folder(path)
    if folder is None:
        got = f"{path} without it"
        raise InputError(f"`path` must be an ICT-FaceKit folder with {NEUTRAL_FILE}, got {got}")
    vertices, faces = _read_obj(folder / NEUTRAL_FILE)
    files = [file for file in sorted(folder.glob("*.obj")) if shape_of(file.stem)]
    names = [file.stem for file in files]
    rest, n_opaque = vertices, _N_OPAQUE if len(vertices) == _N_ALL else len(vertices)
    fields = (_field(file, rest)[:n_opaque] for file in files)
    faces = faces[(faces < n_opaque).all(axis=1)]
    return _head(vertices[:n_opaque], faces, names, fields, regions=regions, source=path)


def _field(path: Path, rest: Points) -> Points:
    """Return how far each vertex of an OBJ file is from the neutral mesh."""
    moved = _read_obj_vertices(path)
    if moved.shape != rest.shape:
        got = f"{len(moved)}"
        raise InputError(f"{path}: must have {len(rest)} vertices as {NEUTRAL_FILE}, got {got}")
    return moved - rest


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: must be a readable file, got {error.strerror}") from error


def _parse_vertices(lines: list[str], *, path: Path) -> Points:
    """Return the vertices in the order of the file."""
    rows = [line.split(maxsplit=4)[1:4] for line in lines if line.startswith("v ")]
    if len(rows) > MOST_VERTICES:
        raise InputError(f"{path}: must have at most {MOST_VERTICES} vertices, got {len(rows)}")
    try:
        return as_points(np.array(rows, np.float64), (None, 3), name="v", path=path)
    except ValueError as error:
        rule = "must have lines `v x y z`"
        raise InputError(f"{path}: {rule}, got others or none ({one_line(error)})") from error


def _read_obj_vertices(path: Path) -> Points:
    """Read only the vertices of an OBJ file."""
    return _parse_vertices(_lines(path), path=path)


def _read_obj(path: Path) -> tuple[Points, Faces]:
    """Read the vertices and polygons of an OBJ file, polygons cut into fans.

    Mesh libraries split vertices along texture seams; the shapes need them as they are numbered.
    """
    lines = _lines(path)
    vertices = _parse_vertices(lines, path=path)
    fans = []
    try:
        for line in lines:
            if line.startswith("f "):
                corners = [int(corner.partition("/")[0]) - 1 for corner in line.split()[1:]]
                fans += [(corners[0], *pair) for pair in itertools.pairwise(corners[1:])]
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{path}: must have lines `f 1 2 3`, got others ({one_line(error)})"
        ) from error
    triangles = np.array(fans, np.int64).reshape(-1, 3)
    return vertices, as_faces(triangles, len(vertices), name="f", path=path)
