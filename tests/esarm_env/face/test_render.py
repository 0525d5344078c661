"""Pictures of heads: what is checked is what a viewer would notice."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face.head import Head, load_head
from esarm_env.face.names import index_of
from esarm_env.face.render import PROFILE, Palette, Renderer, View, render
from esarm_env.face.render.shading import Mesh, corner_albedo, light, to_linear, to_srgb

_SIZE = (96, 96)
_BACKGROUND = (10, 200, 30)


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


@pytest.fixture(scope="module")
def renderer(head: Head) -> Renderer:
    return Renderer(head, size=_SIZE, palette=Palette(background=_BACKGROUND))


def _motion(**weights: float) -> np.ndarray:
    """Return coefficients; a name that ends in an underscore means both sides."""
    motion = np.zeros(52, dtype=np.float32)
    for name, weight in weights.items():
        sides = [name] if name[-1] != "_" else [name[:-1] + "Left", name[:-1] + "Right"]
        for side in sides:
            motion[index_of(side)] = weight
    return motion


def _close_up(head: Head, motion: np.ndarray, *, up: float, **palette: Any) -> np.ndarray:
    """Return a picture of a strip of the face, `up` from the middle of the head."""
    view = View(zoom=2.4, shift=(0.0, up))
    return render(head, motion, size=_SIZE, view=view, palette=Palette(**palette)).astype(int)


def _triangle(**regions: np.ndarray) -> Head:
    """Return one triangle that faces the camera."""
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0]], np.float32)
    needed = {name: np.arange(0) for name in ("lips", "eyes", "forehead")}
    faces = np.array([[0, 1, 2]], np.int32)
    return Head(vertices, faces, np.zeros((52, 3, 3), np.float32), {**needed, **regions})


def test_a_picture_has_the_size_and_type_asked_for(head: Head) -> None:
    """Video encoders take bytes, height first."""
    picture = render(head, np.zeros(52), size=(40, 60))
    assert picture.shape == (40, 60, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("weights", [{}, {"jawOpen": 1}, {"mouthSmile_": 1}, {"eyeBlink_": 1}])
def test_a_symmetric_pose_gives_a_symmetric_picture(
    renderer: Renderer, weights: dict[str, float]
) -> None:
    """A crooked light or camera would look like a crooked expression."""
    picture = renderer.frame(_motion(**weights)).astype(int)
    assert np.mean(np.abs(picture - picture[:, ::-1]).max(axis=2) > 8) < 0.005


def test_left_and_right_shapes_give_mirrored_pictures(renderer: Renderer) -> None:
    """The subject's left is on the right of the picture, as in a photograph."""
    left = renderer.frame(_motion(eyeBlinkLeft=1)).astype(int)
    right = renderer.frame(_motion(eyeBlinkRight=1)).astype(int)
    assert np.mean(np.abs(left - right[:, ::-1]).max(axis=2) > 8) < 0.005
    changed = np.abs(left - renderer.frame(np.zeros(52)).astype(int)).max(axis=2) > 20
    assert changed[:, 48:].sum() > 5
    assert changed[:, :48].sum() == 0


def test_the_background_is_where_no_face_is(renderer: Renderer) -> None:
    """A stray triangle in a corner of the picture is a hole elsewhere."""
    picture = renderer.frame(np.zeros(52))
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1), (48, 2)):
        assert tuple(picture[row, column]) == _BACKGROUND
    green = (picture == np.array(_BACKGROUND, np.uint8)).all(axis=2)
    assert not green[20:80, 38:58].any()
    assert 0.3 < green.mean() < 0.7


def test_an_open_jaw_shows_the_dark_inside_of_the_mouth(renderer: Renderer) -> None:
    """Lips that part over skin read as a painted mouth."""

    def dark(motion: np.ndarray) -> int:
        mouth = renderer.frame(motion)[56:76, 38:58].astype(int)
        return int((mouth.sum(axis=2) < 200).sum())

    assert dark(_motion()) == 0
    assert dark(_motion(jawOpen=1)) > 20
    assert dark(_motion(jawOpen=1, mouthClose=1)) == 0


