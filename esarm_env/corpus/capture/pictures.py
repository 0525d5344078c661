"""The pictures of a video, upright, each with the time at which it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.audio.video_sound import open_media, sound_start_s
from esarm_env.corpus.capture.faces import Picture
from esarm_env.corpus.capture.landmarker import EXTRA
from esarm_env.errors import InputError

_FALLBACK_RATE_HZ = 25.0


def read_pictures(video: Path) -> Iterator[tuple[float, Picture]]:
    """Yield every frame of the first video track.

    Times are the file's own, so a variable frame rate stays one. Zero is the first sample of the
    sound track (as `read_audio` gives it) where there is one, else the first frame: the first time
    may therefore be a little above or below zero. They strictly ascend; a frame with a time that
    is missing or not after the last one's follows it at the nominal frame rate.

    Args:
        video: An existing file.

    Yields:
        Seconds, and the RGB picture (H, W, 3), turned as the file's rotation says.

    Raises:
        MissingExtraError: If PyAV is absent.
        InputError: If the file has no video track or cannot be decoded.
    """
    if not video.is_file():
        raise InputError(f"{video}: no such file; give the path of a video")
    with open_media(video, extra=EXTRA) as container:
        if not container.streams.video:
            raise InputError(f"{video}: must have a video track, got none")
        stream = container.streams.video[0]
        step_s = 1 / float(stream.average_rate or _FALLBACK_RATE_HZ)
        zero_s = sound_start_s(video)
        last_s: float | None = None
        for frame in container.decode(stream):
            shown_s = None if frame.time is None else float(frame.time)
            if zero_s is None:
                zero_s = shown_s or 0.0
            time_s = None if shown_s is None else shown_s - zero_s
            if last_s is None:
                time_s = 0.0 if time_s is None else time_s
            elif time_s is None or time_s <= last_s:
                time_s = last_s + step_s
            last_s = time_s
            yield time_s, _upright(frame)


def _upright(frame: Any) -> Picture:
    """Return the RGB picture, turned counter-clockwise by the frame's rotation."""
    picture: Picture = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90) % 4
    return np.rot90(picture, quarter_turns)
