"""`esarm convert`: motion of any origin to any format, and what it says of what it cannot do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.face.exporters import write_motion
from train.cli import main
from train.clips.conversion import convert_file, read_motion


def convert(*arguments: object) -> None:
    """Run the command."""
    main(["convert", *map(str, arguments)])


def test_motion_comes_back_from_every_format_that_is_read(
    motion: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From CSV through glTF, JSON and an array: no channel swapped, no frame lost."""
    write_motion(tmp_path / "a.csv", motion)
    convert(tmp_path / "a.csv", tmp_path / "b.glb", tmp_path / "b.json", "--format", "audio2face")
    convert(tmp_path / "b.glb", tmp_path / "c.npy")
    convert(tmp_path / "b.json", tmp_path / "d.npy", "--json", tmp_path / "done.json")
    for name in ("c.npy", "d.npy"):
        np.testing.assert_allclose(np.load(tmp_path / name), motion, atol=1e-5)
    done = json.loads((tmp_path / "done.json").read_text())
    assert (done["frames"], done["rate_hz"], done["notes"]) == (36, 30, [])
    assert f"outputs: {tmp_path / 'd.npy'}\nduration_s: 1.2" in capsys.readouterr().out


def test_sixty_frames_a_second_are_written_and_read(motion: np.ndarray, tmp_path: Path) -> None:
    """A rate that is dropped on the way plays at half the speed."""
    write_motion(tmp_path / "a.npy", motion)
    convert(tmp_path / "a.npy", tmp_path / "b.json", "--format", "lam", "--rate", "60")
    content = json.loads((tmp_path / "b.json").read_text())
    assert content["metadata"]["fps"] == 60 and len(content["frames"]) == 71
    read, notes = read_motion(tmp_path / "b.json")
    assert len(read) == 36 and not notes
    np.testing.assert_allclose(read, motion, atol=0.01)


def test_a_source_without_a_rate_is_taken_at_30_and_that_is_said(
    motion: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or at the rate that is given."""
    np.save(tmp_path / "a.npy", motion)
    convert(tmp_path / "a.npy", tmp_path / "b.csv")
    note = "a.npy: states no frame rate and is taken at 30 fps; `--fps` says another"
    assert note in capsys.readouterr().err
    read, notes = read_motion(tmp_path / "a.npy", fps=60)
    assert len(read) == 18 and not notes


def test_channels_that_a_source_lacks_are_named(motion: np.ndarray, tmp_path: Path) -> None:
    """A face without a tongue is none that keeps it still."""
    write_motion(tmp_path / "a.json", motion, format="beat")
    _, notes = read_motion(tmp_path / "a.json")
    assert notes == [f"{tmp_path / 'a.json'}: has no tongueOut, written as 0"]


def test_sound_of_another_length_is_told(motion: np.ndarray, voice: Path, tmp_path: Path) -> None:
    """The take that was meant lies beside it."""
    pytest.importorskip("pygltflib")
    write_motion(tmp_path / "a.csv", motion)
    done = convert_file(tmp_path / "a.csv", [tmp_path / "a.glb"], speech=voice)
    told = f"{voice}: lasts 0.60 s, and the motion 1.20 s: the end is silent"
    assert done["notes"] == [told]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv", "x.obj"], "the suffix of the output must be one of those that exporters write"),
        (["a.csv", "x.json"], "x.json: files with the suffix '.json' are written by several"),
        (["a.csv", "a.csv"], "`output` must be another file than the recording, got"),
        (["a.csv", "x.csv", "--head", "esarm"], "`head` must be left out where no output shows"),
        (["a.csv", "x.glb", "--head", "no"], "`head` must be 'esarm'; an ICT-FaceKit folder"),
        (["a.csv", "x.csv", "--speech", "hello.wav"], "`speech` must be left out where no output"),
        (["a.csv", "x.glb", "--speech", "a.csv"], "must be audio that libsndfile reads"),
        (["a.csv", "x.csv", "--fps", "60"], "must have the frame rate that is given, 60 fps, got"),
        (["a.csv", "x.csv", "--fps", "0"], "`--fps`: frame rate must be 5 to 500 Hz, got 0.0"),
        (["a.csv", "x.npy", "--rate", "60"], "`rate` must be 30 for .npy files"),
        (["a.csv", "x.csv", "--rate", "25"], "`rate` must be 30 or 60 frames per second, got 25"),
        (["hello.wav", "x.csv"], "hello.wav: must be a file of motion, in .npy, .npz, .csv"),
        (["none.csv", "x.csv"], "none.csv: must be a motion file, got no such file"),
        (["a.csv"], "`esarm convert` must be given OUTPUTS ...; see `esarm convert --help`"),
    ],
)
def test_what_cannot_be_converted_is_one_line(
    arguments: list[str],
    message: str,
    motion: np.ndarray,
    voice: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each remedy is told, and no file is begun."""
    monkeypatch.chdir(tmp_path)
    write_motion(tmp_path / "a.csv", np.repeat(motion, 2, axis=0))
    before = sorted(each.name for each in tmp_path.iterdir())
    with pytest.raises(SystemExit, match=r"^2$"):
        convert(*arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("esarm: ") and message in line
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_the_sound_is_not_written_over(motion: np.ndarray, voice: Path, tmp_path: Path) -> None:
    """A name completed wrongly would replace the only copy of a recording."""
    pytest.importorskip("av")
    write_motion(tmp_path / "a.csv", motion)
    sound = tmp_path / "a.mp4"
    sound.write_bytes(voice.read_bytes())
    message = f"`output` must be another file than the recording, got {sound}"
    with pytest.raises(InputError, match=re.escape(message)):
        convert_file(tmp_path / "a.csv", [sound], speech=sound)


def test_help_names_what_is_read(capsys: pytest.CaptureFixture[Any]) -> None:
    """Whoever has a file asks whether it is read."""
    convert("--help")
    assert "MediaPipe, Audio2Face, BEAT, LAM" in capsys.readouterr().out