def test_open_lips_show_teeth_and_closed_lips_do_not(head: Head) -> None:
    """Teeth in front of the lips would show at rest."""
    loud = {"teeth": (0, 0, 255), "skin": (120, 60, 60), "background": (0, 0, 0)}

    def blue(**weights: float) -> int:
        picture = _close_up(head, _motion(**weights), up=-0.13, **loud)
        return int((picture[..., 2] > picture[..., 0] + 60).sum())

    assert blue() == 0
    assert blue(mouthRollLower=1, mouthRollUpper=1) == 0
    assert blue(mouthPress_=1) == 0
    assert blue(jawOpen=1) > 40


def test_a_blink_hides_the_eyes_and_half_a_blink_does_not(head: Head) -> None:
    """An iris that shines through the lid looks possessed."""
    loud = {name: (0, 0, 255) for name in ("iris", "pupils", "eyeballs")}

    def blue(weight: float) -> int:
        picture = _close_up(head, _motion(eyeBlink_=weight), up=0.13, **loud)
        return int((picture[..., 2] > picture[..., 0] + 60).sum())

    assert blue(0.0) > 200
    assert 50 < blue(0.5) < blue(0.0)
    assert blue(1.0) <= 4


def test_eyes_have_a_highlight(head: Head) -> None:
    """Without one they look like glass."""
    dark = dict.fromkeys(("eyeballs", "iris", "pupils", "skin", "brows"), (40, 40, 40))
    picture = _close_up(head, _motion(), up=0.13, **dark)
    assert (picture.min(axis=2) > 200).sum() >= 2


def test_brows_move_up_in_the_picture(head: Head) -> None:
    """Brows that stay behind the skin lose the expression."""

    def height(**weights: float) -> float:
        palette = {"brows": (0, 0, 255), "hair": (200, 0, 0), "eyeballs": (200, 200, 200)}
        palette |= {"iris": (200, 0, 0), "lashes": (200, 0, 0)}
        picture = _close_up(head, _motion(**weights), up=0.13, **palette)
        rows, _ = np.nonzero(picture[..., 2] > picture[..., 0] + 60)
        return float(rows.mean())

    raised = height(browInnerUp=1, browOuterUp_=1)
    assert raised < height() - 1.0 < height(browDown_=1) - 1.0


def test_frames_do_not_depend_on_what_was_drawn_before(head: Head, renderer: Renderer) -> None:
    """A buffer that keeps the last frame leaves ghosts."""
    smile = _motion(mouthSmile_=1)
    first = renderer.frame(smile)
    renderer.frame(_motion(jawOpen=1))
    np.testing.assert_array_equal(renderer.frame(smile), first)
    palette = Palette(background=_BACKGROUND)
    np.testing.assert_array_equal(render(head, smile, size=_SIZE, palette=palette), first)


def test_more_samples_smooth_the_edges_and_keep_the_picture(head: Head) -> None:
    """Antialiasing must not shift or blur what it smooths."""
    one, three = (
        render(head, np.zeros(52), size=_SIZE, samples=samples).astype(int) for samples in (1, 3)
    )
    assert np.abs(one - three).mean() < 4
    # The hair against the background: with one sample a pixel is either.
    hair_and_sky = [
        np.isin(picture[:, 10:86, 0], range(110, 200))[:12].sum() for picture in (one, three)
    ]
    assert hair_and_sky[0] < hair_and_sky[1]


def test_the_mean_of_samples_is_that_of_a_larger_picture(head: Head) -> None:
    """The short cut for pixels inside one face must not change them."""
    motion = _motion(jawOpen=0.5)
    fine = render(head, motion, size=(192, 192), samples=1).astype(float)
    expected = fine.reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(render(head, motion, size=_SIZE, samples=2), expected, atol=3.0)


