"""3D-ETF and what is laid out like it: flat `audio/` and `blendshape/` with `.npy` at 30 fps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.corpus.layouts import Found
from esarm_env.corpus.takes import Take

Find = Callable[..., Found]


def pair(folder: str, stem: str) -> tuple[str, str]:
    """Return the two files of one take."""
    return f"{folder}audio/{stem}.wav", f"{folder}blendshape/{stem}.npy"


def test_a_pair_of_folders_is_enough(find: Find, tmp_path: Path) -> None:
    """The frame rate stands in no `.npy`; everyone's are at 30 fps in this layout."""
    found = find(*pair("", "anna_1"))
    assert found.layout == "3d-etf"
    assert found.faults == ()
    assert found.takes == (
        Take(
            id="anna_1",
            audio=tmp_path / "corpus/audio/anna_1.wav",
            motion=tmp_path / "corpus/blendshape/anna_1.npy",
            speaker="anna",
        ),
    )


def test_both_parts_are_read_with_their_own_names(find: Find) -> None:
    """A RAVDESS code tells the labels; HDTF numbers the recordings of a speaker."""
    code = "03-01-05-02-02-01-17"
    found = find(*pair("RAVDESS/", code), *pair("HDTF/", "WDA_BarackObama_001"))
    assert found.layout == "3d-etf"
    assert found.faults == ()
    hdtf, ravdess = found.takes
    assert (hdtf.id, hdtf.speaker) == ("HDTF/WDA_BarackObama_001", "WDA_BarackObama")
    assert (hdtf.emotion, hdtf.sentence) == ("neutral", None)
    assert (ravdess.id, ravdess.speaker) == (f"RAVDESS/{code}", "Actor_17")
    assert (ravdess.emotion, ravdess.intensity) == ("angry", 3)
    assert ravdess.sentence == "statement-02"


@pytest.mark.parametrize(
    ("folder", "stem", "speaker"),
    [
        ("", "anna", "anna"),
        ("", "anna_2_1", "anna"),
        ("", "_1", "_1"),
        ("", "WDA_BarackObama_001", "WDA"),
        ("hdtf/", "RD_Radio1_000", "RD_Radio1"),
        ("HDTF/", "Radio", "Radio"),
    ],
)
def test_the_speaker_stands_in_the_name(find: Find, folder: str, stem: str, speaker: str) -> None:
    """Splits are by speaker: one speaker under two names leaks."""
    (take,) = find(*pair(folder, stem)).takes
    assert take.speaker == speaker


def test_equal_names_in_two_parts_are_two_takes(find: Find) -> None:
    """Numbered takes of two parts would overwrite each other."""
    found = find(*pair("one/", "1"), *pair("two/", "1"))
    assert [take.id for take in found.takes] == ["one/1", "two/1"]


def test_song_is_left_out_here_too(find: Find) -> None:
    """The same codes mean the same."""
    found = find(*pair("RAVDESS/", "03-02-05-01-02-01-17"), *pair("RAVDESS/", "x_1"))
    assert [take.id for take in found.takes] == ["RAVDESS/x_1"]
    assert [fault.reason for fault in found.faults] == ["is song", "is song"]


@pytest.mark.parametrize(
    "paths",
    [
        ("audio/a.wav",),
        ("audio/a.wav", "blendshape/a.csv"),
        ("audio/sub/a.wav", "blendshape/sub/a.npy"),
        ("audio/a.wav", "blendshape/a.npy", "audio/b.wav", "blendshape/b.csv"),
    ],
)
def test_other_folders_are_not_taken_for_it(find: Find, paths: tuple[str, ...]) -> None:
    """30 fps would be claimed of files that state another rate, and the rest dropped."""
    assert find(*paths).layout == "generic"
