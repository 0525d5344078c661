"""One video to one CSV, with a scripted tracker in MediaPipe's place."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.capture import HEADER, CaptureSummary, capture_video
from esarm_env.corpus.capture import video as video_module
from esarm_env.corpus.capture.faces import MEASURED_NAMES, Face, Picture, TrackerOpener
from esarm_env.corpus.capture.video import CapturedTrack, track_face, write_track
from esarm_env.face.names import ARKIT_NAMES

MakeFace = Callable[..., Face]
MakeOpener = Callable[[Sequence[Face | None]], TrackerOpener]
BLANK = np.zeros((480, 640, 3), np.uint8)


@pytest.fixture
def blank_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every video hold as many black frames as its name says, from -20 ms on."""

    def read(path: Path) -> Iterator[tuple[float, Picture]]:
        return ((-0.02 + index / 25, BLANK) for index in range(int(path.stem)))

    monkeypatch.setattr(video_module, "read_pictures", read)


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_header_is_the_contract() -> None:
    """A reader finds columns by these names."""
    assert HEADER[:3] == ("time_s", "quality", "browDownLeft")
    assert len(HEADER) == 53
    assert set(ARKIT_NAMES) - set(HEADER) == {"tongueOut"}
    assert list(MEASURED_NAMES) == sorted(MEASURED_NAMES)


@pytest.mark.usefixtures("blank_videos")
def test_a_capture_writes_one_row_per_frame(
    tmp_path: Path, make_face: MakeFace, make_opener: MakeOpener
) -> None:
    """Dropped rows would shift all the motion after them against the sound."""
    faces = [make_face(), None, make_face(value=0.5), make_face(value=1 / 3), make_face(height=64)]
    target = tmp_path / "deep" / "5.csv"
    opener = make_opener(faces)
    summary = capture_video("5.mp4", target, model="any", open_tracker=opener)
    header, *rows = rows_of(target)
    assert tuple(header) == HEADER
    assert [row[0] for row in rows] == ["-0.020000", "0.020000", "0.060000", "0.100000", "0.140000"]
    assert [row[1] for row in rows] == ["0.50000", "0.00000", "0.50000", rows[3][1], "0.50000"]
    assert [set(row[2:]) for row in rows] == [
        {"0.25000"},
        {""},
        {"0.50000"},
        {"0.33333"},
        {"0.25000"},
    ]
    mean = np.mean([float(row[1]) for row in rows])
    assert summary == CaptureSummary(5, 1, pytest.approx(mean, abs=1e-5))
    assert [path.name for path in target.parent.iterdir()] == ["5.csv"], "no draft is left"


@pytest.mark.usefixtures("blank_videos")
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("0.mp4", "must hold pictures, got a video track without any"),
        ("3.mp4", "must show a face, got none in 3 frames"),
    ],
)
def test_a_video_without_a_face_is_rejected(
    tmp_path: Path, make_opener: MakeOpener, name: str, rule: str
) -> None:
    """A corpus of empty tracks would only fail in training."""
    opener = make_opener([None] * 3)
    with pytest.raises(InputError, match=re.escape(f"{name}: {rule}")):
        capture_video(name, tmp_path / "a.csv", model="any", open_tracker=opener)
    assert list(tmp_path.iterdir()) == [], "a rejected video leaves nothing"


@pytest.mark.usefixtures("blank_videos")
def test_a_capture_that_breaks_off_leaves_the_old_file(
    tmp_path: Path, make_face: MakeFace, make_opener: MakeOpener
) -> None:
    """An interrupt in the last frame must not cost what was there."""
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(StopIteration):
        capture_video("4.mp4", target, model="any", open_tracker=make_opener([make_face()] * 3))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.csv", "old")]


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A full or read-only disk must be named, not traced back."""
    (tmp_path / "file").touch()
    nothing = np.zeros((0, 51), np.float32)
    track = CapturedTrack(nothing[:, 0], nothing[:, 0], nothing, np.zeros(0, np.bool_))
    target = tmp_path / "file" / "a.csv"
    with pytest.raises(
        InputError, match=re.escape(f"{target}: must be a file in a writable folder")
    ):
        write_track(target, track)


def test_the_tracker_is_asked_at_ascending_milliseconds(
    scripted: type, make_face: MakeFace
) -> None:
    """MediaPipe refuses a time twice; a 2000 fps video has two frames in a millisecond."""
    tracker = scripted([make_face()] * 5)
    times = (-0.5, -0.4996, -0.4992, -0.4, 0.1)
    track = track_face(((time_s, BLANK) for time_s in times), tracker)
    assert tracker.times_ms == [0, 1, 2, 100, 600]
    np.testing.assert_array_equal(track.time_s, times)
    assert track.values.shape == (5, 51)
