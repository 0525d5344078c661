"""The quality of a frame, against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from esarm_env.corpus.capture.faces import (
    STEADY_POINTS,
    Face,
    steadiness,
    summarise_face,
    track_quality,
)

MakeFace = Callable[..., Face]
SIZE = {"width": 640, "height": 480}


def evenly(n: int, rate_hz: float = 25.0) -> np.ndarray:
    return np.arange(n) / rate_hz


@pytest.mark.parametrize(
    ("face", "expected"),
    [
        ({}, 1.0),
        ({"height": 128}, 1.0),
        ({"height": 64}, 0.5),
        ({"yaw": 60}, 0.5),
        ({"pitch": -60}, 0.5),
        ({"yaw": 60, "pitch": 60}, 0.25),
        ({"yaw": 120}, 0.0),
        ({"height": 64, "yaw": 60}, 0.25),
    ],
)
def test_size_and_frontality_are_multiplied(
    make_face: MakeFace, face: dict[str, float], expected: float
) -> None:
    """A profile of twenty pixels would train the policy as well as a close-up."""
    assert summarise_face(make_face(**face), **SIZE).still == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("at", [(0, 240), (640, 240), (320, 0), (320, 480)])
def test_half_a_face_outside_the_picture_halves_the_quality(
    make_face: MakeFace, at: tuple[float, float]
) -> None:
    """MediaPipe invents the half that nobody sees."""
    assert summarise_face(make_face(at=at), **SIZE).still == pytest.approx(0.5)


def test_tilting_the_head_costs_nothing(make_face: MakeFace) -> None:
    """The landmark model turns the face upright itself."""
    roll = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    assert summarise_face(replace(make_face(), rotation=roll), **SIZE).still == pytest.approx(1)


def test_a_scaled_rotation_counts_by_its_direction(make_face: MakeFace) -> None:
    """MediaPipe's matrix may carry the scale of the face."""
    face = make_face(yaw=60)
    doubled = replace(face, rotation=2 * face.rotation)
    assert summarise_face(doubled, **SIZE).still == pytest.approx(0.5, abs=1e-3)


def moved(face: Face, shifts: list[tuple[float, float]], time_s: np.ndarray) -> np.ndarray:
    faces = [replace(face, landmarks=face.landmarks + np.float32(shift)) for shift in shifts]
    return track_quality([summarise_face(each, **SIZE) for each in faces], time_s)


def test_a_face_that_moves_evenly_is_steady(make_face: MakeFace) -> None:
    """People move while they speak; also where the frame rate varies."""
    time_s = np.array([0.0, 0.04, 0.05, 0.2, 0.24])
    quality = moved(make_face(), [(400 * t, -100 * t) for t in time_s], time_s)
    np.testing.assert_allclose(quality, 1, atol=1e-4)


def test_one_jump_back_and_forth_follows_the_formula(make_face: MakeFace) -> None:
    """10 px of 200 off the line are d = 0.05, its neighbours lie off by half of that."""
    quality = moved(make_face(), [(0, 0), (0, 0), (10, 0), (0, 0), (0, 0)], evenly(5))
    np.testing.assert_allclose(quality, [1, 0.8, 0.5, 0.8, 1], atol=1e-4)


def test_a_brisk_nod_passes_and_a_lost_track_does_not(make_face: MakeFace) -> None:
    """The two sides of the scale that the module promises."""
    time_s = evenly(50)
    nod = moved(make_face(), [(0, 20 * np.sin(4 * np.pi * t)) for t in time_s], time_s)
    assert nod.min() > 0.9
    jump = moved(make_face(), [(0, 0)] * 5 + [(67, 0)] * 5, evenly(10))
    assert jump[[4, 5]].max() < 0.1
    assert np.delete(jump, [4, 5]).min() == pytest.approx(1)


def test_lost_frames_have_no_quality_and_halve_their_neighbours(make_face: MakeFace) -> None:
    """An average over a video would hide that its face was gone for half of it."""
    seen = summarise_face(make_face(), **SIZE)
    quality = track_quality([seen, seen, None, seen, seen, seen, None], evenly(7))
    np.testing.assert_allclose(quality, [1, 0.5, 0, 0.5, 1, 0.5, 0], atol=1e-4)
    assert quality.dtype == np.float32


@pytest.mark.parametrize("n", [0, 1, 2])
def test_short_videos_have_a_quality(make_face: MakeFace, n: int) -> None:
    """There is no frame before or after to compare with."""
    quality = track_quality([summarise_face(make_face(), **SIZE)] * n, evenly(n))
    np.testing.assert_allclose(quality, np.ones(n), atol=1e-4)


def test_steadiness_equals_a_plain_loop(rng: np.random.Generator) -> None:
    """The arrays are shifted against each other three times over."""
    n, k = 12, len(STEADY_POINTS)
    points, heights = rng.normal(0, 9, (n, k, 2)), rng.uniform(90, 200, n)
    time_s, found = np.cumsum(rng.uniform(0.01, 0.1, n)), rng.random(n) > 0.2
    expected = []
    for t in range(n):
        beside = [found[u] for u in (t - 1, t + 1) if 0 <= u < n]
        if not all(beside):
            expected.append(0.5)
        elif t in (0, n - 1):
            expected.append(1.0)
        else:
            distances = []
            for j in range(k):
                line = [
                    np.interp(time_s[t], time_s[[t - 1, t + 1]], points[[t - 1, t + 1], j, axis])
                    for axis in (0, 1)
                ]
                distances.append(np.hypot(*(points[t, j] - line)))
            expected.append(1 / (1 + (np.mean(distances) / heights[t] / 0.05) ** 2))
    result = steadiness(points, heights, time_s, found=found)
    np.testing.assert_allclose(result, expected, rtol=1e-9)
