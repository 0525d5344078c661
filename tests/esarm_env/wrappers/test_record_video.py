"""Videos with sound: measured in the files, by a click at which the jaw falls open."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.core.types import (
    N_CHANNELS,
    SAMPLE_RATE_HZ,
    Corpus,
    FloatArray,
    IntArray,
    Record,
    Utterance,
)
from esarm_env.face import load_head
from esarm_env.face.names import index_of
from esarm_env.rendering import EpisodeRenderer, EpisodeView
from esarm_env.task.animation_task import AnimationTask
from esarm_env.task.conditions import ConditionEncoder
from esarm_env.wrappers.record_video import RecordVideo

av = pytest.importorskip("av", reason="extra `video`")
pytest.importorskip("moviepy", reason="extra `record`")

_N_FRAMES = 24
_CLICKS = (10, 5)  # the frame in which each utterance clicks and opens its mouth
_DELAY = 8  # pictures


class _FrameTokens:
    """A tokenizer whose tokens are the jaw's position, frame by frame."""

    n_tokens, tokens_per_chunk, frames_per_chunk = 2, 4, 4

    def decode(self, tokens: IntArray) -> FloatArray:
        motion = np.zeros((len(tokens), N_CHANNELS), dtype=np.float32)
        motion[:, index_of("jawOpen")] = tokens
        return motion


class _Features(list[FloatArray]):
    dim = 1


class _ClickEnv(gymnasium.Env[IntArray, np.int64]):
    """Plays the utterances of a task one after the other."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(self, task: AnimationTask) -> None:
        self.render_mode = "rgb_array"
        self.action_space = spaces.Discrete(2)
        self.observation_space = spaces.Box(0, 1000, (1,), np.int64)
        self._task = task
        self._utterance = -1
        self._renderer = EpisodeRenderer(task)

    def reset(self, **_: Any) -> tuple[IntArray, dict[str, Any]]:
        self._utterance = (self._utterance + 1) % len(_CLICKS)
        self._tokens: list[int] = []
        return np.array([0]), {}

    def step(self, action: np.int64) -> tuple[IntArray, float, bool, bool, dict[str, Any]]:
        self._tokens.append(int(action))
        return np.array([0]), 0.0, len(self._tokens) == _N_FRAMES, False, {}

    def episode_view(self) -> EpisodeView:
        condition = self._task.condition_of(np.array([self._utterance]))[0]
        tokens = np.array(self._tokens, dtype=np.int64)
        return EpisodeView(self._task, self._utterance, tokens, _N_FRAMES, condition)

    def render(self) -> Any:
        return self._renderer.render(self.episode_view())


def _click_utterance(number: int, frame: int) -> Utterance:
    """Return silence with a burst of 1 kHz that begins with `frame`."""
    audio = np.zeros(_N_FRAMES * SAMPLE_RATE_HZ // 30, dtype=np.float32)
    begin, n_burst = round(frame * SAMPLE_RATE_HZ / 30), SAMPLE_RATE_HZ // 20
    audio[begin : begin + n_burst] = 0.8 * np.sin(
        2 * np.pi * 1000 / SAMPLE_RATE_HZ * np.arange(800)
    )
    motion = np.zeros((_N_FRAMES, N_CHANNELS), dtype=np.float32)
    record = Record(f"click-{number}", "anna", "neutral", 1, None, _N_FRAMES)
    return Utterance(record, audio, motion, np.ones(N_CHANNELS, dtype=np.bool_))


@pytest.fixture
def env(make_corpus: Callable[..., Corpus]) -> _ClickEnv:
    clicks = [_click_utterance(number, frame) for number, frame in enumerate(_CLICKS)]
    corpus = make_corpus(clicks, {"train": range(len(clicks))})
    features: Any = _Features([np.zeros((_N_FRAMES, 1), dtype=np.float32)] * len(clicks))
    tokenizer: Any = _FrameTokens()
    conditions = ConditionEncoder(("anna",))
    return _ClickEnv(AnimationTask(corpus, features, tokenizer, load_head(), conditions))


def _play(env: gymnasium.Env[Any, Any], *, episodes: int = 1) -> None:
    """Play episodes whose mouths open at their clicks, and close the environment."""
    for episode in range(episodes):
        env.reset()
        for frame in range(_N_FRAMES):
            env.step(np.int64(frame >= _CLICKS[episode % len(_CLICKS)]))
    env.close()


def _pictures(video: Path) -> tuple[list[float], list[np.ndarray]]:
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
        return [float(frame.time) for frame in frames], [
            f.to_ndarray(format="rgb24") for f in frames
        ]


def _openings_s(video: Path) -> list[float]:
    """Return when the jaw falls open in the pictures of `video`, in seconds."""
    times_s, pictures = _pictures(video)
    mouths = [picture[240:340, 180:300].mean(axis=2) for picture in pictures]
    changes = [np.abs(after - before).mean() for before, after in pairwise(mouths)]
    darker = [after.mean() < before.mean() for before, after in pairwise(mouths)]
    pairs = zip(times_s[1:], changes, darker, strict=True)
    return [time_s for time_s, change, opens in pairs if change > 5 and opens]


def _clicks_s(video: Path) -> list[float]:
    """Return when bursts begin in the sound of `video`, in seconds on the pictures' clock."""
    with av.open(str(video)) as container:
        times, samples = [], []
        for frame in container.decode(audio=0):
            sound = np.abs(frame.to_ndarray()[0])
            samples.append(sound)
            times.append(float(frame.time) + np.arange(len(sound)) / frame.sample_rate)
    loud = np.concatenate(times)[np.concatenate(samples) > 0.4]
    return [float(loud[0]), *(float(b) for a, b in pairwise(loud) if b - a > 0.1)]


