"""Whole trees of videos, captured by a worker that needs neither videos nor MediaPipe."""

from __future__ import annotations

import math
import os
import re
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.capture import CaptureReport, CaptureSummary, capture_tree
from esarm_env.corpus.capture.tree import find_videos

# Ten frames a video, one of them lost; "bad" is refused and "crash" ends the process.
WORKER = """
import json, os, pathlib, sys
print("{}", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    name = pathlib.Path(job["video"]).stem
    if name == "crash":
        os.abort()
    if name == "bad":
        answer = {"fault": job["video"] + ": must show a face"}
    else:
        target = pathlib.Path(job["target"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(pathlib.Path(job["video"]).read_text())
        answer = {"n_frames": 10, "n_lost": 1, "mean_quality": 0.5}
    print(json.dumps(answer), flush=True)
"""
OLD, NEW = 1_000_000_000, 2_000_000_000


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "face_landmarker.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("face_blendshapes.tflite", b"")
    return path


@pytest.fixture
def capture(tmp_path: Path, model: Path) -> partial[CaptureReport]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    worker = (sys.executable, str(script))
    return partial(capture_tree, model=model, worker=worker, n_workers=1, progress=False)


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def made(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.csv"))


def test_a_tree_is_mirrored(tmp_path: Path, capture: partial[CaptureReport]) -> None:
    """The pairing with the sound goes by path: `001` of one speaker is not that of another."""
    root = tree(tmp_path / "videos", "M003/happy/001.mp4", "W009/001.MOV", "one.webm")
    report = capture(root)
    assert made(root / "blendshape") == ["M003/happy/001.csv", "W009/001.csv", "one.csv"]
    assert (root / "blendshape/W009/001.csv").read_text() == "W009/001.MOV"
    assert set(report.captured) == {
        root / "blendshape" / name for name in made(root / "blendshape")
    }
    assert (report.n_frames, report.n_skipped, report.faults) == (30, 0, [])
    assert report.mean_quality == pytest.approx(0.5)
    assert report.lost_share == pytest.approx(0.1)


def test_the_output_may_be_elsewhere(tmp_path: Path, capture: partial[CaptureReport]) -> None:
    """A dataset is often on a disk that cannot be written."""
    root = tree(tmp_path / "videos", "a/b.mp4")
    capture(root, tmp_path / "out")
    assert made(tmp_path / "out") == ["a/b.csv"]
    assert made(root) == []


def test_only_videos_that_fit_are_found(tmp_path: Path) -> None:
    """MEAD has seven cameras; macOS leaves `._001.mp4` beside every file it copied."""
    names = ("M003/video/front/a/1.mp4", "M003/video/left_30/a/1.mp4", "M003/audio/a/1.m4a")
    hidden = ("M003/video/front/a/._1.mp4", ".trash/video/front/2.mp4", "notes.txt")
    root = tree(tmp_path / "videos", *names, *hidden)
    assert find_videos(root) == [root / names[0], root / names[1]]
    assert find_videos(root, "*/video/front/*") == [root / names[0]]


def test_what_is_there_is_kept(tmp_path: Path, capture: partial[CaptureReport]) -> None:
    """Forty hours of video must go on where an interrupt cut them, not begin again."""
    root = tree(tmp_path / "videos", "a.mp4", "b.mp4", "c.mp4")
    tree(root / "blendshape", "a.csv", "b.csv")
    for name in ("a.mp4", "blendshape/b.csv"):
        os.utime(root / name, (OLD, OLD))
    for name in ("b.mp4", "blendshape/a.csv"):
        os.utime(root / name, (NEW, NEW))
    report = capture(root)
    assert report.n_skipped == 1, "a.csv is newer than its video, b.csv is not, c.csv is not there"
    assert sorted(path.name for path in report.captured) == ["b.csv", "c.csv"]
    assert capture(root, overwrite=True).n_skipped == 0
    assert (root / "blendshape/a.csv").read_text() == "a.mp4"


def test_bad_videos_are_listed(tmp_path: Path, capture: partial[CaptureReport]) -> None:
    """One broken download must not end the run, nor go unnamed."""
    root = tree(tmp_path / "videos", "a.mp4", "bad.mp4", "crash.mp4", "z.mp4")
    report = capture(root)
    assert made(root / "blendshape") == ["a.csv", "z.csv"]
    assert report.faults == [
        f"{root / 'bad.mp4'}: must show a face",
        f"{root / 'crash.mp4'}: ended its worker process (signal 6, last words: none)",
    ]


def test_two_videos_of_one_name_are_told(tmp_path: Path, capture: partial[CaptureReport]) -> None:
    """The second would overwrite the first, in whatever order they finish."""
    root = tree(tmp_path / "videos", "a.mov", "a.mp4")
    report = capture(root)
    assert (root / "blendshape/a.csv").read_text() == "a.mov"
    assert report.faults == [
        f"{root / 'a.mp4'}: must differ from a.mov in more than the ending, "
        "or both write one CSV; rename it"
    ]


def test_one_video_is_captured_beside_itself(
    tmp_path: Path, capture: partial[CaptureReport]
) -> None:
    """The first thing anybody tries."""
    root = tree(tmp_path / "videos", "a.mp4")
    assert capture(root / "a.mp4").captured == {root / "a.csv": CaptureSummary(10, 1, 0.5)}
    assert list(capture(root / "a.mp4", tmp_path / "x.csv").captured) == [tmp_path / "x.csv"]


def test_one_bad_video_is_an_error(tmp_path: Path, capture: partial[CaptureReport]) -> None:
    """With nothing else to go on with, a list of one fault would look like success."""
    video = tree(tmp_path / "videos", "bad.mp4") / "bad.mp4"
    with pytest.raises(InputError, match=re.escape(f"{video}: must show a face")):
        capture(video)


@pytest.mark.parametrize(
    ("folder", "options", "rule"),
    [
        ("absent", {}, "absent: no such video or folder"),
        (
            "videos",
            {"match": "*.avi"},
            "must hold videos (.3g2, .3gp, .avi, .flv, .m2ts, .m4v, .mkv, .mov, .mp4, .mpeg,",
        ),
        ("videos", {"n_workers": 0}, "`n_workers` must be at least 1, got 0"),
        ("videos", {"model": "no.task"}, "`model` must be a Face Landmarker file, got no file no"),
    ],
)
def test_a_call_that_cannot_work_is_rejected(
    tmp_path: Path, capture: partial[CaptureReport], folder: str, options: dict, rule: str
) -> None:
    """Said before the first worker starts."""
    tree(tmp_path / "videos", "a.mp4")
    with pytest.raises(InputError, match=re.escape(rule)):
        capture(tmp_path / folder, **options)


def test_an_empty_report_has_no_means() -> None:
    """Everything skipped is the common second run, and no division by zero."""
    report = CaptureReport(n_skipped=3)
    assert math.isnan(report.mean_quality) and math.isnan(report.lost_share)


def test_the_progress_bar_is_no_output(
    tmp_path: Path, capture: partial[CaptureReport], capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output belongs to the results."""
    capture(tree(tmp_path / "videos", "a.mp4"), progress=True)
    assert capsys.readouterr().out == ""
