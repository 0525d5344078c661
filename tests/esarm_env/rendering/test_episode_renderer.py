"""What environments call: which frame is drawn, how often motion is decoded, and the window."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.types import EMOTIONS, IntArray
from esarm_env.rendering import EpisodeRenderer, EpisodeView, Scene
from esarm_env.rendering.view import caption_of, labels_of
from esarm_env.task.animation_task import AnimationTask

MakeView = Callable[..., EpisodeView]

_UTTERANCE = 1  # 30 frames: the last of 8 chunks is half padding
_RESULTS = {"rewards": {"learned": 0.5, "jerk": -1.0}, "lve": 3.0, "eve": 1.0, "tokens": [1, 2]}


class _Counted:
    """A tokenizer that counts how often it decodes."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.n_decoded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def decode(self, tokens: IntArray) -> np.ndarray:
        self.n_decoded += 1
        return np.asarray(self._tokenizer.decode(tokens))


class _FakeWindow:
    """A window that keeps what it is shown, until the user closes it."""

    def __init__(self, *, closes_after: int = 1000) -> None:
        self.shown: list[np.ndarray] = []
        self.is_closed = False
        self._closes_after = closes_after

    def show(self, picture: np.ndarray) -> None:
        self.shown.append(picture)
        self.is_closed = len(self.shown) >= self._closes_after

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def task(tiny_task: AnimationTask) -> AnimationTask:
    return dataclasses.replace(tiny_task, tokenizer=_Counted(tiny_task.tokenizer))


@pytest.fixture
def view_at(task: AnimationTask) -> MakeView:
    """Return a function: the view of the recorded motion after `step` steps."""

    def make(step: int, *, utterance: int = _UTTERANCE, **info: Any) -> EpisodeView:
        tokens = task.recorded_tokens(utterance)
        condition = task.condition_of(np.array([utterance]))[0]
        return EpisodeView(task, utterance, tokens[:step], len(tokens), condition, info)

    return make


@pytest.fixture(scope="module")
def small() -> tuple[int, int]:
    """Return the smallest size, for speed."""
    return (240, 240)


@pytest.mark.parametrize(("step", "frame"), [(8, 0), (9, 1), (15, 7), (30, 22), (31, 23)])
def test_the_picture_shows_the_motion_two_chunks_behind(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int], step: int, frame: int
) -> None:
    """The sound is put in by the same delay: any other frame, and lips and speech part."""
    view = view_at(step)
    motion = task.tokenizer.decode(view.tokens[: step // 4 * 4])
    expected = Scene(task.head, size=small).picture(motion[frame], caption_of(view))
    assert np.array_equal(EpisodeRenderer(task, size=small).frame(view), expected)


def test_the_face_is_at_rest_before_motion_is_known(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int]
) -> None:
    """There is a picture at the reset, when nothing has been written."""
    renderer = EpisodeRenderer(task, size=small)
    scene = Scene(task.head, size=small)
    for step in (0, 7):
        expected = scene.picture(np.zeros(52), caption_of(view_at(step)))
        assert np.array_equal(renderer.frame(view_at(step)), expected), f"step {step}"
    assert task.tokenizer.n_decoded == 0  # type: ignore[attr-defined]


def test_the_last_picture_shows_the_last_frame_and_the_results(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int]
) -> None:
    """The end of the padded chunk is not the end of the utterance."""
    view = view_at(32, **_RESULTS)
    caption = caption_of(view)
    assert caption.scores == (("learned", 0.5), ("jerk", -1.0))
    assert caption.metrics == (("lve", 3.0, "mm"), ("eve", 1.0, "mm"))
    assert caption.time_s == caption.duration_s == 1.0
    motion = task.tokenizer.decode(view.tokens)
    expected = Scene(task.head, size=small).picture(motion[29], caption)
    assert np.array_equal(EpisodeRenderer(task, size=small).frame(view), expected)


def test_motion_is_decoded_once_a_chunk(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int]
) -> None:
    """Decoded at every step, a long utterance would slow down as it goes on."""
    renderer = EpisodeRenderer(task, size=small)
    for step in range(33):
        renderer.frame(view_at(step))
    assert task.tokenizer.n_decoded == 7  # type: ignore[attr-defined]  # after chunks 2 to 8


def test_another_episode_is_decoded_anew(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int]
) -> None:
    """A cache that asks only for the length would show the face of the episode before."""
    renderer = EpisodeRenderer(task, size=small)
    before = renderer.frame(view_at(16))
    other = dataclasses.replace(view_at(16), tokens=(view_at(16).tokens + 1) % 16)
    assert not np.array_equal(renderer.frame(other), before)
    assert np.array_equal(renderer.frame(view_at(16)), before)


