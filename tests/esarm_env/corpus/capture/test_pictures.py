"""Frames and their times, from videos that are written here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.capture.video import read_pictures

pytest.importorskip("av", reason="decoding needs the extra `capture`")

WriteVideo = Callable[..., Path]


def grey(n: int) -> list[np.ndarray]:
    return [np.full((32, 48, 3), 20 * index, np.uint8) for index in range(n)]


def times_of(path: Path) -> list[float]:
    return [time_s for time_s, _ in read_pictures(path)]


def test_frames_come_in_order_with_their_colours(tmp_path: Path, write_video: WriteVideo) -> None:
    """Blue for red costs the tracker little, and a film shot backwards even less."""
    pictures = grey(5)
    pictures[3][:] = (200, 0, 0)
    read = list(read_pictures(write_video(tmp_path / "a.mp4", pictures)))
    assert [time_s for time_s, _ in read] == pytest.approx(np.arange(5) / 25)
    for (_, picture), expected in zip(read, pictures, strict=True):
        assert picture.shape == (32, 48, 3)
        np.testing.assert_allclose(picture, expected, atol=12)


def test_a_variable_frame_rate_stays_one(tmp_path: Path, write_video: WriteVideo) -> None:
    """Phones drop frames in the dark: counted at a fixed rate the lips run ahead."""
    ticks = [0, 40, 80, 200, 240]
    path = write_video(tmp_path / "a.mp4", grey(5), ticks=ticks, rate=1000)
    assert times_of(path) == pytest.approx([0, 0.04, 0.08, 0.2, 0.24])


def test_without_sound_the_first_frame_is_at_zero(tmp_path: Path, write_video: WriteVideo) -> None:
    """A cut video keeps the clock of the whole one."""
    path = write_video(tmp_path / "a.mkv", grey(3), ticks=[250, 251, 252])
    assert times_of(path) == pytest.approx([0, 0.04, 0.08])


@pytest.mark.parametrize(("sound_at_s", "first_s"), [(0.0, 0.0), (0.1, -0.1)])
def test_time_counts_from_the_first_sample(
    tmp_path: Path, write_video: WriteVideo, sound_at_s: float, first_s: float
) -> None:
    """A tenth of a second between sound and picture is what everybody sees."""
    path = write_video(tmp_path / "a.mkv", grey(3), sound_at_s=sound_at_s)
    assert times_of(path) == pytest.approx([first_s, first_s + 0.04, first_s + 0.08], abs=1e-3)


def test_pictures_that_come_after_the_sound_start_late(
    tmp_path: Path, write_video: WriteVideo
) -> None:
    """Cameras open their microphone first."""
    path = write_video(tmp_path / "a.mkv", grey(2), ticks=[5, 6], sound_at_s=0.0)
    assert times_of(path) == pytest.approx([0.2, 0.24], abs=1e-3)


@pytest.mark.parametrize(("turned", "corner"), [(90, (2, 0)), (180, (3, 3)), (-90, (0, 2))])
def test_a_turned_video_comes_upright(
    tmp_path: Path, write_video: WriteVideo, turned: int, corner: tuple[int, int]
) -> None:
    """A phone held upright films lying down, and no tracker finds a lying face.

    The upper left quarter of the picture as filmed is white: turned to the left by 90 degrees,
    it is the lower left one.
    """
    video_stream = pytest.importorskip("av.video.stream").VideoStream
    if not hasattr(video_stream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write the rotation")
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = 255
    path = write_video(tmp_path / "a.mp4", [picture], turned=turned)
    [(_, upright)] = read_pictures(path)
    assert upright.shape == ((96, 64, 3) if turned in (90, -90) else (64, 96, 3))
    top, left = corner[0] >= 2, corner[1] >= 2
    halves = upright.mean(axis=2) > 128
    rows, columns = upright.shape[0] // 2, upright.shape[1] // 2
    quarters = {
        (low, right): halves[low * rows :, right * columns :][:rows, :columns].mean()
        for low in (0, 1)
        for right in (0, 1)
    }
    assert max(quarters, key=lambda place: quarters[place]) == (int(top), int(left))


def test_sound_without_pictures_is_rejected(tmp_path: Path) -> None:
    """A podcast in an MP4."""
    import av

    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000)
        samples = np.zeros((1, 1600), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match=re.escape(f"{path}: must have a video track, got none")):
        list(read_pictures(path))


def test_a_missing_video_is_rejected(tmp_path: Path) -> None:
    """FFmpeg's own words name no file."""
    path = tmp_path / "absent.mp4"
    with pytest.raises(InputError, match=re.escape(f"{path}: no such file; give the path of a")):
        list(read_pictures(path))


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_broken_video_is_rejected(tmp_path: Path, write_video: WriteVideo, is_cut: bool) -> None:
    """A download that stopped half way has no index, and an error page was never a video."""
    path = write_video(tmp_path / "a.mp4", grey(5))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"moov") - 8] if is_cut else b"not found" * 99)
    rule = f"{path}: must be a whole media file that FFmpeg decodes, got Invalid data"
    with pytest.raises(InputError, match=re.escape(rule)):
        list(read_pictures(path))
