"""Scale, rotation and shift that lay one set of points on another.

Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
IEEE PAMI 13(4), 1991.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.face.loaders.surfaces import Points


@dataclass(frozen=True, eq=False)
class Similarity:
    """The map `scale * rotation @ point + shift`.

    Attributes:
        scale: Above 0.
        rotation: Shape (3, 3), a rotation, never a mirror image.
        shift: Shape (3,), in the unit of the result.
    """

    scale: float
    rotation: Points
    shift: Points

    def of_points(self, points: Points) -> Points:
        """Return points (..., 3) moved."""
        return np.asarray(self.scale * points @ self.rotation.T + self.shift)

    def of_normals(self, normals: Points) -> Points:
        """Return directions (..., 3) turned."""
        return np.asarray(normals @ self.rotation.T)

    def fields_back(self, fields: Points) -> Points:
        """Return displacements (..., 3) of the moved points as those of the points before."""
        return np.asarray(fields @ self.rotation / self.scale)


def fit_similarity(
    points: Points, targets: Points, weights: npt.NDArray[np.float64] | None = None
) -> Similarity:
    """Return the similarity with the least squared distance from `points` to `targets`.

    Args:
        points: Shape (N, 3), N at least 3 and not on one line.
        targets: Shape (N, 3).
        weights: Shape (N,), not negative; all equal by default.
    """
    share = np.ones(len(points)) if weights is None else weights
    share = share / share.sum()
    middle, target_middle = share @ points, share @ targets
    centred, target_centred = points - middle, targets - target_middle
    left, stretch, right = np.linalg.svd((target_centred * share[:, None]).T @ centred)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float((stretch * signs).sum() / (share @ np.square(centred).sum(axis=1)))
    return Similarity(scale, rotation, target_middle - scale * rotation @ middle)