def test_a_vector_of_environments_gets_one_picture_each(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int]
) -> None:
    """They are drawn in turn: with one cache for all, each would push the other out."""
    renderer = EpisodeRenderer(task, size=small)
    for step in range(8, 16):
        views = [view_at(step), view_at(step, utterance=3), view_at(0, utterance=4)]
        pictures = renderer.frames(views)
    alone = [EpisodeRenderer(task, size=small).frame(view) for view in views]
    assert isinstance(pictures, tuple)
    assert all(np.array_equal(one, other) for one, other in zip(pictures, alone, strict=True))
    assert task.tokenizer.n_decoded == 2 * 2 + 2  # type: ignore[attr-defined]


def test_the_frames_left_run_on_from_the_step_before_the_last(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int]
) -> None:
    """They fill the gap at the end of a video, without telling the results ahead of time."""
    renderer = EpisodeRenderer(task, size=small)
    assert list(renderer.frames_left(view_at(31))) == [], "the episode is not over"
    view = view_at(32, **_RESULTS)
    left = list(renderer.frames_left(view))
    motion = task.tokenizer.decode(view.tokens)
    scene = Scene(task.head, size=small)
    assert len(left) == 5, "frames 24 to 28"
    for frame, picture in zip(range(24, 29), left, strict=True):
        caption = dataclasses.replace(caption_of(view_at(32)), time_s=frame / 30)
        assert np.array_equal(picture, scene.picture(motion[frame], caption)), f"frame {frame}"


def test_the_caption_tells_the_condition_that_was_asked_for(view_at: MakeView) -> None:
    """Under another emotion than the recorded one, the recorded label would be wrong."""
    view = view_at(9)
    task = view.task
    caption = caption_of(view)
    assert (caption.emotion, caption.intensity, caption.speaker) == ("happy", 3, "anna")
    assert (caption.step, caption.n_steps) == (9, 32)
    assert caption.time_s == pytest.approx(1 / 30)
    assert caption.text == "The boat left at noon."
    other = dataclasses.replace(view, condition=task.conditions.encode("sad", 1, None))
    caption = caption_of(other)
    assert (caption.emotion, caption.intensity, caption.speaker) == ("sad", 1, None)


def test_labels_come_back_from_every_condition(task: AnimationTask) -> None:
    """One column off, and every caption names the neighbour."""
    for emotion in EMOTIONS:
        for intensity in (1, 2, 3):
            for speaker in (*task.conditions.speakers, None):
                vector = task.conditions.encode(emotion, intensity, speaker)
                assert labels_of(vector, task.conditions) == (emotion, intensity, speaker)


def test_mode_human_shows_every_picture_and_returns_none(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int]
) -> None:
    """Gymnasium's checker asks for None; on the screen no frame may be skipped at the end."""
    window: Any = _FakeWindow()
    human = EpisodeRenderer(task, render_mode="human", size=small, window=window)
    array = EpisodeRenderer(task, size=small)
    for step in (0, 31):
        assert human.render(view_at(step)) is None
        assert np.array_equal(window.shown[-1], array.render(view_at(step)))
    last = view_at(32, **_RESULTS)
    assert human.render(last) is None
    assert len(window.shown) == 2 + 5 + 1
    assert np.array_equal(window.shown[-1], array.render(last))
    human.close()
    assert window.is_closed


def test_nothing_is_drawn_for_a_closed_window(
    task: AnimationTask, view_at: MakeView, small: tuple[int, int]
) -> None:
    """The user has closed it and waits for the program to end: it should not draw in vain."""
    window: Any = _FakeWindow(closes_after=1)
    renderer = EpisodeRenderer(task, render_mode="human", size=small, window=window)
    for step in (8, 12, 32):
        assert renderer.render(view_at(step)) is None
    assert len(window.shown) == 1
    assert task.tokenizer.n_decoded == 1  # type: ignore[attr-defined]


def test_an_unknown_mode_is_rejected(task: AnimationTask) -> None:
    """`ansi` is valid elsewhere; the message has to tell what is valid here."""
    message = "`render_mode` must be one of rgb_array, human or None, got 'ansi'"
    with pytest.raises(InputError, match=re.escape(message)):
        EpisodeRenderer(task, render_mode="ansi")


def test_a_view_that_cannot_be_is_rejected(view_at: MakeView) -> None:
    """Tokens of the whole batch, or a condition of another task, would draw something wrong."""
    view = view_at(32)
    with pytest.raises(ValueError, match=re.escape("`tokens` must have shape (0 to 31,), got (32")):
        dataclasses.replace(view, length=31)
    with pytest.raises(ValueError, match=re.escape("`tokens` must have shape (0 to 32,), got (1,")):
        dataclasses.replace(view, tokens=view.tokens[None])
    with pytest.raises(ValueError, match=re.escape("`condition` must have shape (15,), got (14,)")):
        dataclasses.replace(view, condition=view.condition[:14])
