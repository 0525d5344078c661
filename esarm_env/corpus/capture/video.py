"""Capture of one video to one CSV file: decode frames, track the face, rate the quality, write.

The file has one row per video frame, `time_s,quality,browDownLeft,...`: 53 columns, the shapes in
alphabetical order without `tongueOut`, which is not measured. `time_s` counts from the first sample
of the video's own sound track (from the first frame where there is none), so the first one is often
0 but may lie a little beside it, below zero too. A frame without a face has quality 0 and empty
cells. Quality: see `faces`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.audio.sound_files import open_file
from esarm_env.audio.video_sound import open_media, sound_start_s
from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError
from esarm_env.corpus.capture.faces import (
    MEASURED_NAMES,
    FaceSummary,
    FaceTracker,
    Picture,
    TrackerOpener,
    summarise_face,
    track_quality,
)
from esarm_env.corpus.capture.landmarker import EXTRA, open_landmarker

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray

HEADER: tuple[str, ...] = ("time_s", "quality", *MEASURED_NAMES)
_FALLBACK_RATE_HZ = 25.0
_NO_VALUES: FloatArray = np.zeros(len(MEASURED_NAMES), dtype=np.float32)


@dataclass(frozen=True)
class CapturedTrack:
    """Time, quality and blendshapes of every frame of a video.

    Attributes:
        time_s: Shape (T,), float64, strictly ascending.
        quality: Shape (T,), float32 in [0, 1]; 0 where there is no face.
        values: Shape (T, 51), float32 in [0, 1], order of `MEASURED_NAMES`; 0 where no face is.
        found: Shape (T,), whether there is a face.
    """

    time_s: np.ndarray
    quality: FloatArray
    values: FloatArray
    found: BoolArray


def write_track(path: Path, track: CapturedTrack) -> None:
    """Write `track` to `path` atomically.

    Raises:
        InputError: If the file cannot be written.
    """
    empty = "," * len(MEASURED_NAMES)
    cells = ",%.5f" * len(MEASURED_NAMES)
    rows = zip(track.time_s, track.quality, track.values, track.found, strict=True)
    lines = [",".join(HEADER)]
    for time_s, quality, values, found in rows:
        shapes = cells % tuple(values) if found else empty
        lines.append(f"{time_s:.6f},{quality:.5f}{shapes}")
    write_text(path, "\n".join(lines) + "\n")


def read_pictures(video: Path) -> Iterator[tuple[float, Picture]]:
    """Decode the first video track; yield time and RGB picture of every frame.

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
    with open_file(video, kind="video"):
        pass  # no folder, and not empty
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


@dataclass(frozen=True)
class CaptureSummary:
    """Report on the capture of one video.

    Attributes:
        n_frames: Frames of the video.
        n_lost: Those without a face.
        mean_quality: Over all frames, in [0, 1].
    """

    n_frames: int
    n_lost: int
    mean_quality: float


def capture_video(
    video: str | Path,
    target: str | Path,
    *,
    model: str | Path,
    open_tracker: TrackerOpener = open_landmarker,
) -> CaptureSummary:
    """Capture the face of `video` and write its blendshapes to `target` (see the module).

    Args:
        video: A file with a video track, any frame rate, rotation and size.
        target: The CSV; replaced if it exists, and written only when the capture is whole.
        model: MediaPipe's `face_landmarker.task`.
        open_tracker: What finds the face; MediaPipe unless told otherwise.

    Raises:
        InputError: If the video cannot be read or shows no face, the model cannot be used, or the
            CSV cannot be written.
        MissingExtraError: If MediaPipe or PyAV is absent.
    """
    video = Path(video)
    with open_tracker(Path(model)) as tracker:
        track = track_face(read_pictures(video), tracker)
    n_frames, n_found = len(track.found), int(track.found.sum())
    if not n_frames:
        raise InputError(f"{video}: must hold pictures, got a video track without any")
    if not n_found:
        raise InputError(f"{video}: must show a face, got none in {n_frames} frames")
    write_track(Path(target), track)
    return CaptureSummary(n_frames, n_frames - n_found, float(track.quality.mean()))


def track_face(pictures: Iterable[tuple[float, Picture]], tracker: FaceTracker) -> CapturedTrack:
    """Track the face through the pictures and rate every frame.

    Args:
        pictures: Seconds, strictly ascending, and RGB pictures (H, W, 3).
        tracker: A fresh one.
    """
    times: list[float] = []
    values: list[FloatArray] = []
    summaries: list[FaceSummary | None] = []
    time_ms = -1
    for time_s, picture in pictures:
        times.append(time_s)
        # MediaPipe wants whole milliseconds that ascend from 0; ours may be closer, or negative.
        time_ms = max(time_ms + 1, round((time_s - times[0]) * 1000))
        face = tracker.track(picture, time_ms)
        height, width = picture.shape[:2]
        values.append(_NO_VALUES if face is None else face.values)
        summaries.append(None if face is None else summarise_face(face, width=width, height=height))
    time_axis = np.array(times, dtype=np.float64)
    return CapturedTrack(
        time_s=time_axis,
        quality=track_quality(summaries, time_axis),
        values=np.array(values, dtype=np.float32).reshape(-1, len(MEASURED_NAMES)),
        found=np.array([glance is not None for glance in summaries], dtype=np.bool_),
    )
