"""The shipped head: every metric in millimetres stands on these displacements."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import ARKIT_NAMES, MIRROR, Head, index_of, load_head
from esarm_env.face.shape_table import TARGETS

_FLIP = np.array([-1.0, 1.0, 1.0], dtype=np.float32)


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


@pytest.fixture(scope="module")
def partner(head: Head) -> np.ndarray:
    """Return the index of each vertex's mirror image."""

    def key(vertex: np.ndarray) -> tuple[float, ...]:
        return tuple((vertex + 0.0).tolist())  # + 0.0 makes -0.0 equal 0.0 in a key

    places: dict[tuple[float, ...], list[int]] = {}
    for index, vertex in enumerate(head.vertices):
        places.setdefault(key(vertex), []).append(index)
    # Vertices that share a place (poles, ends of tubes) come in the same number on both sides.
    return np.array([places[key(vertex)][0] for vertex in head.vertices * _FLIP])


def _largest(head: Head, name: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Return size, place and direction of a shape's largest displacement on the left skin."""
    deltas = head.deltas[index_of(name)].copy()
    deltas[head.regions["eyeballs"]] = 0.0
    if not name.endswith("Left"):
        deltas[head.vertices[:, 0] < -1.0] = 0.0
    size = np.linalg.norm(deltas, axis=1)
    worst = int(size.argmax())
    return float(size[worst]), head.vertices[worst], deltas[worst] / size[worst]


def _motion(**weights: float) -> np.ndarray:
    motion = np.zeros(52, dtype=np.float32)
    for name, weight in weights.items():
        motion[index_of(name)] = weight
    return motion


def _gap(head: Head, motion: np.ndarray) -> float:
    """Return how far apart the lips are at the midline, in mm."""
    lips = head.regions["lips"]
    rest, moved = head.vertices[lips], head.apply(motion)[lips]
    rim = (np.abs(rest[:, 0]) < 0.1) & (np.abs(rest[:, 1] + 35.77) < 0.1)
    heights = moved[rim][:, 1]
    return float(heights.max() - heights.min())


def test_size_and_regions_are_those_documented(head: Head) -> None:
    """Renderers and metrics budget for these sizes."""
    assert 1500 <= head.n_vertices <= 6000
    assert {"lips", "eyes", "forehead", "eyeballs", "teeth", "brows"} <= set(head.regions)
    for name, n in (("lips", 266), ("eyes", 444), ("forehead", 583)):
        # LVE and EVE are taken over these; another size is another metric.
        assert len(head.regions[name]) == pytest.approx(n, rel=0.15)
    assert not np.intersect1d(head.regions["eyes"], head.regions["eyeballs"]).size
    both = np.concatenate([head.regions["eyes"], head.regions["forehead"]])
    np.testing.assert_array_equal(head.upper, np.unique(both))
    assert np.isfinite(head.vertices).all()
    assert np.isfinite(head.deltas).all()


def test_the_head_is_built_once_and_cannot_be_changed(head: Head) -> None:
    """It is shared: one caller's change would move everybody's face."""
    assert load_head() is head
    with pytest.raises(ValueError, match="read-only"):
        head.vertices[0] = 0.0


def test_rest_is_symmetric(head: Head, partner: np.ndarray) -> None:
    """A crooked face at rest biases left-right differences in every metric."""
    np.testing.assert_array_equal(head.vertices[partner], head.vertices * _FLIP)


def test_right_shapes_are_mirror_images_of_left_ones(head: Head, partner: np.ndarray) -> None:
    """Motion mirrored by name must be the mirrored face."""
    mirrored = head.deltas[MIRROR][:, partner] * _FLIP
    np.testing.assert_array_equal(head.deltas, mirrored)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_each_shape_has_the_tables_size_place_and_direction(head: Head, name: str) -> None:
    """LVE in mm means nothing on a head whose jaw opens half as far."""
    size, place, direction = _largest(head, name)
    target = TARGETS[name]
    assert size == pytest.approx(target.max_mm, rel=0.25)
    assert np.linalg.norm(place - np.array(target.at)) < 13.0
    wanted = np.array(target.direction) / np.linalg.norm(target.direction)
    assert direction @ wanted > 0.8


def test_every_shape_stands_in_the_table() -> None:
    """A shape without a target would be tested by nothing."""
    sided = {name.removesuffix("Right") + "Left" for name in ARKIT_NAMES if name.endswith("Right")}
    middle = {name for name in ARKIT_NAMES if not name.endswith(("Left", "Right"))}
    assert set(TARGETS) == sided | middle


def test_jaw_open_moves_the_lower_lip_and_not_the_upper(head: Head) -> None:
    """A jaw that drags the upper lip along never opens the mouth."""
    jaw = head.deltas[index_of("jawOpen")]
    lips = head.regions["lips"]
    middle = lips[np.abs(head.vertices[lips, 0]) < 10]
    upper = middle[head.vertices[middle, 1] > -34.0]
    lower = middle[head.vertices[middle, 1] < -38.0]
    assert len(upper) > 5
    assert len(lower) > 5
    assert np.abs(jaw[upper]).max() < 0.5
    assert np.linalg.norm(jaw[lower], axis=1).min() > 25.0
    assert _gap(head, _motion(jawOpen=1)) > 25.0


def test_mouth_close_closes_an_open_jaw(head: Head) -> None:
    """p, b and m under an open jaw need it; a gap there reads as a wrong sound."""
    closed = head.apply(_motion(jawOpen=1, mouthClose=1))
    lips = head.regions["lips"]
    assert np.linalg.norm(closed[lips] - head.vertices[lips], axis=1).max() < 0.5
    assert _gap(head, _motion(jawOpen=1, mouthClose=1)) < 0.5
    chin = int(np.linalg.norm(head.vertices - np.array([0, -80, 106]), axis=1).argmin())
    assert closed[chin, 1] < head.vertices[chin, 1] - 20.0


def test_the_lips_meet_at_rest_all_along(head: Head) -> None:
    """A rest pose with parted lips opens the mouth in every silent frame."""
    assert _gap(head, _motion()) < 0.5
    lips = head.vertices[head.regions["lips"]]
    columns, counts = np.unique(lips[:, 0], return_counts=True)
    # Both rims and the row behind each have one x; the rims are in front.
    for x in columns[counts == 4]:
        column = lips[lips[:, 0] == x]
        rims = column[np.argsort(column[:, 2])[-2:], 1]
        assert np.ptp(rims) < 0.5
    assert (counts == 4).sum() >= 15


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("mouthRollLower",),
        ("mouthRollUpper",),
        ("mouthRollLower", "mouthRollUpper"),
        ("mouthPressLeft", "mouthPressRight"),
    ],
)
def test_rolled_and_pressed_lips_stay_in_front_of_the_teeth(
    head: Head, names: tuple[str, ...]
) -> None:
    """Teeth that show through closed lips end every p, b and m in a fright."""
    moved = head.apply(_motion(**dict.fromkeys(names, 1.0)))
    teeth, lips = moved[head.regions["teeth"]], moved[head.regions["lips"]]
    in_front = lips[(np.abs(lips[:, 0]) < 20.0) & (lips[:, 1] > -50.0) & (lips[:, 1] < -27.0)]
    assert len(in_front) > 100
    for x, _, z in in_front:
        assert z > teeth[np.abs(teeth[:, 0] - x) < 2.5, 2].max() + 0.5


