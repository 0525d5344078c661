# ruff: noqa: RUF001 - letters that look like others are what it is about
"""Terminals that lack letters, and pipes that close: every command still prints, and files keep."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from train.terminal import print_near_letters


def _esarm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own, whose terminal is as `environment` says."""
    code = "import sys; from train.cli import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", "0.3 +- 0.1 mm2 -> 5 deg, 3x, <=4, 'a' - Muller ? +-+"),
        ("latin-1", "0.3 ± 0.1 mm² -> 5°, 3×, <=4, 'a' - Müller ? +-+"),
        ("cp1252", "0.3 ± 0.1 mm² -> 5°, 3×, <=4, ‘a’ – Müller ? +-+"),
        ("utf-8", "0.3 ± 0.1 mm² → 5°, 3×, ≤4, ‘a’ – Müller ☃ ╭─╮"),
    ],
)
def test_letters_that_a_terminal_lacks_are_printed_as_near_ones(
    monkeypatch: pytest.MonkeyPatch, encoding: str, printed: str
) -> None:
    """One arrow in a table of figures ended the command that had taken the night."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print_near_letters()
    print("0.3 ± 0.1 mm² → 5°, 3×, ≤4, ‘a’ – Müller ☃ ╭─╮")
    stream.flush()
    assert raw.getvalue().decode(encoding) == printed + "\n"
    monkeypatch.undo()


def test_what_is_no_terminal_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notebooks put an object of their own there, and services nothing."""
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stdout", stream)
        print_near_letters()
    monkeypatch.undo()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_message_of_any_letters_is_one_line(tmp_path: Path, encoding: str) -> None:
    """A file's name is the user's, and may have letters that the terminal has not."""
    run = str(tmp_path / "run")  # by default in the folder in which the tests are run
    done = _esarm("corpus", "nowhere → ☃", "--run", run, PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    lines = done.stderr.decode(encoding).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("esarm: ")


def test_figures_stay_utf_8_where_the_terminal_is_not(tmp_path: Path) -> None:
    """A file is read elsewhere, by whom the terminal of its day is unknown."""
    path = tmp_path / "plugins.json"
    done = _esarm(
        "plugins", "--json", str(path), PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "learned" in path.read_text(encoding="utf-8")


def test_a_pipe_that_closes_ends_quietly() -> None:
    """`esarm plugins | head -1` is no fault of the command."""
    code = "import sys; from train.cli import main; main(sys.argv[1:])"
    reading, writing = os.pipe()
    os.close(reading)
    for command in (["plugins"], ["--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b""), command
    os.close(writing)
