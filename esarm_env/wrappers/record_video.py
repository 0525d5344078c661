"""`RecordVideo`: Gymnasium's episode recorder with the utterances' sound."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import gymnasium
import numpy as np
from gymnasium import logger
from gymnasium.error import DependencyNotInstalled

from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.rendering.episode import EpisodeRenderer
from esarm_env.rendering.sound import Seen, add_sound, soundtrack
from esarm_env.rendering.view import EpisodeView, Timing

ObsType = TypeVar("ObsType")
ActType = TypeVar("ActType")

# Long enough to read the scores. moviepy 2.2 also loses the very last picture of most lengths.
_HOLD_S = 1.0


class _ShowsEpisodes(Protocol):
    """Protocol of an environment that gives snapshots of its episode to a renderer."""

    def episode_view(self) -> EpisodeView:
        """Return a snapshot of the episode."""


class RecordVideo(gymnasium.wrappers.RecordVideo[ObsType, ActType]):
    """Gymnasium's `RecordVideo` with the sound of the utterances.

    Arguments, triggers, file names and pictures are those of `gymnasium.wrappers.RecordVideo`. Each
    utterance is heard from the moment when its motion is first seen, `Timing.delay_steps` pictures
    after the reset. Videos of one episode each (`video_length=0`) run on for as long at their end,
    so that all of it is seen and heard, and then hold the last picture for a second; those of a
    fixed length are cut off. If the sound cannot be put in, a warning says why and the video stays
    as it is, silent.

    It needs the extra `record` (moviepy, imageio-ffmpeg).
    """

    def __init__(
        self, env: gymnasium.Env[ObsType, ActType], video_folder: str, *args: Any, **kwargs: Any
    ) -> None:
        """Wrap an environment.

        Args:
            env: `ESARM-v0` with `render_mode="rgb_array"`, itself wrapped or not.
            video_folder: Where the videos go.
            *args: As `gymnasium.wrappers.RecordVideo` takes them.
            **kwargs: The same. With another `fps` than that of the environment the videos are
                silent, as they are not in real time.

        Raises:
            InputError: If `env` is another environment.
            MissingExtraError: If moviepy is not installed.
        """
        self.recorded_frames: list[Any] = []  # `__del__` reads it, even if `__init__` failed
        if not hasattr(env.unwrapped, "episode_view"):
            raise InputError(
                f"`env` must be a speech animation environment, got {env.unwrapped}; "
                "use `gymnasium.wrappers.RecordVideo` for others"
            )
        try:
            super().__init__(env, video_folder, *args, **kwargs)
        except DependencyNotInstalled as error:
            purpose = "Recording videos"
            raise MissingExtraError("moviepy", extra="record", purpose=purpose) from error
        self._seen: list[Seen] = []

    def _capture_frame(self) -> None:
        """Render a frame, and note which utterance and step it shows."""
        number = len(self.recorded_frames)
        cast(Any, super())._capture_frame()
        if len(self.recorded_frames) > number:
            view = cast(_ShowsEpisodes, self.env.unwrapped).episode_view()
            self._seen.append(Seen(number, view.utterance, view.step))
            self._task = view.task
            if view.is_over and self.video_length == math.inf:
                self._run_on(view)

    def _run_on(self, view: EpisodeView) -> None:
        """Append the frames that the delay held back, then hold the last; altered frames stay."""
        last = self.recorded_frames.pop()
        renderer = EpisodeRenderer(view.task)
        if np.array_equal(renderer.frame(view), last):
            self.recorded_frames.extend(renderer.frames_left(view))
        self.recorded_frames += [last] * (1 + round(_HOLD_S * self.frames_per_sec))

    def stop_recording(self) -> None:
        """Write the video that was being recorded, and put its sound in."""
        path = Path(self.video_folder, f"{self._video_name}.mp4")
        n_pictures, seen = len(self.recorded_frames), self._seen
        self._seen = []
        cast(Any, super()).stop_recording()
        if seen:
            try:
                self._add_sound(path, seen, n_pictures)
            except (InputError, MissingExtraError, OSError) as error:
                logger.warn("%s has no sound: %s", path, error)

    def _add_sound(self, path: Path, seen: list[Seen], n_pictures: int) -> None:
        timing, corpus = Timing.of(self._task.tokenizer), self._task.corpus
        if not math.isclose(self.frames_per_sec, timing.fps):
            real = f"{timing.fps:g}, which is real time"
            raise InputError(f"`fps` must be {real}, got {self.frames_per_sec}")
        sound = soundtrack(
            seen,
            n_pictures=n_pictures,
            timing=timing,
            audio_of=lambda utterance: corpus[utterance].audio,
        )
        add_sound(path, sound)
