"""Our own head laid on another: its regions, and FLAME's motion, are only as good as this."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from esarm_env.face import load_head
from esarm_env.face.head import REQUIRED_REGIONS
from esarm_env.face.loaders.alignment import Correspondence, align, fit_similarity
from esarm_env.face.loaders.surfaces import Surface, build_surface, eye_landmarks, shared_landmarks

_TURN = Rotation.from_euler("xyz", [8, 4, -3], degrees=True).as_matrix()
_SCALE = 0.0011


def _bent(points: np.ndarray) -> np.ndarray:
    """Return our points on a head of another build: narrow, with a long chin and low eyes."""
    x, y, z = points.T
    lower = y - 4 * np.exp(-(((y - 40) / 25) ** 2)) - 6 * np.exp(-(((y + 75) / 30) ** 2))
    return np.stack([0.94 * x, lower, z + 3 * np.cos(x / 30)], axis=1)


@pytest.fixture(scope="module")
def found() -> tuple[Correspondence, np.ndarray]:
    """Return our head laid on a bent, turned, smaller copy, vertices shuffled; and their order."""
    head = load_head()
    order = np.random.default_rng(0).permutation(head.n_vertices)
    place = np.argsort(order)
    vertices = (_bent(head.vertices.astype(np.float64)) @ _TURN.T * _SCALE + 0.2)[order]
    deltas = (head.deltas.astype(np.float64) @ _TURN.T * _SCALE)[:, order].astype(np.float32)
    surface = build_surface(vertices, place[head.faces].astype(np.int32))
    landmarks = shared_landmarks(head, surface, deltas)
    assert landmarks is not None
    return align(head, surface, landmarks), order


def test_a_similarity_is_recovered() -> None:
    """Everything after it searches only nearby."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 3))
    fitted = fit_similarity(points, 1.7 * points @ _TURN.T + [1, -2, 3])
    np.testing.assert_allclose(fitted.scale, 1.7)
    np.testing.assert_allclose(fitted.rotation, _TURN, atol=1e-12)
    np.testing.assert_allclose(fitted.shift, [1, -2, 3], atol=1e-12)
    moved = fitted.of_points(points + 0.1 * points[::-1]) - fitted.of_points(points)
    np.testing.assert_allclose(fitted.fields_back(moved), 0.1 * points[::-1], atol=1e-12)


def test_a_similarity_never_mirrors() -> None:
    """A mirrored head would smile with the wrong side."""
    points = np.random.default_rng(0).normal(size=(9, 3))
    fitted = fit_similarity(points, points * [-1, 1, 1])
    np.testing.assert_allclose(np.linalg.det(fitted.rotation), 1.0)


def test_points_of_no_weight_do_not_count() -> None:
    """Pairs that were rejected must not pull."""
    points = np.random.default_rng(0).normal(size=(9, 3))
    targets = 2 * points
    targets[0] = 100
    fitted = fit_similarity(points, targets, np.array([0.0, *[1.0] * 8]))
    np.testing.assert_allclose(fitted.scale, 2.0)


def test_seams_do_not_cut_the_skin() -> None:
    """Exporters double the vertices along texture seams; half a face would have no lips."""
    strip = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float64)
    vertices = np.concatenate([strip, strip + np.array([0, 1, 0]), 0.3 * strip + 5])
    faces = np.array([[0, 1, 2], [1, 3, 2]], np.int32)
    surface = build_surface(vertices, np.concatenate([faces, faces + 4, faces + 8]))
    assert surface.skin.tolist() == [True] * 8 + [False] * 4
    np.testing.assert_allclose(surface.normals, [[0, 0, 1]] * 12)
    np.testing.assert_allclose(surface.areas.sum(), 2 + 0.09)


def test_the_placing_is_found(found: tuple[Correspondence, np.ndarray]) -> None:
    """Size and direction decide how far the carried fields move."""
    placing = found[0].placing
    np.testing.assert_allclose(placing.scale * _SCALE, 1.0, atol=0.04)
    turned = Rotation.from_matrix(placing.rotation @ _TURN).magnitude()
    assert np.degrees(turned) < 3.0


@pytest.mark.parametrize("name", REQUIRED_REGIONS)
def test_regions_are_carried_over(found: tuple[Correspondence, np.ndarray], name: str) -> None:
    """LVE and EVE are taken on them."""
    correspondence, order = found
    skin = correspondence.surface.skin
    truth = set(np.flatnonzero(np.isin(order, load_head().regions[name]) & skin))
    carried = set(correspondence.regions()[name].tolist())
    assert len(truth & carried) / len(truth | carried) > 0.8
    assert min(carried) >= 0


def test_fields_are_carried_over(found: tuple[Correspondence, np.ndarray]) -> None:
    """FLAME's map is fitted to them."""
    correspondence, order = found
    skin = correspondence.surface.skin
    truth = (load_head().deltas.astype(np.float64) @ _TURN.T * _SCALE)[:, order]
    carried = correspondence.fields()
    assert not carried[:, ~skin].any()
    dot = (carried * truth * skin[:, None]).sum(axis=(1, 2))
    sizes = [np.sqrt(np.square(x[:, skin]).sum(axis=(1, 2))) for x in (carried, truth)]
    moves = sizes[1] > 0
    assert (dot[moves] / (sizes[0] * sizes[1])[moves]).min() > 0.9


def test_a_head_is_laid_on_itself_exactly() -> None:
    """Where nothing is to be done, nothing may be done."""
    head = load_head()
    surface = build_surface(head.vertices, head.faces)
    left, right = (
        head.vertices[head.regions["eyeballs"]][:, 0] > 0,
        head.vertices[head.regions["eyeballs"]][:, 0] < 0,
    )
    balls = head.vertices[head.regions["eyeballs"]].astype(np.float64)
    landmarks = eye_landmarks(head, balls[left].mean(axis=0), balls[right].mean(axis=0))
    correspondence = align(head, surface, landmarks)
    np.testing.assert_allclose(correspondence.placing.scale, 1.0, atol=1e-6)
    np.testing.assert_allclose(correspondence.weights.sum(axis=1), 1.0)
    expected = head.deltas * surface.skin[:, None]
    assert np.abs(correspondence.fields() - expected).max() < 0.05


def test_a_head_that_does_not_blink_has_no_landmarks() -> None:
    """Without the eyes the alignment starts anywhere."""
    head = load_head()
    surface: Surface = build_surface(head.vertices, head.faces)
    still = head.deltas.copy()
    still[:] = 0.0
    assert shared_landmarks(head, surface, still) is None
    only_skinless = dataclasses.replace(surface, skin=np.zeros(head.n_vertices, np.bool_))
    assert shared_landmarks(head, only_skinless, head.deltas) is None
