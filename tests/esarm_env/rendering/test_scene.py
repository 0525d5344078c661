"""One picture: the head in its pose, between the lines of the caption."""

from __future__ import annotations

import re

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face import load_head
from esarm_env.face.names import index_of
from esarm_env.face.render import Renderer
from esarm_env.rendering import Caption, Scene

_CAPTION = Caption("a", "Hm.", "sad", 1, None, step=1, n_steps=8, time_s=0.0, duration_s=0.3)


def _jaw(opening: float) -> np.ndarray:
    motion = np.zeros(52, dtype=np.float32)
    motion[index_of("jawOpen")] = opening
    return motion


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(load_head())


def test_a_picture_is_what_video_encoders_take(scene: Scene) -> None:
    """Bytes, height first, and even sides: libx264 refuses odd ones."""
    picture = scene.picture(_jaw(0.0), _CAPTION)
    assert picture.shape == (480, 480, 3)
    assert picture.dtype == np.uint8


def test_pictures_share_no_memory(scene: Scene) -> None:
    """A recorder keeps them all: shared, a whole video would show its last picture."""
    first = scene.picture(_jaw(0.0), _CAPTION)
    again = scene.picture(_jaw(0.0), _CAPTION)
    assert np.array_equal(first, again), "the same in, the same out"
    first[:] = 0
    assert again.any()
    assert np.array_equal(scene.picture(_jaw(0.0), _CAPTION), again)


def test_the_jaw_moves_the_mouth_and_nothing_else(scene: Scene) -> None:
    """Motion that reaches the wrong rows would shift the caption."""
    changed = (scene.picture(_jaw(1.0), _CAPTION) != scene.picture(_jaw(0.0), _CAPTION)).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 1000 < changed.sum() < 40_000
    assert rows.min() > 150, "the eyes stand still"
    assert rows.max() < 400, "the text stands still"
    assert np.abs(columns.mean() - 240) < 5, "the mouth is in the middle"


def test_a_pose_asked_for_twice_is_drawn_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The face waits at rest for eight pictures; each would cost as much as all the rest."""
    drawn = []
    real = Renderer.frame
    monkeypatch.setattr(Renderer, "frame", lambda *args: drawn.append(1) or real(*args))
    pose = _jaw(0.3)
    for _ in range(3):
        scene.picture(pose, _CAPTION)
    assert len(drawn) == 1
    pose[index_of("jawOpen")] = 0.4  # in place: the picture must follow
    scene.picture(pose, _CAPTION)
    assert len(drawn) == 2


@pytest.mark.parametrize("size", [(240, 240), (240, 480), (360, 640)])
def test_other_sizes_are_drawn(size: tuple[int, int]) -> None:
    """Rows of caption and head have to add up at every size."""
    assert Scene(load_head(), size=size).picture(_jaw(0.0), _CAPTION).shape == (*size, 3)


@pytest.mark.parametrize("size", [(239, 480), (480, 239), (480,)])
def test_pictures_too_small_for_text_are_rejected(size: tuple[int, ...]) -> None:
    """A caption nobody can read is worse than an error."""
    message = f"`size` must be height and width of at least 240 pixels, got {size}"
    with pytest.raises(InputError, match=re.escape(message)):
        Scene(load_head(), size=size)  # type: ignore[arg-type]