def test_the_click_is_heard_when_the_jaw_falls_open(env: _ClickEnv, tmp_path: Path) -> None:
    """Lips that are off by 50 ms look wrong, and nothing but the file tells where they are."""
    _play(RecordVideo(env, str(tmp_path / "videos"), name_prefix="click"))
    video = tmp_path / "videos" / "click-episode-0.mp4"
    assert _openings_s(video) == pytest.approx([(_CLICKS[0] + _DELAY) / 30], abs=1e-3)
    assert _clicks_s(video) == pytest.approx(_openings_s(video), abs=0.005)


def test_the_whole_episode_is_in_the_video(env: _ClickEnv, tmp_path: Path) -> None:
    """Motion is late: cut off at the last step, the last words would be lost."""
    _play(RecordVideo(env, str(tmp_path / "videos")))
    video = tmp_path / "videos" / "rl-video-episode-0.mp4"
    times_s, pictures = _pictures(video)
    held_s = 1.0
    assert len(times_s) == pytest.approx(_DELAY + _N_FRAMES + 30 * held_s, abs=1)
    with av.open(str(video)) as container:
        sound_s = float(container.streams.audio[0].duration * container.streams.audio[0].time_base)
    assert sound_s == pytest.approx(times_s[-1] + 1 / 30, abs=0.05)
    held = pictures[_DELAY + _N_FRAMES - 1 :]
    differences = [np.abs(held[0].astype(int) - one).mean() for one in held]
    assert max(differences) < 1, "the last picture is held"


def test_episodes_in_one_video_have_a_click_each(env: _ClickEnv, tmp_path: Path) -> None:
    """A video of a fixed length runs over resets; each utterance has to begin anew."""
    video_length = 2 * (_N_FRAMES + 1) - 1
    recorder = RecordVideo(
        env, str(tmp_path / "videos"), lambda number: number == 0, video_length=video_length
    )
    _play(recorder, episodes=3)
    video = tmp_path / "videos" / "rl-video-episode-0.mp4"
    second = (_N_FRAMES + 1 + _CLICKS[1] + _DELAY) / 30
    expected = [(_CLICKS[0] + _DELAY) / 30, second]
    assert _openings_s(video) == pytest.approx(expected, abs=1e-3)
    assert _clicks_s(video) == pytest.approx(expected, abs=0.005)
    assert len(_pictures(video)[0]) == pytest.approx(video_length + 1, abs=1)


def test_a_video_from_the_middle_is_in_time_too(env: _ClickEnv, tmp_path: Path) -> None:
    """Step triggers know nothing of episodes."""
    recorder = RecordVideo(env, str(tmp_path / "videos"), step_trigger=lambda step: step == 12)
    _play(recorder)
    video = tmp_path / "videos" / "rl-video-step-12.mp4"
    first_step = 13
    expected = [(_CLICKS[0] + _DELAY - first_step) / 30]
    assert _openings_s(video) == pytest.approx(expected, abs=1e-3)
    assert _clicks_s(video) == pytest.approx(expected, abs=0.005)


