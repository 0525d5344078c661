"""Mesh registration of our head to another mesh, to carry regions and blendshapes over.

First a similarity (Umeyama, "Least-squares estimation of transformation parameters between two
point patterns", IEEE PAMI 13(4), 1991) brings the target into our millimetres, then a smooth warp
moves our face onto the target's, from coarse to fine: points seek the nearest target point with a
like normal, a sum of Gaussians follows them (the idea of Amberg et al. 2007, "Optimal step nonrigid
ICP algorithms for surface registration", with the smoothness of Myronenko and Song 2010,
arXiv:0905.2635). Like normals are what tells the upper lip from the lower one where they touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from esarm_env.face.head import REQUIRED_REGIONS, Head
from esarm_env.face.loaders.surfaces import Landmarks, Points, Surface, build_surface

if TYPE_CHECKING:
    from esarm_env.core.types import IntArray

# Hidden behind the lips or sticking out: no other head has them at the same place.
_HIDDEN = ("mouth_inside", "lashes", "nostrils")
_FACE_MOVES_MM = 0.5
_N_FACE_POINTS = 1200
_N_CENTRES = 200

# An opposite normal counts as much as a point twice this far away.
_NORMAL_MM = 12.0
_LEAST_COSINE = 0.3
# Matches lose weight with distance; half at this one.
_FAR_MM = 8.0
_RIGID_STEPS = 15
# Width of the Gaussians in mm, and how much their smoothness counts; narrower ones would close the
# eyes, whose lids then run to the nearest point of the other lid.
_STAGES = ((60.0, 1.0), (40.0, 0.5), (25.0, 0.2))
# Weight of an eye's landmark, in matched points.
_EYE_TRUST = 100.0
_STEPS_PER_STAGE = 5

_N_NEIGHBOURS = 4
# Beyond it a target vertex has no counterpart: shoulders, hair, a hat.
TRUSTED_MM = 15.0


@dataclass(frozen=True, eq=False)
class Similarity:
    """Similarity transform: `scale * rotation @ point + shift`.

    Attributes:
        scale: Above 0.
        rotation: Shape (3, 3), a rotation, never a mirror image.
        shift: Shape (3,), in the unit of the result.
    """

    scale: float
    rotation: Points
    shift: Points

    def of_points(self, points: Points) -> Points:
        """Transform points (..., 3)."""
        return np.asarray(self.scale * points @ self.rotation.T + self.shift)

    def of_normals(self, normals: Points) -> Points:
        """Rotate directions (..., 3)."""
        return np.asarray(normals @ self.rotation.T)

    def fields_back(self, fields: Points) -> Points:
        """Apply the inverse transform to displacements (..., 3)."""
        return np.asarray(fields @ self.rotation / self.scale)


def fit_similarity(
    points: Points, targets: Points, weights: npt.NDArray[np.float64] | None = None
) -> Similarity:
    """Fit the least-squares similarity transform from `points` to `targets` (Umeyama 1991).

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


@dataclass(frozen=True, eq=False)
class Correspondence:
    """Dense correspondence from a target mesh to our head.

    Attributes:
        head: Our own head.
        surface: The target, in its own unit.
        placing: From the target's unit to our millimetres.
        neighbours: Shape (V, 4), vertices of ours next to each target vertex.
        weights: Shape (V, 4), their shares; the rows sum to 1.
        distance_mm: Shape (V,), from the target vertex to its neighbours, ours moved onto it.
    """

    head: Head
    surface: Surface
    placing: Similarity
    neighbours: IntArray
    weights: npt.NDArray[np.float64]
    distance_mm: npt.NDArray[np.float64]

    def regions(self) -> dict[str, IntArray]:
        """Transfer the required regions to the target's skin."""
        near = self.surface.skin & (self.distance_mm < TRUSTED_MM)
        found = {}
        for name in REQUIRED_REGIONS:
            inside = np.zeros(self.head.n_vertices)
            inside[self.head.regions[name]] = 1.0
            share = (inside[self.neighbours] * self.weights).sum(axis=1)
            found[name] = np.flatnonzero((share > 0.5) & near).astype(np.int64)
        return found

    def fields(self) -> Points:
        """Transfer our 52 displacement fields to the target's skin, (52, V, 3), in its unit."""
        ours = self.head.deltas.astype(np.float64)
        carried = np.zeros((len(ours), len(self.neighbours), 3))
        for k in range(self.neighbours.shape[1]):
            carried += self.weights[:, k, None] * ours[:, self.neighbours[:, k]]
        return self.placing.fields_back(carried) * self.surface.skin[:, None]


def align(head: Head, target: Surface, landmarks: Landmarks) -> Correspondence:
    """Register `head` to `target`.

    Args:
        head: Our own head.
        target: Surface of the other head, in any unit.
        landmarks: A first guess; all of them together right to about 20 mm, 15 degrees and a tenth
            of the size, the eyes to a few mm.
    """
    ours = build_surface(head.vertices, head.faces)
    face = _face_points(head, ours)
    placing = _refine(ours, face, target, fit_similarity(landmarks.theirs, landmarks.ours))
    goal = placing.of_points(target.points[target.skin])
    goal_normals = placing.of_normals(target.normals[target.skin])
    eyes = landmarks.ours[:2], placing.of_points(landmarks.theirs[:2])
    moved = _warp(ours, face, goal, goal_normals, eyes)
    neighbours, weights, distance = _neighbours(
        moved[ours.skin],
        ours.normals[ours.skin],
        placing.of_points(target.points),
        placing.of_normals(target.normals),
    )
    own = np.flatnonzero(ours.skin)
    return Correspondence(head, target, placing, own[neighbours], weights, distance)


