"""When a frame is seen: the delay, the even pace, and the end."""

from __future__ import annotations

import re

import pytest

from esarm_env.rendering import Timing

_SHAPES = [(4, 4), (4, 2), (2, 4), (3, 5), (1, 1), (6, 4)]


@pytest.mark.parametrize(("tokens", "frames"), _SHAPES)
def test_frames_are_seen_at_an_even_pace(tokens: int, frames: int) -> None:
    """Uneven by one picture, speech and mouth drift apart within every chunk."""
    timing = Timing(tokens, frames)
    length, n_frames = 6 * tokens, 6 * frames
    seen = [timing.frame_at(step, length=length, n_frames=n_frames) for step in range(length)]
    seen += timing.frames_left(length=length, n_frames=n_frames)
    delay_s = timing.delay_steps / timing.fps
    for picture, frame in enumerate(seen):
        time_s = picture / timing.fps - delay_s
        shown = -1 if frame is None else frame
        assert shown == max(-1, int((time_s * 30 + 1e-9) // 1)), f"picture {picture}"
    assert seen[-1] == n_frames - 2, "only the last frame is left for the last picture"
    assert timing.frame_at(length, length=length, n_frames=n_frames) == n_frames - 1


@pytest.mark.parametrize(("tokens", "frames"), _SHAPES)
def test_the_chunk_after_a_frame_is_known_when_it_is_seen(tokens: int, frames: int) -> None:
    """The decoder moves a chunk again when the next is known: seen too early, a face twitches."""
    timing = Timing(tokens, frames)
    for step in range(5 * tokens):
        frame = timing.frame_at(step, length=5 * tokens, n_frames=5 * frames)
        if frame is not None:
            assert (frame // frames + 2) * tokens <= step, f"step {step} shows frame {frame}"


def test_the_padding_of_the_last_chunk_is_never_seen() -> None:
    """An utterance rarely ends with a chunk; what the decoder writes behind its end is noise."""
    timing = Timing(4, 4)
    assert timing.frame_at(16, length=16, n_frames=13) == 12
    assert timing.frames_left(length=16, n_frames=13) == [8, 9, 10, 11]
    assert timing.frames_left(length=16, n_frames=16) == [8, 9, 10, 11, 12, 13, 14]


def test_an_utterance_of_one_chunk_waits_as_long_as_any() -> None:
    """Begun early, its motion would come before its sound."""
    left = Timing(4, 4).frames_left(length=4, n_frames=3)
    assert left == [None, None, None, None, 0, 1]


@pytest.mark.parametrize(
    ("tokens", "frames", "fps"), [(4, 4, 30), (4, 2, 60), (2, 4, 15), (3, 5, 18), (4, 3, 40)]
)
def test_pictures_a_second_follow_from_the_chunk(tokens: int, frames: int, fps: int) -> None:
    """A video at another rate plays speech too fast or too slow."""
    assert Timing(tokens, frames).fps == fps
    assert isinstance(Timing(tokens, frames).fps, int), "tools print it"
    assert Timing(4, 7).fps == pytest.approx(120 / 7)


@pytest.mark.parametrize("name", ["tokens_per_chunk", "frames_per_chunk"])
def test_a_chunk_of_nothing_is_rejected(name: str) -> None:
    """Zero would divide by zero at the first picture, far from its cause."""
    sizes = {"tokens_per_chunk": 4, "frames_per_chunk": 4, name: 0}
    with pytest.raises(ValueError, match=re.escape(f"`{name}` must be at least 1, got 0")):
        Timing(**sizes)