def test_a_profile_shows_one_eye_from_the_side(head: Head) -> None:
    """The far half of the face must be hidden."""
    picture = render(head, np.zeros(52), size=_SIZE, view=PROFILE).astype(int)
    solid = np.abs(picture - np.array(Palette().background)).max(axis=2) > 30
    columns = np.flatnonzero(solid.any(axis=0))
    # The nose points left: there the head is thin, behind it is tall.
    assert solid[:, columns[1]].sum() < 10
    assert solid[:, columns[len(columns) // 2]].sum() > 60


def test_a_head_with_only_the_needed_regions_is_drawn_in_skin_and_lips(head: Head) -> None:
    """Heads loaded from files know no parts."""
    few = {name: head.regions[name] for name in ("lips", "eyes", "forehead")}
    plain = dataclasses.replace(head, regions=few)
    picture = render(plain, _motion(), size=_SIZE, palette=Palette(skin=(200, 100, 100)))
    hair = picture[10:14, 44:52].astype(int)
    assert (hair[..., 0] > hair[..., 2] + 30).all()


def test_a_head_without_faces_is_background() -> None:
    """Point clouds are heads too."""
    empty = dataclasses.replace(_triangle(), faces=np.zeros((0, 3), np.int32))
    picture = render(empty, np.zeros(52), size=(8, 8), palette=Palette(background=_BACKGROUND))
    assert (picture == np.array(_BACKGROUND, np.uint8)).all()


def test_a_part_is_painted_in_its_colour() -> None:
    """Hard parts need all three corners, soft ones fade."""
    palette = Palette(skin=(255, 255, 255), lips=(0, 0, 0), teeth=(255, 0, 0))
    two = np.array([0, 1])
    white, black = to_linear(palette.skin), to_linear(palette.lips)
    soft = corner_albedo(_triangle(lips=two), palette)
    np.testing.assert_array_equal(soft[0], [black, black, white])
    np.testing.assert_array_equal(corner_albedo(_triangle(brows=two), palette)[0], [white] * 3)
    every = corner_albedo(_triangle(brows=np.arange(3)), palette)
    np.testing.assert_array_equal(every[0], [to_linear(palette.brows)] * 3)


def test_linear_light_and_srgb_are_inverse() -> None:
    """Colours asked for must be the colours shown under full light."""
    colour = (12, 130, 255)
    np.testing.assert_allclose(to_srgb(to_linear(colour)), colour)
    assert to_srgb(np.array(4.0)) == 255.0


def _sphere(n: int = 24, *, uneven: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return a unit sphere without caps, its rows evenly spaced or not."""
    share = np.linspace(0.15, 0.85, n)
    rows = np.pi * (share**1.3 if uneven else share)
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    x = np.sin(rows)[:, None] * np.sin(turn)
    z = np.sin(rows)[:, None] * np.cos(turn)
    y = np.cos(rows)[:, None] * np.ones(n)
    index = np.arange(n * n).reshape(n, n)
    over, below = index[:-1].ravel(), index[1:].ravel()
    over_next, below_next = np.roll(index, -1, 1)[:-1].ravel(), np.roll(index, -1, 1)[1:].ravel()
    faces = np.concatenate(
        [np.stack([below, below_next, over], 1), np.stack([below_next, over_next, over], 1)]
    )
    return np.stack([x, y, z], -1).reshape(-1, 3), faces.astype(np.int32)


@pytest.mark.parametrize("uneven", [False, True])
def test_normals_and_curvature_of_a_sphere_are_known(uneven: bool) -> None:
    """Bands on the cheek appear where rows of the mesh lie closer together."""
    vertices, faces = _sphere(uneven=uneven)
    mesh = Mesh(faces, len(vertices))
    normals = mesh.normals(vertices)
    inner = slice(24, -24)
    np.testing.assert_allclose(normals[inner], vertices[inner], atol=0.01)
    curvature = mesh.mean_curvature(3.0 * vertices, mesh.normals(3.0 * vertices))
    np.testing.assert_allclose(curvature[inner], -1.0 / 3.0, atol=0.01)
    np.testing.assert_allclose(mesh.mean_curvature(vertices, -normals)[inner], 1.0, atol=0.03)


def test_vertices_of_no_face_have_no_normal() -> None:
    """Some heads carry landmarks among their vertices."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]], np.float32)
    mesh = Mesh(np.array([[0, 1, 2]], np.int32), 4)
    normals = mesh.normals(vertices)
    np.testing.assert_allclose(normals, [[0, 0, 1]] * 3 + [[0, 0, 0]])
    np.testing.assert_array_equal(mesh.mean_curvature(vertices, normals), np.zeros(4))


def test_light_comes_from_above_and_leaves_hollows_dark() -> None:
    """A face lit from below looks evil."""
    up, down, side, other = np.array([[0, 1, 0], [0, -1, 0], [0.8, 0, 0.6], [-0.8, 0, 0.6]])
    flat = np.zeros(1, np.float32)
    assert (light(up[None], flat) > light(down[None], flat)).all()
    np.testing.assert_array_equal(light(side[None], flat), light(other[None], flat))
    assert (light(up[None], flat + 0.1) < light(up[None], flat)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0, 8)}, "`size` must be two whole numbers of at least 1, got (0, 8)"),
        ({"size": (8,)}, "`size` must be two whole numbers of at least 1, got (8,)"),
        ({"size": (8.5, 8)}, "`size` must be two whole numbers of at least 1, got (8.5, 8)"),
        ({"size": 8}, "`size` must be two whole numbers of at least 1, got 8"),
        ({"samples": 5}, "`samples` must be in 1..4, got 5"),
        ({"samples": 2.0}, "`samples` must be in 1..4, got 2.0"),
        ({"motion": np.zeros(51)}, "`motion` must have shape (52,), got (51,)"),
        ({"motion": np.full(52, np.nan)}, "`motion` must be finite, got nan or infinity"),
    ],
)
def test_pictures_that_cannot_be_drawn_are_refused(change: dict[str, Any], message: str) -> None:
    """Otherwise numpy complains about something else, or the picture is empty."""
    arguments: dict[str, Any] = {"motion": np.zeros(52), "size": (8, 8), **change}
    with pytest.raises(InputError, match=re.escape(message)):
        render(_triangle(), **arguments)