def _face_points(head: Head, ours: Surface) -> IntArray:
    """Return the vertices that guide the alignment: all of lips and eyes, an even rest."""
    moves = np.linalg.norm(head.deltas, axis=-1).max(axis=0) > _FACE_MOVES_MM
    moves[head.regions["forehead"]] = True
    seen = moves & ours.skin
    for name in _HIDDEN:
        seen[head.regions.get(name, np.empty(0, np.int64))] = False
    dense = np.zeros(head.n_vertices, np.bool_)
    dense[head.regions["lips"]] = dense[head.regions["eyes"]] = True
    rest = np.flatnonzero(seen & ~dense)
    even = rest[_farthest_points(ours.points[rest], min(len(rest), _N_FACE_POINTS // 2))]
    return np.union1d(np.flatnonzero(seen & dense), even).astype(np.int64)


def _farthest_points(points: Points, count: int) -> IntArray:
    """Sample `count` points by farthest-point sampling; return their indices."""
    chosen = np.zeros(count, np.int64)
    nearest = np.linalg.norm(points - points[0], axis=1)
    for place in range(1, count):
        chosen[place] = nearest.argmax()
        distance = np.linalg.norm(points - points[chosen[place]], axis=1)
        np.minimum(nearest, distance, out=nearest)
    return chosen


def _features(points: Points, normals: Points) -> Points:
    """Concatenate points and scaled normals, (N, 6), for nearest-neighbour search."""
    return np.hstack([points, _NORMAL_MM * normals])


def _trust(
    distance: npt.NDArray[np.float64], normals: Points, found: Points
) -> npt.NDArray[np.float64]:
    """Return the weight of each match, (N,): high for near points with like normals."""
    like = np.einsum("nk,nk->n", normals, found) > _LEAST_COSINE
    return np.asarray(like / (1 + np.square(distance / _FAR_MM)))


def _refine(ours: Surface, face: IntArray, target: Surface, start: Similarity) -> Similarity:
    """Refine a similarity transform by iterative closest points."""
    from scipy.spatial import cKDTree

    points, normals = ours.points[face], ours.normals[face]
    theirs, their_normals = target.points[target.skin], target.normals[target.skin]
    placing = start
    for _ in range(_RIGID_STEPS):
        goal, goal_normals = placing.of_points(theirs), placing.of_normals(their_normals)
        tree = cKDTree(_features(goal, goal_normals))
        distance, nearest = tree.query(_features(points, normals))
        trust = _trust(distance, normals, goal_normals[nearest])
        if np.count_nonzero(trust) < 3:
            break
        placing = fit_similarity(theirs[nearest], points, trust)
    return placing


def _gaussians(points: Points, centres: Points, width_mm: float) -> Points:
    """Return the Gaussian kernel matrix of points and centres, (N, n_centres)."""
    squared = np.square(points[:, None] - centres).sum(axis=-1)
    return np.asarray(np.exp(squared / (-2 * width_mm**2)))


def _warp(
    ours: Surface,
    face: IntArray,
    goal: Points,
    goal_normals: Points,
    eyes: tuple[Points, Points],
) -> Points:
    """Warp all our points (V, 3) by a smooth deformation that brings the face onto the goal."""
    from scipy.spatial import cKDTree

    tree = cKDTree(_features(goal, goal_normals))
    rest = ours.points[face]
    centres = rest[_farthest_points(rest, min(len(rest), _N_CENTRES))]
    moved, normals = ours.points.copy(), ours.normals[face]
    eye, eye_goal = eyes
    for width_mm, stiffness in _STAGES:
        eye_basis = _gaussians(eyes[0], centres, width_mm)  # (2, n_centres)
        basis = _gaussians(rest, centres, width_mm)  # (N, n_centres)
        smooth = stiffness * len(rest) / len(centres) * _gaussians(centres, centres, width_mm)
        smooth += 1e-6 * np.eye(len(centres))
        begin = current = moved[face]
        for _ in range(_STEPS_PER_STAGE):
            distance, nearest = tree.query(_features(current, normals))
            trust = _trust(distance, normals, goal_normals[nearest])
            system = basis.T @ (basis * trust[:, None]) + smooth
            pull = basis.T @ (trust[:, None] * (goal[nearest] - begin))
            system += _EYE_TRUST * eye_basis.T @ eye_basis
            pull += _EYE_TRUST * eye_basis.T @ (eye_goal - eye)
            steps = np.linalg.solve(system, pull)  # (n_centres, 3)
            current = begin + basis @ steps
        moved += _gaussians(ours.points, centres, width_mm) @ steps
        eye = eye + eye_basis @ steps
    return moved


def _neighbours(
    points: Points, normals: Points, queries: Points, query_normals: Points
) -> tuple[IntArray, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the 4 nearest `points` of each query (N, 4), weights and distance (N,)."""
    from scipy.spatial import cKDTree

    tree = cKDTree(_features(points, normals))
    distance, nearest = tree.query(_features(queries, query_normals), k=_N_NEIGHBOURS)
    # A vertex right on one of ours copies it; 1e-3 mm keeps the division finite.
    closeness = 1 / np.square(np.maximum(distance, 1e-3))
    weights = closeness / closeness.sum(axis=1, keepdims=True)
    apart = np.linalg.norm((weights[..., None] * points[nearest]).sum(axis=1) - queries, axis=1)
    return nearest.astype(np.int64), weights, apart
