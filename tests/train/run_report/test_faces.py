"""Strip of faces in a run's report: drawn once, and missed with a line that says why."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from esarm_env.core.errors import MissingExtraError
from train.report import write_report
from train.run.run_folder import RunFolder
from train.run_report import faces
from train.run_report.faces import faces_section

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> RunFolder:
    """A copy of a finished run, with its report."""
    shutil.copytree(finished_run, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")


def test_the_strip_is_in_the_report_with_commands_that_show_more(finished_run: Path) -> None:
    """A page on talking faces without a face is half a page."""
    text = (finished_run / "report.md").read_text()
    section = text.split("## Faces")[1].split("\n## ")[0]
    assert "](faces.png)" in section
    assert (finished_run / "faces.png").read_bytes()[:4] == b"\x89PNG"
    assert f"esarm figure5 --run {finished_run} --methods recording " in section
    assert f"esarm animate SPEECH.wav -o face.csv --run {finished_run}" in section


def test_a_strip_is_drawn_again_only_after_what_it_shows(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`esarm run` on a finished run costs seconds already; an old face would be a wrong one."""
    drawn = []
    monkeypatch.setattr(faces, "_draw", lambda run, best, target: drawn.append(best.label))
    faces_section(run)
    assert drawn == []
    later = (run.path / "faces.png").stat().st_mtime_ns + 10**9
    os.utime(run.path / "improve" / "summary.json", ns=(later, later))
    faces_section(run)
    assert len(drawn) == 1


@pytest.mark.parametrize("missing", ["corpus", "pillow"])
def test_what_cannot_be_drawn_is_said_and_no_old_picture_stays(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """A corpus that moved away must not take the whole report with it."""
    picture = run.path / "faces.png"
    if missing == "corpus":
        (run.path / "corpus" / "corpus.json").unlink()
        picture.unlink()
    else:
        error = MissingExtraError("pillow", extra="render", purpose="A strip")
        os.utime(picture, (0, 0))

        def refuse(*_: object) -> None:
            raise error

        monkeypatch.setattr(faces, "_draw", refuse)
    section = faces_section(run)
    assert "(No picture of the faces: " in section and "faces.png" not in section
    assert ("corpus" in section.split("No picture")[1]) is (missing == "corpus")
    assert not picture.exists()


def test_without_matplotlib_the_faces_stay(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The strip needs Pillow alone; a line in its place would blame the wrong package."""
    error = MissingExtraError("matplotlib", extra="plots", purpose="A picture")

    def refuse(_: RunFolder) -> None:
        raise error

    monkeypatch.setattr("train.report._draw", refuse)
    text = write_report(run).read_text()
    assert "](faces.png)" in text
    assert "improvement.png" not in text and text.count("(No picture: A picture needs `mat") == 2
