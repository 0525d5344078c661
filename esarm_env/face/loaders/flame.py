"""FLAME loader: FLAME as a `Head`, and a map from ARKit coefficients to its expression and jaw.

Li et al. 2017, "Learning a model of facial shape and expression from 4D scans", ACM TOG 36(6). The
files are FLAME's, under its licence, and are never part of this package; the user brings one.

No map from ARKit to FLAME is published with it. Here our own head is registered to FLAME's, its 52
displacement fields are carried over, and each is fitted by ridge regression with what FLAME can do:
expression components and a jaw rotation. FLAME has no lids of their own and the fit says so:
`residual` of the blinks is high. The head's shapes are ours as far as FLAME can follow them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS, FloatArray
from esarm_env.face.head import Head, load_head
from esarm_env.face.loaders.alignment import TRUSTED_MM, align
from esarm_env.face.loaders.array_files import as_faces, as_points, need, read_arrays
from esarm_env.face.loaders.surfaces import Faces, Points, build_surface, eye_landmarks
from esarm_env.face.loaders.targets import check_placing, check_winding, read_regions

ARRAYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights")

# Joints: neck's root, neck, jaw, left eye, right eye.
_N_JOINTS, _JAW = 5, 2
# Shape components before the expression's, by their common number: all of FLAME 2020's, or the
# first 100 and 50 that smaller files keep.
_N_SHAPES = {400: 300, 150: 100}

_MM_PER_M = 1000.0
# Prior of one standard deviation per expression component against carried fields that are wrong by
# about 0.4 mm on average over the head, in some 400 independent places.
_RIDGE_MM2 = 0.4**2 / 400
# A jaw opens by about 0.3 radians.
_JAW_SD = 0.3
_STEPS = 6
_DIFFERENCE = 1e-5


@dataclass(frozen=True, eq=False)
class FlameModel:
    """FLAME's template with its expression components and jaw skinning.

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
    """Return the jaw's displacement fields, (V, 3, 9), one per element of R - 1.

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


@dataclass(frozen=True, eq=False)
class FlameMap:
    """Linear map from ARKit coefficients to FLAME parameters.

    Attributes:
        coefficients: Shape (52, E + 3), float32: expression, in FLAME's standard deviations, then
            the jaw's axis-angle in radians, of each shape at weight 1.
        residual: Shape (52,), float32: root mean square of what FLAME cannot do of a shape, as a
            share of the shape; 0 is perfect, 1 is nothing, nan where the shape moves nothing.
    """

    coefficients: FloatArray
    residual: FloatArray

    def __post_init__(self) -> None:
        """Check shapes and types."""
        if self.coefficients.ndim != 2 or self.coefficients.shape[0] != N_CHANNELS:
            got = self.coefficients.shape
            raise InputError(f"`coefficients` must have shape ({N_CHANNELS}, E + 3), got {got}")
        if self.residual.shape != (N_CHANNELS,):
            raise InputError(f"`residual` must have shape (52,), got {self.residual.shape}")

    def to_flame(self, motion: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Convert motion to FLAME parameters.

        FLAME turns its jaw on an arc where a head's displacements run straight: played by FLAME, a
        jaw opened halfway is up to about 2 mm from `Head.apply`, a closed or fully open one is not.

        Args:
            motion: Shape (T, 52), alphabetical order.

        Returns:
            Expression (T, E) in FLAME's standard deviations, and jaw pose (T, 3), axis-angle in
            radians; both float32.

        Raises:
            InputError: If `motion` has another shape.
        """
        values = np.asarray(motion, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] != N_CHANNELS:
            raise InputError(f"`motion` must have shape (T, {N_CHANNELS}), got {values.shape}")
        parameters = values @ self.coefficients  # (T, E + 3)
        return parameters[:, :-3], parameters[:, -3:]