def test_the_brows_follow_the_brow_shapes_and_the_lids_do_not(head: Head) -> None:
    """Brows glued to the skull hide anger; lids that rise with them look like fright."""
    moved = head.apply(_motion(browInnerUp=1, browOuterUpLeft=1, browOuterUpRight=1))
    rise = (moved - head.vertices)[:, 1]
    assert rise[head.regions["brows"]].min() > 1.5
    assert rise[head.regions["lashes"]].max() < 1.0


def test_a_blink_brings_the_rims_of_the_lids_together(head: Head) -> None:
    """Eyes that stay a slit open look drunk."""
    eyes = head.regions["eyes"]
    rest = head.vertices[eyes]
    middle = eyes[(np.abs(rest[:, 0] - 32.0) < 1.5) & (rest[:, 2] > 96.0)]
    for weight, low, high in ((0.0, 9.0, 11.0), (1.0, -0.3, 0.3)):
        moved = head.apply(_motion(eyeBlinkLeft=weight))[middle]
        above = head.vertices[middle, 1] > 40.0
        assert low < moved[above, 1].min() - moved[~above, 1].max() < high


def test_apply_is_linear_and_keeps_leading_axes(head: Head) -> None:
    """Batches of sequences go through in one call."""
    motion = np.random.default_rng(0).random((2, 3, 52), dtype=np.float32)
    moved = head.apply(motion)
    assert moved.shape == (2, 3, head.n_vertices, 3)
    assert moved.dtype == np.float32
    expected = head.vertices + np.einsum("c,cvk->vk", motion[1, 2], head.deltas)
    np.testing.assert_allclose(moved[1, 2], expected, atol=1e-3)
    np.testing.assert_array_equal(head.apply(np.zeros(52)), head.vertices)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("vertices", np.zeros((4, 2), np.float32), "`vertices` must be float32 of shape (4, 3)"),
        ("vertices", np.zeros((4, 3)), "got float64 (4, 3)"),
        (
            "deltas",
            np.zeros((51, 4, 3), np.float32),
            "`deltas` must be float32 of shape (52, 4, 3)",
        ),
        ("faces", np.zeros((1, 4), np.int32), "`faces` must be int32 of shape (F, 3)"),
        ("faces", np.array([[0, 1, 4]], np.int32), "`faces` must index the 4 vertices, got 0..4"),
        ("regions", {"lips": np.array([0])}, "got none called ['eyes', 'forehead']"),
        ("lips", np.array([1, 0]), "`regions['lips']` must be ascending int64"),
        ("lips", np.array([0], np.int32), "`regions['lips']` must be ascending int64"),
        ("lips", np.array([4]), "`regions['lips']` must index the 4 vertices, got 4..4"),
    ],
)
def test_a_head_that_does_not_fit_together_is_refused(field: str, value: Any, message: str) -> None:
    """A wrong index shows up much later, as a metric over the wrong vertices."""
    good = Head(
        np.zeros((4, 3), np.float32),
        np.array([[0, 1, 2]], np.int32),
        np.zeros((52, 4, 3), np.float32),
        {name: np.array([0, 1]) for name in ("lips", "eyes", "forehead")},
    )
    change = {"regions": {**good.regions, field: value}} if field == "lips" else {field: value}
    with pytest.raises(InputError, match=re.escape(message)):
        dataclasses.replace(good, **change)


def test_apply_refuses_another_number_of_channels(head: Head) -> None:
    """51 columns are a corpus without a tongue, not a broadcast."""
    with pytest.raises(
        InputError, match=re.escape("`motion` must have shape (..., 52), got (51,)")
    ):
        head.apply(np.zeros(51))
