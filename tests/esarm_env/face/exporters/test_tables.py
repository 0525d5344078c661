"""Arrays and JSON of a clip, read by numpy and json alone, and by our own reader of motion."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.motion import read_track
from esarm_env.face import ARKIT_NAMES
from esarm_env.face.exporters import Sound, write_motion


def test_npy_is_an_array_as_3d_etf_has_it(motion: np.ndarray, tmp_path: Path) -> None:
    """(T, 52) in alphabetical order; values beyond [0, 1] are none of a face."""
    write_motion(tmp_path / "a.npy", motion * 1.5)
    read = np.load(tmp_path / "a.npy")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.minimum(motion * 1.5, 1))
    np.testing.assert_array_equal(read_track(tmp_path / "a.npy").values, read)


def test_npy_has_one_rate(motion: np.ndarray, tmp_path: Path) -> None:
    """At 60 it would play at half the speed wherever it is read."""
    message = "`rate` must be 30 for .npy files, which hold no other, got 60"
    with pytest.raises(InputError, match=re.escape(message)):
        write_motion(tmp_path / "a.npy", motion, rate_hz=60)
    assert not (tmp_path / "a.npy").exists()


@pytest.mark.parametrize("rate_hz", [30, 60])
@pytest.mark.parametrize("layout", ["beat", "lam", "audio2face"])
def test_json_is_read_back_by_our_own_reader(
    motion: np.ndarray, tmp_path: Path, layout: str, rate_hz: int
) -> None:
    """At either rate, by the names of its columns."""
    path = tmp_path / "a.json"
    write_motion(path, motion, format=layout, rate_hz=rate_hz)
    track = read_track(path)
    assert track.rate_hz == pytest.approx(rate_hz, rel=1e-3)
    np.testing.assert_allclose(track.values[:: rate_hz // 30], motion, atol=1e-6)
    assert track.captured.sum() == (51 if layout == "beat" else 52)
    assert not track.notes


def test_beat_has_its_names_and_frames(motion: np.ndarray, tmp_path: Path) -> None:
    """As the corpus has them: 51 names, and three keys a frame."""
    write_motion(tmp_path / "a.json", motion, format="beat")
    content = json.loads((tmp_path / "a.json").read_text())
    assert list(content) == ["names", "frames"]
    assert content["names"] == list(ARKIT_NAMES[:-1])
    assert len(content["frames"]) == 15
    frame = content["frames"][3]
    assert set(frame) == {"weights", "time", "rotation"}
    assert frame["time"] == pytest.approx(0.1) and frame["rotation"] == []
    np.testing.assert_allclose(frame["weights"], motion[3, :51], atol=1e-6)


def test_beat_says_that_the_tongue_is_lost(motion: np.ndarray, tmp_path: Path) -> None:
    """It has no column for it."""
    motion[4, 51] = 0.5
    message = "format beat has no `tongueOut`: the tongue is left out"
    with pytest.warns(RuntimeWarning, match=re.escape(message)):
        write_motion(tmp_path / "a.json", motion, format="beat")


def test_lam_states_its_rate(motion: np.ndarray, tmp_path: Path) -> None:
    """Its players take the rate from there."""
    write_motion(tmp_path / "a.json", motion, format="lam", rate_hz=60)
    content = json.loads((tmp_path / "a.json").read_text())
    names = list(ARKIT_NAMES)
    about = {"fps": 60.0, "frame_count": 29, "blendshape_names": names}
    assert (content["names"], content["metadata"]) == (names, about)
    np.testing.assert_allclose(content["frames"][2]["weights"], motion[1], atol=1e-6)


def test_audio2face_has_one_matrix_with_names(motion: np.ndarray, tmp_path: Path) -> None:
    """Its order is Unreal's, in which `jawOpen` stands 18th; names tell."""
    sound = Sound(np.zeros(8000, "f4"), 16000, "a.wav")
    write_motion(tmp_path / "a.json", motion, format="audio2face", speech=sound)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["exportFps"] == 30.0
    assert (content["numPoses"], content["numFrames"]) == (52, 15)
    assert content["trackPath"] == "a.wav"
    column = content["facsNames"].index("jawOpen")
    assert column == 17
    jaw = [row[column] for row in content["weightMat"]]
    np.testing.assert_allclose(jaw, motion[:, ARKIT_NAMES.index("jawOpen")], atol=1e-6)


def test_a_shared_suffix_asks_for_the_format(motion: np.ndarray, tmp_path: Path) -> None:
    """Which layout it gets would else depend on the order of names."""
    message = "files with the suffix '.json' are written by several exporters, 'audio2face' of "
    with pytest.raises(InputError, match=re.escape(message) + ".*; say which with `--format`$"):
        write_motion(tmp_path / "a.json", motion)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"motion": np.zeros((3, 51))}, "`motion` must have shape (T, 52) with T at least 1"),
        ({"motion": np.zeros((0, 52))}, "`motion` must have shape (T, 52) with T at least 1"),
        ({"motion": np.full((3, 52), np.nan)}, "`motion` must be finite, got nan or infinity"),
        ({"rate_hz": 25}, "`rate` must be 30 or 60 frames per second, got 25"),
        ({"speech": (np.zeros((3, 2)), 16000)}, "`samples` must have shape (n_samples,)"),
        ({"speech": (np.zeros(9), 10)}, "`rate_hz` must be 4000 to 384000, got 10"),
        ({"speech": (np.array([np.inf], "f4"), 16000)}, "`samples` must be finite float32"),
        ({"speech": (["a"], 16000)}, "`speech` must be samples and their rate, got"),
        ({"format": "lm"}, "`format` must be one of audio2face, beat, "),
        ({"format": "glb"}, "`format` must suit the suffix of the output, got 'glb', which writes"),
    ],
)
def test_what_cannot_be_written_is_refused(
    changed: dict[str, object], message: str, tmp_path: Path
) -> None:
    """And no file is begun."""
    given = {"motion": np.zeros((3, 52)), "format": "lam"} | changed
    with pytest.raises(InputError, match=re.escape(message)):
        write_motion(tmp_path / "a.json", given.pop("motion"), **given)
    assert not list(tmp_path.iterdir())


def test_a_writer_that_fails_leaves_what_was_there(motion: np.ndarray, tmp_path: Path) -> None:
    """A file that stands in a project is not lost to a full disk."""
    (tmp_path / "a.csv").write_text("precious")
    with pytest.raises(InputError):
        write_motion(tmp_path / "a.csv", np.full((3, 52), np.nan))
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "precious"