def test_every_episode_gets_a_video_of_its_own(env: _ClickEnv, tmp_path: Path) -> None:
    """What one video has shown must not be heard in the next."""
    _play(RecordVideo(env, str(tmp_path / "videos"), lambda number: True), episodes=2)
    for number, frame in enumerate(_CLICKS):
        video = tmp_path / "videos" / f"rl-video-episode-{number}.mp4"
        assert _clicks_s(video) == pytest.approx([(frame + _DELAY) / 30], abs=0.005)


def _assert_silent(video: Path) -> None:
    with av.open(str(video)) as container:
        assert not container.streams.audio
        assert len(list(container.decode(video=0))) >= _N_FRAMES


def test_a_failing_ffmpeg_leaves_the_silent_video(
    env: _ClickEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pictures of a long training run must not be lost with their sound."""

    def fail(*_: Any) -> None:
        raise InputError("ffmpeg ended with 1 and wrote: 100% nonsense")

    monkeypatch.setattr("esarm_env.wrappers.record_video.add_sound", fail)
    video = tmp_path / "videos" / "rl-video-episode-0.mp4"
    said = f"{video} has no sound: ffmpeg ended with 1 and wrote: 100% nonsense"
    with pytest.warns(UserWarning, match=re.escape(said)):
        _play(RecordVideo(env, str(tmp_path / "videos")))
    _assert_silent(video)


def test_a_video_in_slow_motion_is_silent(env: _ClickEnv, tmp_path: Path) -> None:
    """At ten pictures a second, speech in real time would fit nothing that is seen."""
    said = "has no sound: `fps` must be 30, which is real time, got 10"
    with pytest.warns(UserWarning, match=re.escape(said)):
        _play(RecordVideo(env, str(tmp_path / "videos"), fps=10))
    _assert_silent(tmp_path / "videos" / "rl-video-episode-0.mp4")


def test_pictures_that_a_wrapper_has_changed_stay_its_own(env: _ClickEnv, tmp_path: Path) -> None:
    """Frames drawn here between changed ones would flicker; the sound is put in all the same."""

    class Dark(gymnasium.Wrapper[Any, Any, Any, Any]):
        def render(self) -> Any:
            return self.env.render() // 2  # type: ignore[operator]

    _play(RecordVideo(Dark(env), str(tmp_path / "videos")))
    video = tmp_path / "videos" / "rl-video-episode-0.mp4"
    times_s, pictures = _pictures(video)
    assert len(times_s) == pytest.approx(_N_FRAMES + 1 + 30, abs=1)
    assert max(picture[60, 20].mean() for picture in pictures) < 130, "none is bright"
    assert _clicks_s(video) == pytest.approx([(_CLICKS[0] + _DELAY) / 30], abs=0.005)


def test_the_wrapper_of_gymnasium_records_in_silence(env: _ClickEnv, tmp_path: Path) -> None:
    """Code written for any environment must run on this one."""
    _play(gymnasium.wrappers.RecordVideo(env, str(tmp_path / "videos")))
    video = tmp_path / "videos" / "rl-video-episode-0.mp4"
    _assert_silent(video)
    assert len(_pictures(video)[0]) == pytest.approx(_N_FRAMES + 1, abs=1)


def test_other_environments_are_sent_to_gymnasium(tmp_path: Path) -> None:
    """They say nothing of utterances; without a check it fails at the first picture."""
    other = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    message = "`env` must be a speech animation environment, got "
    with pytest.raises(InputError, match=re.escape(message)):
        RecordVideo(other, str(tmp_path / "videos"))
    assert not (tmp_path / "videos").exists()
    other.close()


def test_a_missing_moviepy_names_the_extra(
    env: _ClickEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gymnasium's own message names an extra of gymnasium, with ten packages nobody needs."""
    monkeypatch.setitem(sys.modules, "moviepy", None)
    message = "Recording videos needs `moviepy`: run `pip install 'esarm[record]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        RecordVideo(env, str(tmp_path / "videos"))
