"""`esarm animate` of several outputs, and of a folder: a bad recording costs no other."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from esarm_env.audio import read_audio
from esarm_env.core.errors import InputError
from esarm_env.core.shipped import shipped_run
from esarm_env.face import read_livelink_csv
from esarm_env.task.recording import AnimationCondition
from train.animate import Manner, SpeechAnimator
from train.cli import main
from train.clips import folder as folders
from train.clips.folder import animate_folder, find_recordings
from train.tables.gltf_curves import read_gltf_track

MANNER = Manner(AnimationCondition("neutral", 2, None))


def run(*arguments: object) -> None:
    """Run the command, quickly."""
    main(["animate", *map(str, arguments), "--emotion", "neutral"])


@pytest.fixture
def recordings(tmp_path: Path, voice: Path) -> Path:
    """Return a folder of two recordings, one below, and two files that are none."""
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    shutil.copy(voice, folder / "a.wav")
    shutil.copy(voice, folder / "below" / "b.wav")
    (folder / "c.mp3").write_bytes(b"")
    (folder / "d.wav").write_text("no sound")
    (folder / "notes.txt").write_text("no sound")
    (folder / ".hidden.wav").write_text("no sound")
    return folder


def test_several_outputs_are_of_one_animation(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two calls might draw two; curves of the `.glb` equal the CSV's within 1/255."""
    pytest.importorskip("pygltflib")
    csv, glb, note = tmp_path / "a.csv", tmp_path / "a.glb", tmp_path / "done.json"
    run(voice, "-o", csv, "-o", glb, "--decoding", "sampled", "--json", note)
    curves, _ = read_livelink_csv(csv)
    assert len(curves) == 18
    assert np.abs(read_gltf_track(glb).values - curves).max() < 1e-5 < 1 / 255
    done = json.loads(note.read_text())
    assert done["outputs"] == [str(csv), str(glb)]
    assert f"output: {csv}, {glb}\n" in capsys.readouterr().out


def test_an_output_that_cannot_be_stops_all_of_them(
    voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Minutes of work, and then half of what was asked for."""
    for outputs, message in (
        (["a.csv", "a.obj"], "the suffix of the output must be one of those"),
        (["a.csv", "./a.csv"], "`output` must be different files, got"),
        (["a.csv", "no/a.npy"], "which does not exist; make it first"),
    ):
        paths = [part for name in outputs for part in ("-o", f"{tmp_path}/{name}")]
        with pytest.raises(SystemExit, match=r"^2$"):
            run(voice, *paths)
        assert message in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["hello.wav"]


def test_a_folder_is_animated_and_bad_files_are_listed(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bad file never costs its neighbours; exit code 1 tells a script."""
    out, note = tmp_path / "out", tmp_path / "done.json"
    command = (recordings, "-o", out, "--format", "livelink", "--format", "npy", "--json", note)
    with pytest.raises(SystemExit, match=r"^1$"):
        run(*command)
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "animated: 2, skipped: 0, failed: 2"
    assert f"esarm: {recordings / 'c.mp3'}: must hold audio, got an empty file" in said.err
    assert f"esarm: {recordings / 'd.wav'}: must be audio that libsndfile reads" in said.err
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert written == ["a.csv", "a.npy", "below/b.csv", "below/b.npy"]
    done = json.loads(note.read_text())
    assert [Path(clip["speech"]).name for clip in done["clips"]] == ["a.wav", "b.wav"]
    assert len(done["faults"]) == 2


def test_what_is_there_is_skipped_until_its_recording_changes(
    recordings: Path, tmp_path: Path
) -> None:
    """An interrupted folder goes on; `--overwrite` begins it again."""
    for name in ("c.mp3", "d.wav"):
        (recordings / name).unlink()
    asked = {"run_path": shipped_run(), "manner": MANNER, "progress": False}
    first = animate_folder(recordings, tmp_path / "out", **asked)
    assert (len(first.clips), first.n_skipped, first.faults) == (2, 0, [])
    second = animate_folder(recordings, tmp_path / "out", **asked)
    assert (len(second.clips), second.n_skipped) == (0, 2)
    changed = recordings / "a.wav"
    later = (tmp_path / "out" / "a.csv").stat().st_mtime + 10
    os.utime(changed, (later, later))
    third = animate_folder(recordings, tmp_path / "out", **asked)
    assert [clip["speech"] for clip in third.clips] == [str(changed)]
    again = animate_folder(recordings, tmp_path / "out", overwrite=True, **asked)
    assert (len(again.clips), again.n_skipped) == (2, 0)


def test_ctrl_c_says_how_many_are_done(
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of a folder of hours one wants to know whether to go on."""
    calls = []

    def stop_at_the_second(speech: Path) -> np.ndarray:
        calls.append(speech)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return read_audio(speech)

    monkeypatch.setattr(folders, "read_audio", stop_at_the_second)
    with pytest.raises(SystemExit, match=r"^130$"):
        run(recordings, "-o", tmp_path / "out")
    assert "interrupted, 1 of 4 recordings done; the same command goes on" in (
        capsys.readouterr().err
    )


def test_what_fails_for_all_alike_is_told_once(
    recordings: Path, voice: Path, tmp_path: Path
) -> None:
    """A mistyped speaker would be listed a thousand times."""
    shutil.copy(voice, recordings / "aa.wav")
    asked = {"run_path": shipped_run(), "progress": False}
    manner = Manner(AnimationCondition("neutral", 2, "nobody"))
    for name in ("c.mp3", "d.wav"):
        (recordings / name).unlink()
    with pytest.raises(InputError, match=r"^`speaker` must be one of S01, "):
        animate_folder(recordings, tmp_path / "out", manner=manner, **asked)


def test_an_error_of_a_decoder_costs_its_own_file(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries raise what they like."""

    def read(path: Path) -> np.ndarray:
        if path.name == "a.wav":
            raise RuntimeError("psf_fseek\nfailed")
        return np.sin(np.arange(9600) / 9).astype("f4")

    monkeypatch.setattr(folders, "read_audio", read)
    asked = {"run_path": shipped_run(), "manner": MANNER, "progress": False}
    report = animate_folder(recordings, tmp_path / "out", **asked)
    assert report.faults == [f"{recordings / 'a.wav'}: RuntimeError: psf_fseek failed"]
    assert len(report.clips) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"formats": ["beat", "lam"]}, "`format` must be one for .json files, got beat and lam"),
        ({"formats": ["no"]}, "`format` must be one of audio2face, "),
        ({"head": "esarm"}, "`head` must be left out where no output shows one, got 'esarm'"),
        ({"rate_hz": 60, "formats": ["npy"]}, "`rate` must be 30 for .npy files"),
        ({"policy": "no"}, "`policy` must be one of clone"),
    ],
)
def test_what_cannot_be_asked_of_a_folder_is_refused_first(
    more: dict[str, object], message: str, recordings: Path, tmp_path: Path
) -> None:
    """Before the first recording is read."""
    asked = {"run_path": shipped_run(), "manner": MANNER, "progress": False} | more
    with pytest.raises(InputError, match=re.escape(message)):
        animate_folder(recordings, tmp_path / "out", **asked)


