"""Faces made by hand, a tracker that follows a script, and videos made on the spot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from esarm_env.corpus.capture.faces import Face, FaceTracker, Picture, TrackerOpener

MakeFace = Callable[..., Face]
MakeOpener = Callable[[Sequence[Face | None]], TrackerOpener]
WriteVideo = Callable[..., Path]


def _face(
    *,
    height: float = 200.0,
    at: tuple[float, float] = (320.0, 240.0),
    yaw: float = 0.0,
    pitch: float = 0.0,
    value: float = 0.25,
) -> Face:
    """Return a face whose landmarks fill a square of `height` pixels around `at`."""
    half = np.random.default_rng(0).uniform(-0.5, 0.5, (239, 2))
    half[0] = 0.5, 0.5
    square = np.concatenate([half, -half])
    y, p = np.radians([yaw, pitch])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    return Face(
        values=np.full(51, value, np.float32),
        landmarks=(square * height + at).astype(np.float32),
        rotation=(turn @ nod).astype(np.float32),
    )


@pytest.fixture(scope="session")
def make_face() -> MakeFace:
    return _face


class ScriptedTracker:
    """Answers with the faces of a list, one by one, and keeps the times it was asked for."""

    def __init__(self, faces: Sequence[Face | None]) -> None:
        self._faces = iter(faces)
        self.times_ms: list[int] = []

    def track(self, picture: Picture, time_ms: int) -> Face | None:
        assert picture.dtype == np.uint8 and picture.shape[2] == 3, "pictures are RGB bytes"
        self.times_ms.append(time_ms)
        return next(self._faces)


@pytest.fixture(scope="session")
def scripted() -> type[ScriptedTracker]:
    return ScriptedTracker


@pytest.fixture(scope="session")
def make_opener() -> MakeOpener:
    def make(faces: Sequence[Face | None]) -> TrackerOpener:
        @contextlib.contextmanager
        def opened(model: Path, /) -> Iterator[FaceTracker]:
            yield ScriptedTracker(faces)

        return opened

    return make


def _write_video(
    path: Path,
    pictures: Sequence[Picture],
    *,
    ticks: Sequence[int] | None = None,
    rate: int = 25,
    sound_at_s: float | None = None,
    turned: int = 0,
) -> Path:
    """Encode pictures as MPEG-4, at `ticks` / `rate` seconds, with a tone from `sound_at_s` on."""
    import av

    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt, video.bit_rate = "yuv420p", 4_000_000
        if turned:
            video.set_display_rotation(turned)
        sound = None if sound_at_s is None else container.add_stream("pcm_s16le", rate=16_000)
        for tick, picture in zip(ticks or range(len(pictures)), pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound is not None:
            tone = np.sin(np.arange(16_000) * 0.2) * 10_000
            heard = av.AudioFrame.from_ndarray(
                tone.astype(np.int16)[None], format="s16", layout="mono"
            )
            heard.sample_rate, heard.time_base = 16_000, Fraction(1, 16_000)
            heard.pts = round(sound_at_s * 16_000)
            container.mux(sound.encode(heard))
            container.mux(sound.encode())
    return path


@pytest.fixture(scope="session")
def write_video() -> WriteVideo:
    return _write_video