def fit_flame_map(
    model: FlameModel, fields: Points, weights: npt.NDArray[np.float64]
) -> tuple[FlameMap, Points]:
    """Fit FLAME's expression components and jaw to each displacement field.

    Ridge regression for the expression, Gauss-Newton steps for the jaw's rotation vector. All sums
    over vertices are taken once, as the displacement is linear in the expression and in R - 1.

    Args:
        model: FLAME.
        fields: Shape (52, V, 3), in m, what the shapes should do.
        weights: Shape (V,), how much each vertex counts.

    Returns:
        The map; and what FLAME does instead of `fields`, shape (52, V, 3), in m. The product of
        expression and jaw rotation is left out of it, so that it stays linear.
    """
    n_expressions = model.expressions.shape[2]
    basis = _MM_PER_M * np.concatenate([model.expressions, model.jaw], axis=2)  # (V, 3, E + 9)
    flat = basis.reshape(-1, n_expressions + 9)
    share = np.repeat(weights / weights.sum(), 3)
    wanted = _MM_PER_M * fields.reshape(len(fields), -1)  # (52, V * 3)
    gram = flat.T @ (flat * share[:, None])
    pulls = (wanted * share) @ flat  # (52, E + 9)
    solved = [_fit_one(gram, pull, n_expressions) for pull in pulls]
    done = np.stack([_elements(parameters, n_expressions) for parameters in solved]) @ flat.T
    energy, missed = ((np.square(x) * share).sum(axis=1) for x in (wanted, wanted - done))
    moves = energy > 0
    residual = np.full(len(fields), np.nan)
    residual[moves] = np.sqrt(missed[moves] / energy[moves])
    found = FlameMap(np.stack(solved).astype(np.float32), residual.astype(np.float32))
    return found, done.reshape(fields.shape) / _MM_PER_M


def _elements(parameters: Points, n_expressions: int) -> Points:
    """Expand expression and jaw vector (E + 3,) to expression and R - 1 (E + 9,)."""
    turn = rotation_matrix(parameters[n_expressions:]) - np.eye(3)
    return np.concatenate([parameters[:n_expressions], turn.ravel()])


def _fit_one(gram: Points, pull: Points, n_expressions: int) -> Points:
    """Fit the parameters (E + 3,) of one field by Gauss-Newton steps.

    Args:
        gram: Shape (E + 9, E + 9), products of the basis fields in mm².
        pull: Shape (E + 9,), their products with the wanted field.
        n_expressions: E.
    """
    penalty = np.full(n_expressions + 3, _RIDGE_MM2)
    penalty[n_expressions:] /= _JAW_SD**2
    parameters = np.zeros(n_expressions + 3)
    for _ in range(_STEPS):
        slope = np.zeros((n_expressions + 9, n_expressions + 3))
        slope[:n_expressions, :n_expressions] = np.eye(n_expressions)
        for axis in range(3):
            step = np.zeros(3)
            step[axis] = _DIFFERENCE
            ahead, behind = (
                rotation_matrix(parameters[n_expressions:] + sign * step) for sign in (1, -1)
            )
            slope[n_expressions:, n_expressions + axis] = (ahead - behind).ravel()
        slope[n_expressions:] /= 2 * _DIFFERENCE
        rest = pull - gram @ _elements(parameters, n_expressions)
        system = slope.T @ gram @ slope + np.diag(penalty)
        parameters = parameters + np.linalg.solve(system, slope.T @ rest - penalty * parameters)
    return parameters


def load_flame(
    path: str | os.PathLike[str], *, regions: str | os.PathLike[str] | None = None
) -> tuple[Head, FlameMap]:
    """Load FLAME and fit the map from ARKit's coefficients to its own.

    Args:
        path: See `read_flame`.
        regions: FLAME's published `FLAME_masks.pkl` or another file for `read_regions`; None to
            carry our own head's over.

    Returns:
        The head, its displacements being FLAME's own at the fitted parameters; and the map, with
        the share of each shape that FLAME cannot follow.

    Raises:
        InputError: If a file does not fit, or FLAME's template is no upright head with its
            faces turned outside.
    """
    source = Path(path)
    model = read_flame(source)
    surface = build_surface(model.template, model.faces)
    check_winding(surface, source=source)
    # By position, as nothing in a file says which of two joints is the left eye's.
    right, left = model.eyes[np.argsort(model.eyes[:, 0])]
    found = align(load_head(), surface, eye_landmarks(load_head(), left, right))
    check_placing(found, source=source, mm_per_unit=_MM_PER_M)
    trusted = surface.areas * (surface.skin & (found.distance_mm < TRUSTED_MM))
    flame_map, fields = fit_flame_map(model, found.fields(), trusted)
    n_vertices = len(model.template)
    own = found.regions() if regions is None else read_regions(Path(regions), n_vertices)
    vertices, deltas = (_MM_PER_M * array for array in (model.template, fields))
    head = Head(vertices.astype(np.float32), model.faces, deltas.astype(np.float32), own)
    return head, flame_map