def test_recordings_of_one_name_are_a_fault_of_the_second(recordings: Path, tmp_path: Path) -> None:
    """The second would replace what was written of the first."""
    shutil.copy(recordings / "a.wav", recordings / "a.flac")
    asked = {"run_path": shipped_run(), "manner": MANNER, "progress": False}
    report = animate_folder(recordings, tmp_path / "out", **asked)
    clash = f"{recordings / 'a.wav'}: must differ from a.flac in more than the ending"
    assert report.faults[0].startswith(clash)
    assert len(report.clips) == 2


def test_videos_are_not_written_among_the_recordings(recordings: Path, tmp_path: Path) -> None:
    """They would be animated themselves by the next call."""
    pytest.importorskip("av")
    message = "`output` must be another folder than the recordings', got "
    asked = {"run_path": shipped_run(), "manner": MANNER, "formats": ["mp4"]}
    with pytest.raises(InputError, match=re.escape(message)):
        animate_folder(recordings, recordings, **asked)
    inside = recordings / "out"
    inside.mkdir()
    shutil.copy(recordings / "a.wav", inside / "a.mp4")
    assert inside / "a.mp4" not in find_recordings(recordings, but=inside)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    """A mistyped name would be done at once, with nothing."""
    (tmp_path / "empty").mkdir()
    message = "empty: must hold recordings (.wav, .flac, "
    with pytest.raises(InputError, match=re.escape(message)):
        find_recordings(tmp_path / "empty")


def test_a_folder_asks_for_one_output(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file would hold the last of them."""
    (tmp_path / "file").write_text("")
    for outputs, message in (
        (["-o", "x", "-o", "y"], "`output` must be one folder for a folder of recordings, got x"),
        (["-o", str(tmp_path / "file")], "`output` must be a folder, got the file"),
    ):
        with pytest.raises(SystemExit, match=r"^2$"):
            run(recordings, *outputs)
        assert message in capsys.readouterr().err


def test_one_animator_serves_all(recordings: Path, tmp_path: Path, monkeypatch) -> None:
    """Loading a run takes longer than a short recording."""
    opened: list[Path] = []

    class Counted(SpeechAnimator):
        def __init__(self, run_path: Path, *, policy: str = "auto") -> None:
            opened.append(run_path)
            super().__init__(run_path, policy=policy)

    monkeypatch.setattr("train.animate.SpeechAnimator", Counted)
    animate_folder(
        recordings, tmp_path / "out", run_path=shipped_run(), manner=MANNER, progress=False
    )
    assert opened == [shipped_run()]
