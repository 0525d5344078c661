"""Places of output are looked at before the work that is to fill them, and so is the folder."""

import os
import subprocess
import sys

import pytest

from esarm_env.core.cache import check_target
from esarm_env.core.errors import InputError
from train.cli import main


def refused(arguments, capsys):
    """Run a command that must fail with exit code 2; return its one line."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main([str(argument) for argument in arguments])
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("esarm: "), lines
    return lines[0]


# What they are given beside is wrong, too: the line tells what was looked at first.
COMMANDS = [
    ["animate", "none.wav", "-o", "none/face.csv", "--run", "none"],
    ["capture", "none.mp4", "--model", "none.task"],
    ["corpus", "none", "--run", "none"],
    ["corpus", "none", "--audit", "--run", "none"],
    ["corpus", "none", "--compare", "none", "--run", "none"],
    ["run", "--run", "none", "--corpus", "none"],
    ["evaluate", "--run", "none", "--threads", "-1"],
    ["reward-report", "none"],
    ["figure5", "--run", "none"],
    ["overoptimise", "none"],
    ["table2", "--runs", "none"],
    ["ablate", "--run", "none"],
    ["bench", "peers", "--run", "none"],
    ["plugins"],
    ["doctor", "--env", "none"],
    ["assets", "--run", "none", "--threads", "-1"],
]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Return a folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(each[:3]) for each in COMMANDS])
@pytest.mark.parametrize(
    ("place", "reason"),
    [("folder", "Is a directory"), ("file/figures.json", "Not a directory"), ("", "Is a dir")],
)
def test_figures_that_cannot_be_written_are_refused_first(
    command, place, reason, elsewhere, capsys
):
    """An hour's figures were computed, printed and lost, since `--json` was a folder."""
    (elsewhere / "folder").mkdir()
    (elsewhere / "file").write_text("{}")
    line = refused([*command, "--json", place], capsys)
    assert f"{place or '.'}: must be a file in a writable folder, got '{reason}" in line
    assert sorted(each.name for each in elsewhere.iterdir()) == ["file", "folder"]


def test_figures_over_a_file_of_something_else_are_refused_first(elsewhere, capsys):
    """By every command, and not when all is done."""
    (elsewhere / "thesis.txt").write_text("precious")
    line = refused(["bench", "peers", "--run", "none", "--json", "thesis.txt"], capsys)
    assert "`json` must be a new file, or one of JSON to be replaced, got thesis.txt" in line
    assert (elsewhere / "thesis.txt").read_text() == "precious"


def test_two_outputs_in_one_file_are_refused(elsewhere, capsys):
    """The second would replace the first."""
    command = ["animate", "none.wav", "-o", "a.csv", "--json", "./a.csv", "--run", "none"]
    assert "`json` must be another file than `output`, got a.csv for both" in refused(
        command, capsys
    )


def test_an_animation_that_cannot_be_written_is_refused_before_the_work(
    finished_run, speech_file, tmp_path, monkeypatch, capsys
):
    """Ten minutes of speech were read and animated first."""
    monkeypatch.setattr("train.clips.animation.read_audio", lambda path: pytest.fail("it was read"))
    (tmp_path / "face.csv").mkdir()
    rules = {
        tmp_path / "face.csv": "`output` must be a file, got the folder",
        tmp_path / "none" / "face.csv": "must be a file in a writable folder",
    }
    for output, rule in rules.items():
        command = ["animate", speech_file, "-o", output, "--run", finished_run]
        message = refused(command, capsys)
        assert rule in message and str(output) in message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nope.wav", "-o", "out.csv"], "nope.wav: "),
        (["nope", "-o", "out"], "nope: "),
        (["speech.wav", "-o", "out.mp5"], "the suffix of the output must be one of those"),
        (["speech.wav", "-o", "out.csv"], "speech.wav: "),
    ],
)
def test_a_mistyped_file_is_told_before_torch_is_imported(given, message, elsewhere):
    """It took as long as the animation of a short recording."""
    (elsewhere / "speech.wav").write_bytes(b"")
    code = (
        "import sys\nfrom train.cli import main\n"
        f"try:\n    main(['animate', *{given}])\nfinally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert done.stderr.startswith(f"esarm: {message}")


@pytest.mark.parametrize(
    "command",
    [
        ["reward-report", "none", "--output", "file"],
        ["reward-report", "none", "--output", "file/report"],
        ["assets", "--run", "none", "--out", "file"],
        ["capture", "videos", "--model", "none.task", "-o", "file"],
    ],
)
def test_a_folder_that_cannot_be_made_is_refused_first(command, elsewhere, capsys):
    """After hours, at `assets`."""
    (elsewhere / "file").write_text("precious")
    (elsewhere / "videos").mkdir()
    line = refused(command, capsys)
    assert "must be a folder, got the file file" in line or "'Not a directory'" in line
    assert (elsewhere / "file").read_text() == "precious"
    assert not (elsewhere / "none").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_refused(tmp_path):
    """Also where the new file's own folder is still to be made in it."""
    tmp_path.chmod(0o500)
    for name in ("a.json", "b/c/a.json"):
        with pytest.raises(InputError, match="Permission denied"):
            check_target(tmp_path / name)
    tmp_path.chmod(0o700)


def test_looking_at_a_place_leaves_nothing(tmp_path):
    """No folder, no file; and what can be written is left alone."""
    check_target(tmp_path / "a" / "b" / "c.json")
    check_target(tmp_path / "c.json")
    check_target(tmp_path / "c.json", make_folder=False)
    with pytest.raises(InputError, match="a, which does not exist; make it first"):
        check_target(tmp_path / "a" / "c.json", make_folder=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["plugins"], ["animate", "a.wav", "-o", "b.csv"], ["run"]])
def test_a_working_folder_that_is_gone_is_one_line(command, tmp_path, monkeypatch, capsys):
    """Libraries of torch end the process over it, with a line of their own alone."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    line = refused(command, capsys)
    monkeypatch.chdir(tmp_path)
    assert "the working folder must be there, got one that was deleted" in line
