"""The window on the screen, with SDL's `dummy` driver in place of a screen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.rendering import Window

_SIZE = (60, 80)


@pytest.fixture
def pygame(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return pygame with no screen, and take down what a test has left."""
    pytest.importorskip("pygame", reason="extra `render`")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    module = Window(_SIZE, fps=30)._pygame
    yield module
    module.display.quit()


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (*_SIZE, 3), dtype=np.uint8)


def _on_screen(pygame: Any) -> np.ndarray:
    """Return what the window shows, shape (H, W, 3)."""
    return np.asarray(pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1))


def test_the_window_shows_the_picture_upright(pygame: Any, picture: np.ndarray) -> None:
    """pygame counts columns first: forgotten, the face lies on its side."""
    window = Window(_SIZE, fps=30, title="A face")
    assert not window.is_open, "it opens at the first picture"
    window.show(picture)
    assert window.is_open
    assert np.array_equal(_on_screen(pygame), picture)
    assert pygame.display.get_caption()[0] == "A face"
    window.show(255 - picture)
    assert np.array_equal(_on_screen(pygame), 255 - picture)


def test_every_picture_waits_for_its_moment(pygame: Any, picture: np.ndarray) -> None:
    """Without, an episode of three seconds is over in one."""
    ticks: list[float] = []
    window = Window(_SIZE, fps=24.5, tick=ticks.append)
    for _ in range(3):
        window.show(picture)
    assert ticks == [24.5, 24.5, 24.5]


@pytest.mark.parametrize(("driver", "waits"), [("dummy", False), ("x11", True)])
def test_only_a_screen_is_worth_waiting_for(
    pygame: Any, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, driver: str, waits: bool
) -> None:
    """Tests and checkers run every mode: in real time they would take minutes."""
    ticks: list[float] = []

    class Clock:
        def tick(self, fps: float) -> None:
            ticks.append(fps)

    monkeypatch.setattr(pygame.time, "Clock", Clock)
    monkeypatch.setattr(pygame.display, "get_driver", lambda: driver)
    Window(_SIZE, fps=30).show(picture)
    assert ticks == ([30] if waits else [])


def test_closing_it_by_hand_leaves_the_program_alone(pygame: Any, picture: np.ndarray) -> None:
    """A user who has seen enough closes the window; training must go on."""
    ticks: list[float] = []
    window = Window(_SIZE, fps=30, tick=ticks.append)
    window.show(picture)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    window.show(picture)
    assert window.is_closed
    assert not window.is_open
    window.show(picture)
    assert not pygame.display.get_init(), "it does not open again"
    assert len(ticks) == 1, "and nothing waits any more"


def test_other_events_are_thrown_away(pygame: Any, picture: np.ndarray) -> None:
    """Left in the queue, they fill it up, and the one that closes finds no room."""
    window = Window(_SIZE, fps=30)
    window.show(picture)
    for _ in range(5):
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_a))
    window.show(picture)
    assert pygame.event.get(pygame.KEYDOWN) == []
    assert window.is_open


def test_closing_twice_is_closing_once(pygame: Any, picture: np.ndarray) -> None:
    """`close` is called by the user and once more when Python ends."""
    window = Window(_SIZE, fps=30)
    window.show(picture)
    window.close()
    window.close()
    window.show(picture)
    assert not pygame.display.get_init()
    never_opened = Window(_SIZE, fps=30)
    never_opened.close()
    assert never_opened.is_closed


def test_a_window_that_somebody_else_took_down_is_closed(pygame: Any, picture: np.ndarray) -> None:
    """Another environment that is closed ends pygame's display for all of them."""
    window = Window(_SIZE, fps=30)
    window.show(picture)
    pygame.display.quit()
    window.show(picture)
    assert window.is_closed
    window.close()


def test_the_newest_window_has_the_screen(pygame: Any, picture: np.ndarray) -> None:
    """pygame has one window; the environment that lost it must neither crash nor draw over it."""
    for size in (_SIZE, (50, 50)):
        first, second = Window(_SIZE, fps=30), Window(size, fps=30)
        first.show(picture)
        other = 255 - picture[: size[0], : size[1]]
        second.show(other)
        first.show(picture)
        assert first.is_closed
        first.close()
        assert second.is_open
        assert np.array_equal(_on_screen(pygame), other)


def test_no_screen_is_told_with_the_remedy(
    pygame: Any, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server, SDL's own words say nothing of `rgb_array`."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "no_such_driver")
    message = "`render_mode` must be 'rgb_array' where there is no screen, got 'human' ("
    with pytest.raises(InputError, match=re.escape(message)):
        Window(_SIZE, fps=30).show(picture)


def test_a_missing_pygame_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: most who ask for a window the first time do not have it."""
    monkeypatch.setitem(sys.modules, "pygame", None)
    message = "`render_mode='human'` needs `pygame`: run `pip install 'esarm[render]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        Window(_SIZE, fps=30)


@pytest.mark.parametrize("fps", [0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_rejected(fps: float) -> None:
    """pygame takes 0 for "as fast as possible"."""
    with pytest.raises(InputError, match=re.escape(f"`fps` must be above 0, got {fps}")):
        Window(_SIZE, fps=fps)


@pytest.mark.parametrize("category", ["UserWarning", "DeprecationWarning"])
def test_importing_pygame_is_silent(tmp_path: Path, category: str) -> None:
    """Its greeting spoils what a program prints; its warnings are errors in many test suites."""
    pytest.importorskip("pygame", reason="extra `render`")
    warning = f"warnings.warn('pkg_resources is deprecated as an API.', {category})"
    (tmp_path / "pkg_resources.py").write_text(
        f"import warnings\n{warning}\n"
        "def resource_exists(*names): return False\n"
        "def resource_stream(*names): raise NotImplementedError\n"
    )
    code = (
        "import sys, numpy\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from esarm_env.rendering import Window\n"
        "window = Window((60, 80), fps=30)\n"
        "window.show(numpy.zeros((60, 80, 3), numpy.uint8))\n"
        "assert 'pkg_resources' in sys.modules, 'the warning was given'\n"
    )
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy"}
    environment.pop("PYGAME_HIDE_SUPPORT_PROMPT", None)
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
