"""FLAME's expression components and jaw, from the user's own file.

Li et al. 2017, "Learning a model of facial shape and expression from 4D scans", ACM TOG 36(6). The
files are FLAME's, under its licence, and are never part of this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esarm_env.errors import InputError
from esarm_env.face.loaders.array_files import as_faces, as_points, need, read_arrays
from esarm_env.face.loaders.surfaces import Faces, Points

ARRAYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights")

# Joints: neck's root, neck, jaw, left eye, right eye.
_N_JOINTS, _JAW = 5, 2
# Shape components before the expression's, by their common number: all of FLAME 2020's, or the
# first 100 and 50 that smaller files keep.
_N_SHAPES = {400: 300, 150: 100}


@dataclass(frozen=True, eq=False)
class FlameModel:
    """What moves FLAME's mean face.

    Attributes:
        template: Shape (V, 3), in m, y up, z forward.
        faces: Shape (F, 3).
        expressions: Shape (V, 3, E), in m per standard deviation.
        jaw: Shape (V, 3, 9), in m: displacement by each element of R - 1 (row by row), R the
            jaw's rotation matrix; skinning about the jaw's joint and the pose correctives.
        eyes: Shape (2, 3), centres of the left and right eyeball in m.
    """

    template: Points
    faces: Faces
    expressions: Points
    jaw: Points
    eyes: Points


def read_flame(path: Path) -> FlameModel:
    """Read a FLAME file, `.pkl` as published or `.npz` with the same names.

    Args:
        path: Holds v_template (V, 3) in m, f (F, 3), shapedirs (V, 3, 400 or 150), posedirs
            (V, 3, 36), J_regressor (5, V) and weights (V, 5).

    Raises:
        InputError: If the file is damaged, names classes that no array needs, or an array is
            missing or does not fit.
    """
    arrays = read_arrays(path)
    need(arrays, ARRAYS, path=path)
    template = as_points(arrays["v_template"], (None, 3), name="v_template", path=path)
    n = len(template)
    shapes = as_points(arrays["shapedirs"], (n, 3, None), name="shapedirs", path=path)
    posedirs = as_points(
        arrays["posedirs"], (n, 3, 9 * (_N_JOINTS - 1)), name="posedirs", path=path
    )
    regressor = as_points(arrays["J_regressor"], (_N_JOINTS, n), name="J_regressor", path=path)
    weights = as_points(arrays["weights"], (n, _N_JOINTS), name="weights", path=path)
    if shapes.shape[2] not in _N_SHAPES:
        got = shapes.shape[2]
        raise InputError(f"{path}: `shapedirs` must have 400 or 150 components, got {got}")
    joints = regressor @ template  # (5, 3)
    if np.linalg.norm(joints[3] - joints[4]) == 0:
        got = f"both eyes at {joints[3]}"
        raise InputError(f"{path}: `J_regressor` must tell the eyes apart, got {got}")
    return FlameModel(
        template,
        as_faces(arrays["f"], n, name="f", path=path),
        shapes[:, :, _N_SHAPES[shapes.shape[2]] :],
        _jaw_fields(template - joints[_JAW], weights[:, _JAW], posedirs),
        joints[3:],
    )


def _jaw_fields(arms: Points, weights: Points, posedirs: Points) -> Points:
    """Return the displacement by each element of R - 1.

    Skinning moves a vertex by weight * (R - 1) @ arm. The root has no pose correctives, so that the
    jaw's are the second nine.
    """
    fields = posedirs[:, :, 9 * (_JAW - 1) : 9 * _JAW].copy()
    for axis in range(3):
        fields[:, axis, 3 * axis : 3 * axis + 3] += weights[:, None] * arms
    return fields


def rotation_matrix(vector: Points) -> Points:
    """Return the rotation matrix (3, 3) of an axis-angle vector (3,) in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    # np.sinc(t) is sin(pi t) / (pi t), and 1 at rest.
    sine, cosine = np.sinc(angle / np.pi), np.sinc(angle / (2 * np.pi)) ** 2 / 2
    return np.asarray(np.eye(3) + sine * cross + cosine * cross @ cross)
