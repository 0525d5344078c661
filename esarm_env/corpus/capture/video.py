"""One video to one CSV: decode, track, judge, write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from esarm_env.corpus.capture.faces import MEASURED_NAMES, FaceTracker, Picture, TrackerOpener
from esarm_env.corpus.capture.landmarker import open_landmarker
from esarm_env.corpus.capture.pictures import read_pictures
from esarm_env.corpus.capture.quality import Glance, glance_at, track_quality
from esarm_env.corpus.capture.table import CapturedTrack, write_track
from esarm_env.errors import InputError
from esarm_env.types import FloatArray

_NO_VALUES: FloatArray = np.zeros(len(MEASURED_NAMES), dtype=np.float32)


@dataclass(frozen=True)
class CaptureSummary:
    """What became of one video.

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
    """Capture the face of `video` and write its blendshapes to `target` (see `table.py`).

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
    """Follow the face through the pictures and judge every frame.

    Args:
        pictures: Seconds, strictly ascending, and RGB pictures (H, W, 3).
        tracker: A fresh one.
    """
    times: list[float] = []
    values: list[FloatArray] = []
    glances: list[Glance | None] = []
    time_ms = -1
    for time_s, picture in pictures:
        times.append(time_s)
        # MediaPipe wants whole milliseconds that ascend from 0; ours may be closer, or negative.
        time_ms = max(time_ms + 1, round((time_s - times[0]) * 1000))
        face = tracker.track(picture, time_ms)
        height, width = picture.shape[:2]
        values.append(_NO_VALUES if face is None else face.values)
        glances.append(None if face is None else glance_at(face, width=width, height=height))
    time_axis = np.array(times, dtype=np.float64)
    return CapturedTrack(
        time_s=time_axis,
        quality=track_quality(glances, time_axis),
        values=np.array(values, dtype=np.float32).reshape(-1, len(MEASURED_NAMES)),
        found=np.array([glance is not None for glance in glances], dtype=np.bool_),
    )
