"""The camera: the head fills the picture and keeps still while the face moves."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face.head import load_head
from esarm_env.face.render.camera import FRONT, PROFILE, THREE_QUARTER, Camera, View

_BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-2, 2) for z in (-1, 1)], np.float32)


@pytest.mark.parametrize("view", [View(), View(yaw_deg=90.0), View(yaw_deg=-40.0, pitch_deg=20.0)])
def test_the_whole_head_is_inside_the_picture(view: View) -> None:
    """A chin cut off hides the jaw."""
    for width, height in ((80, 60), (60, 80)):
        points = Camera(_BOX, view, width=width, height=height).project(_BOX)
        assert points[:, :2].min() > 0
        assert (points[:, :2] < [width, height]).all()
        assert np.ptp(points[:, 1]) > 0.7 * min(width, height)


@pytest.mark.parametrize("view", [FRONT, THREE_QUARTER, PROFILE])
def test_the_named_views_show_the_whole_head(view: View) -> None:
    """They come closer than the sphere round the head allows."""
    vertices = load_head().vertices
    points = Camera(vertices, view, width=100, height=100).project(vertices)
    assert 0 < points[:, :2].min() < 8
    assert 92 < points[:, :2].max() < 100


def test_x_is_the_subjects_left_and_the_nearer_side_is_nearer() -> None:
    """A mirrored face swaps left and right shapes in every picture."""
    camera = Camera(_BOX, FRONT, width=64, height=64)
    left, above, front = camera.project(
        np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    )
    assert left[0] > 32
    assert above[1] < 32
    assert front[2] > 1.0
    np.testing.assert_allclose(front[:2], 32.0)


def test_a_positive_yaw_shows_the_left_cheek() -> None:
    """Reports say "left" of what they show."""
    camera = Camera(_BOX, View(yaw_deg=60.0), width=64, height=64)
    cheek, other = camera.project(np.array([[1, 0, 0], [-1, 0, 0]], dtype=np.float32))
    assert cheek[2] > other[2]


def test_a_raised_camera_sees_the_crown() -> None:
    """The sign of the pitch is part of the contract."""
    camera = Camera(_BOX, View(pitch_deg=45.0), width=64, height=64)
    crown, chin = camera.project(np.array([[0, 2, 0], [0, -2, 0]], dtype=np.float32))
    assert crown[2] > chin[2]


def test_zoom_and_shift_move_the_picture() -> None:
    """A close-up of the mouth needs both."""
    near = Camera(_BOX, View(zoom=2.0), width=64, height=64).project(_BOX)
    far = Camera(_BOX, View(), width=64, height=64).project(_BOX)
    assert np.ptp(near[:, 0]) == pytest.approx(2 * np.ptp(far[:, 0]))
    moved = Camera(_BOX, View(shift=(0.25, 0.25)), width=64, height=64).project(_BOX)
    assert moved[:, 0].mean() < far[:, 0].mean()
    assert moved[:, 1].mean() > far[:, 1].mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"yaw_deg": np.nan}, "`yaw_deg` must be finite, got nan"),
        ({"pitch_deg": 90.0}, "`pitch_deg` must be in -89..89, got 90.0"),
        ({"zoom": 0.0}, "`zoom` must be above 0 and finite, got 0.0"),
        ({"zoom": np.inf}, "`zoom` must be above 0 and finite, got inf"),
        ({"shift": (0.0, np.inf)}, "`shift` must be two finite numbers, got (0.0, inf)"),
        ({"shift": (0.0,)}, "`shift` must be two finite numbers, got (0.0,)"),
    ],
)
def test_a_view_from_nowhere_is_refused(change: dict[str, Any], message: str) -> None:
    """It would only show as an empty picture."""
    with pytest.raises(InputError, match=re.escape(message)):
        View(**change)


def test_the_steepest_views_are_allowed() -> None:
    """The limits themselves are views."""
    for pitch in (-89.0, 89.0):
        assert np.isfinite(
            Camera(_BOX, View(pitch_deg=pitch), width=8, height=8).project(_BOX)
        ).all()
