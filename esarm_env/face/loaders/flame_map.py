"""From 52 ARKit coefficients to FLAME's expression and jaw, fitted to the file at hand.

No such map is published with FLAME. Here our own head is laid on FLAME's, its 52 displacement
fields are carried over, and each is fitted by ridge regression with what FLAME can do: expression
components and a jaw rotation. FLAME has no lids of their own and the fit says so: `residual` of the
blinks is high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.errors import InputError
from esarm_env.face.loaders.flame_model import FlameModel, rotation_matrix
from esarm_env.face.loaders.surfaces import Points
from esarm_env.types import N_CHANNELS, FloatArray

_MM_PER_M = 1000.0
# Prior of one standard deviation per expression component against carried fields that are wrong by
# about 0.4 mm on average over the head, in some 400 independent places.
_RIDGE_MM2 = 0.4**2 / 400
# A jaw opens by about 0.3 radians.
_JAW_SD = 0.3
_STEPS = 6
_DIFFERENCE = 1e-5


@dataclass(frozen=True, eq=False)
class FlameMap:
    """ARKit coefficients as FLAME parameters.

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
        """Return motion as FLAME parameters.

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
    """Fit each field with FLAME's expression components and jaw.

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
    """Return expression and jaw vector (E + 3,) as expression and R - 1 (E + 9,)."""
    turn = rotation_matrix(parameters[n_expressions:]) - np.eye(3)
    return np.concatenate([parameters[:n_expressions], turn.ravel()])


def _fit_one(gram: Points, pull: Points, n_expressions: int) -> Points:
    """Return the parameters (E + 3,) of one field.

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
