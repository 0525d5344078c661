"""The depth buffer: without a loop it must show what a loop over pixels shows."""

from __future__ import annotations

import numpy as np
import pytest

from esarm_env.face.render.raster import NO_FACE, front_faces, nearest_faces, planes


def _slow(points: np.ndarray, faces: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """Return the nearest face of every pixel, one pixel and one face at a time."""
    shown = np.full((height, width), NO_FACE)
    for row in range(height):
        for column in range(width):
            x, y, best = column + 0.5, row + 0.5, -np.inf
            for number, face in enumerate(faces):
                (x0, y0, d0), (x1, y1, d1), (x2, y2, d2) = points[face]
                whole = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
                first = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / whole
                second = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / whole
                third = 1.0 - first - second
                depth = first * d0 + second * d1 + third * d2
                if min(first, second, third) >= 0.0 and depth > best:
                    shown[row, column], best = number, depth
    return shown


def _random_mesh(seed: int, n_faces: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return crossing triangles, some of them partly outside a picture of 24 by 20."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-8, -8, 0.8], [32, 28, 1.2], size=(3 * n_faces, 3))
    faces = np.arange(3 * n_faces, dtype=np.int32).reshape(-1, 3)
    return points, faces[front_faces(points, faces)]


@pytest.mark.parametrize("seed", range(4))
def test_the_picture_is_that_of_a_loop_over_pixels(seed: int) -> None:
    """Spans computed at once are easy to get wrong by one pixel or one triangle."""
    points, faces = _random_mesh(seed)
    assert len(faces) > 5
    expected = _slow(points, faces, width=24, height=20)
    shown = nearest_faces(points, faces, width=24, height=20)
    np.testing.assert_array_equal(shown, expected)
    assert len(np.unique(expected)) > 4


def test_many_faces_are_drawn_piece_by_piece_without_a_difference() -> None:
    """Faces beyond the first piece must keep their own numbers."""
    points, faces = _random_mesh(5)
    behind = points - np.array([0.0, 0.0, 1.0])  # hidden: adds faces, changes no pixel
    many = np.concatenate([np.tile(faces + len(points), (200, 1)), faces]).astype(np.int32)
    shown = nearest_faces(np.concatenate([points, behind]), many, width=24, height=20)
    expected = nearest_faces(points, faces, width=24, height=20)
    np.testing.assert_array_equal(
        shown[expected != NO_FACE], (expected + len(many) - len(faces))[expected != NO_FACE]
    )
    assert (shown[expected == NO_FACE] == NO_FACE).all()


def test_neighbours_share_an_edge_without_a_hole_or_an_overlap() -> None:
    """A hole lets the background shine through the cheek."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        middle = rng.uniform(2, 14, size=2)
        corners = np.array([[0, 0], [16, 0], [16, 16], [0, 16]], dtype=np.float64)
        points = np.column_stack([np.vstack([corners, middle]), np.ones(5)])
        # Half of the middles lie on pixel centres, where the fill rule decides.
        points[4, :2] = np.where(rng.random() < 0.5, np.round(middle) + 0.5, middle)
        fan = np.array([[1, 0, 4], [2, 1, 4], [3, 2, 4], [0, 3, 4]], dtype=np.int32)
        counts = [
            (nearest_faces(points, fan[[k]], width=16, height=16) != NO_FACE).sum()
            for k in range(4)
        ]
        assert sum(counts) == 16 * 16
        assert (nearest_faces(points, fan, width=16, height=16) != NO_FACE).all()


def test_of_equally_near_faces_the_later_wins() -> None:
    """A draw decided by chance makes two runs differ."""
    points = np.array([[0, 0, 1.0], [8, 0, 1.0], [0, 8, 1.0]])
    faces = np.array([[1, 0, 2], [1, 0, 2]], dtype=np.int32)
    shown = nearest_faces(points, faces, width=8, height=8)
    assert set(np.unique(shown)) == {NO_FACE, 1}


def test_nothing_in_view_is_an_empty_picture() -> None:
    """A head turned away, or one without faces, must not fail."""
    points = np.array([[100, 100, 1.0], [108, 100, 1.0], [100, 108, 1.0]])
    for faces in (np.zeros((0, 3), np.int32), np.array([[1, 0, 2]], np.int32)):
        assert (nearest_faces(points, faces, width=8, height=4) == NO_FACE).all()


def test_faces_seen_from_behind_or_edge_on_are_left_out() -> None:
    """Inner sides would cover the lips from behind."""
    points = np.array([[0, 0, 1.0], [8, 0, 1.0], [0, 8, 1.0], [4, 0, 1.0]])
    faces = np.array([[1, 0, 2], [0, 1, 2], [0, 1, 3]], dtype=np.int32)
    np.testing.assert_array_equal(front_faces(points, faces), [0])


def test_planes_give_the_corners_their_values() -> None:
    """A colour that drifts over a face shows as facets."""
    points, faces = _random_mesh(7)
    values = np.random.default_rng(8).random((len(faces), 3, 2))
    at_zero, along_x, along_y = planes(points, faces, values).transpose(1, 0, 2)
    for corner in range(3):
        x, y = (points[faces[:, corner], :2] - 0.5).T
        there = at_zero + along_x * x[:, None] + along_y * y[:, None]
        np.testing.assert_allclose(there, values[:, corner], atol=1e-8)
