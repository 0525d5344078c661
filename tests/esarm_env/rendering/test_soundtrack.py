"""The sound of videos: where each utterance is heard, and what a failing ffmpeg leaves behind."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import SAMPLE_RATE_HZ, FloatArray
from esarm_env.rendering import Timing
from esarm_env.rendering.sound import Seen, add_sound, find_ffmpeg, soundtrack

_TIMING = Timing(4, 4)  # 30 pictures a second, 8 late
_PICTURE = SAMPLE_RATE_HZ / 30
_N_SAMPLES = 6400  # 12 pictures


def _audio_of(utterance: int) -> FloatArray:
    """Return a ramp that starts at the utterance's number."""
    return utterance + np.linspace(0.1, 0.9, _N_SAMPLES, dtype=np.float32)


def _episode(utterance: int, *, picture: int, steps: range) -> list[Seen]:
    return [Seen(picture + n, utterance, step) for n, step in enumerate(steps)]


def _track(seen: list[Seen], n_pictures: int) -> FloatArray:
    return soundtrack(seen, n_pictures=n_pictures, timing=_TIMING, audio_of=_audio_of)


def _assert_heard(track: FloatArray, expected: list[tuple[int, int, int, int]]) -> None:
    """Check that `track` holds (begin, end, utterance, its first sample), silence between."""
    silent = np.ones(len(track), dtype=np.bool_)
    for begin, end, utterance, first in expected:
        piece = _audio_of(utterance)[first : first + end - begin]
        assert np.array_equal(track[begin:end], piece), f"utterance {utterance}"
        silent[begin:end] = False
    assert not track[silent].any()


def _sample(picture: int) -> int:
    return round(picture * _PICTURE)


def test_an_utterance_is_heard_when_its_motion_is_first_seen() -> None:
    """The first frame is seen in picture 8: heard at picture 0, speech is 0.27 s ahead of lips."""
    track = _track(_episode(1, picture=0, steps=range(13)), 25)
    assert track.dtype == np.float32
    assert len(track) == _sample(25), "as long as the video"
    _assert_heard(track, [(_sample(8), _sample(8) + _N_SAMPLES, 1, 0)])


def test_the_sound_ends_with_the_video() -> None:
    """Longer sound would hold a player on the last picture."""
    track = _track(_episode(1, picture=0, steps=range(13)), 13)
    _assert_heard(track, [(_sample(8), _sample(13), 1, 0)])


def test_episodes_that_follow_each_other_do_not_mix() -> None:
    """The end of one is late, too, and would talk into the start of the next."""
    seen = _episode(1, picture=0, steps=range(13)) + _episode(2, picture=13, steps=range(13))
    track = _track(seen, 40)
    begin = _sample(21)
    expected = [(_sample(8), _sample(13), 1, 0), (begin, begin + _N_SAMPLES, 2, 0)]
    _assert_heard(track, expected)


def test_the_same_utterance_twice_is_two_episodes() -> None:
    """Told apart by the utterance alone, the second would be silent."""
    seen = _episode(1, picture=0, steps=range(13)) + _episode(1, picture=13, steps=range(13))
    track = _track(seen, 26)
    expected = [(_sample(8), _sample(13), 1, 0), (_sample(21), _sample(26), 1, 0)]
    _assert_heard(track, expected)


def test_an_episode_reset_before_its_motion_is_seen_is_silent() -> None:
    """Its sound would begin behind its end."""
    seen = _episode(1, picture=0, steps=range(5)) + _episode(2, picture=5, steps=range(13))
    _assert_heard(_track(seen, 18), [(_sample(13), _sample(18), 2, 0)])


@pytest.mark.parametrize("step", [3, 8, 10])
def test_a_video_that_begins_in_the_middle_joins_the_sound_there(step: int) -> None:
    """A step trigger starts anywhere: from its beginning, the sound would be late."""
    track = _track(_episode(1, picture=0, steps=range(step, 13)), 10)
    first = _sample(max(0, step - 8))
    _assert_heard(track, [(_sample(max(0, 8 - step)), _sample(10), 1, first)])


def test_another_rate_of_tokens_moves_the_sound() -> None:
    """Two tokens for four frames are 15 pictures a second, and a delay of four of them."""
    seen = _episode(1, picture=0, steps=range(8))
    track = soundtrack(seen, n_pictures=20, timing=Timing(2, 4), audio_of=_audio_of)
    begin = round(4 / 15 * SAMPLE_RATE_HZ)
    assert len(track) == round(20 / 15 * SAMPLE_RATE_HZ)
    _assert_heard(track, [(begin, begin + _N_SAMPLES, 1, 0)])


@pytest.fixture
def no_video(tmp_path: Path) -> Path:
    path = tmp_path / "no.mp4"
    path.write_bytes(b"this is not a video")
    return path


def test_what_ffmpeg_says_is_told_and_the_file_stays(no_video: Path) -> None:
    """Half a file in place of a silent video would be the worst end of a long run."""
    pytest.importorskip("imageio_ffmpeg", reason="extra `record`")
    with pytest.raises(InputError, match=r"no\.mp4: ffmpeg ended with \d+ and wrote: .*moov"):
        add_sound(no_video, np.zeros(100, dtype=np.float32))
    assert no_video.read_bytes() == b"this is not a video"
    assert list(no_video.parent.iterdir()) == [no_video], "nothing is left behind"


def test_an_ffmpeg_that_does_not_run_is_told(
    no_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel for another processor is installed without complaint."""
    pytest.importorskip("imageio_ffmpeg", reason="extra `record`")
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(no_video))
    message = f"{no_video}: must be a program that runs, got "
    with pytest.raises(InputError, match=re.escape(message)):
        add_sound(no_video, np.zeros(100, dtype=np.float32))


def test_a_missing_ffmpeg_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some platforms have a wheel without the program, and others no wheel at all."""
    pytest.importorskip("imageio_ffmpeg", reason="extra `record`")

    def none(*_: Any) -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none)
    message = "`IMAGEIO_FFMPEG_EXE` must name an ffmpeg, got none: No ffmpeg exe could be found."
    with pytest.raises(InputError, match=re.escape(message)):
        find_ffmpeg()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    message = "Sound needs `imageio-ffmpeg`: run `pip install 'esarm[record]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        find_ffmpeg()