def test_a_head_without_vertices_is_refused() -> None:
    """There is nothing to point the camera at."""
    none = Head(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 3), np.int32),
        np.zeros((52, 0, 3), np.float32),
        {name: np.arange(0) for name in ("lips", "eyes", "forehead")},
    )
    with pytest.raises(InputError, match=re.escape("`head` must have vertices, got none")):
        Renderer(none)


@pytest.mark.parametrize("colour", [(0, 0, 256), (-1, 0, 0), (0.5, 0.5, 0.5), (1, 2)])
def test_what_is_not_a_colour_is_refused(colour: Any) -> None:
    """Shares of 1 in place of bytes would paint everything black."""
    message = f"`iris` must be three whole numbers in 0..255, got {colour}"
    with pytest.raises(InputError, match=re.escape(message)):
        Palette(iris=colour)


def test_the_smallest_picture_is_one_pixel() -> None:
    """The limits themselves are allowed."""
    assert render(_triangle(), np.zeros(52), size=(1, 1), samples=4).shape == (1, 1, 3)


def test_a_head_is_painted_by_its_vertices(head: Head, renderer: Renderer) -> None:
    """Errors in mm are shown as colours; where there is no head there is no paint."""
    paint = np.zeros((head.n_vertices, 3))
    paint[:, 2] = 255
    motion = _motion(jawOpen=0.5)
    plain, blue = renderer.frame(motion), renderer.frame(motion, paint=paint)
    covered = (plain != _BACKGROUND).any(axis=-1)
    np.testing.assert_array_equal(covered, (blue != _BACKGROUND).any(axis=-1))
    middle = blue[40:56, 40:56].reshape(-1, 3)
    assert middle[:, :2].max() == 0
    assert middle[:, 2].min() > 60
    message = f"`paint` must be colours in 0..255 of shape ({head.n_vertices}, 3), got (52, 3)"
    with pytest.raises(InputError, match=re.escape(message)):
        renderer.frame(motion, paint=np.zeros((52, 3)))
