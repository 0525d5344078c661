"""Motion in formats that nobody reads, or behind a lock, never makes a corpus of sound alone."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts import Found, find_takes

Find = Callable[..., Found]
Plant = Callable[..., Path]

CURVES = "time_s\tjawOpen\tmouthPucker\n" + "0.1\t0.2\t0.3\n" * 3
ROWS = (" ".join(["0.25"] * 52) + "\n") * 3


def faults_of(found: Found) -> list[tuple[str, str]]:
    """Return the faults as plain pairs."""
    return [(fault.source, fault.reason) for fault in found.faults]


@pytest.mark.parametrize(
    ("suffix", "remedy"),
    [
        (".csv.gz", "unpack it with gunzip"),
        (".npy.gz", "unpack it with gunzip"),
        (".CSV.GZ", "unpack it with gunzip"),
        (".json.bz2", "decompress it"),
        (".npz.zst", "decompress it"),
        (".npy.zip", "unpack it"),
        (".pkl", "convert it to .npz, .npy, .csv or .json"),
        (".mat", "convert it to .npz, .npy, .csv or .json"),
        (".parquet", "convert it to .npz, .npy, .csv or .json"),
        (".h5", "convert it to .npz, .npy, .csv or .json"),
        (".pt", "convert it to .npz, .npy, .csv or .json"),
        (".xlsx", "save it as .csv"),
        (".fbx", "export its curves, with the names of the shapes, as .csv, .json or .npz"),
        (".bvh", "export its curves, with the names of the shapes, as .csv, .json or .npz"),
        (".csv.txt", "rename it to end in .csv, if it is whole"),
        (".npy.part", "rename it to end in .npy, if it is whole"),
    ],
)
@pytest.mark.parametrize("folder", ["blendshape", "audio"])
@pytest.mark.parametrize("n_read", [0, 1])
def test_motion_of_a_suffix_that_nobody_reads_is_listed_with_the_remedy(
    find: Find, suffix: str, remedy: str, folder: str, n_read: int
) -> None:
    """Its take opened as sound alone, or lacked its motion while the motion lay there."""
    read = ["audio/b.wav", "blendshape/b.csv"] if n_read else []
    found = find("audio/a.wav", f"{folder}/a{suffix}", *read)
    assert [take.id for take in found.takes] == ["b"] * n_read
    reason = (
        f"is taken for the motion of a by its name, and {suffix.lower()} is not read: {remedy}; "
        "if it is none, move it away"
    )
    assert faults_of(found) == [(f"{folder}/a{suffix}", reason)]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".txt", CURVES),
        (".txt", ROWS),
        (".tsv", CURVES),
        (".dat", ROWS),
        (".yaml", "jawOpen: [0, 1]\nmouthPucker: [1, 0]\n"),
        (".txt", ",".join(["0.25"] * 520)),
    ],
)
@pytest.mark.parametrize("folder", ["blendshape", "audio"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_text_that_holds_curves_is_motion(
    plant: Plant, suffix: str, text: str, folder: str, is_packed: bool
) -> None:
    """Tables are saved under many names; beside sound they are no transcripts."""
    root = plant("audio/a.wav", "audio/b.wav")
    path = root / folder / f"a{suffix}{'.gz' * is_packed}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if is_packed else text.encode())
    found = find_takes(root)
    assert found.takes == ()
    reasons = dict(faults_of(found))
    assert reasons.keys() == {f"{folder}/{path.name}", "b"}
    told = f"is not read: {'unpack it' if is_packed else ''}"
    assert told in reasons[f"{folder}/{path.name}"]
    assert reasons["b"] == "has no motion"


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".txt", "Kids are talking by the door. 1 2 3 4 5 6 7 8 9 10 11 12\n"),
        (".txt", ""),
        (".txt", "0.00 0.31 sil\n0.31 0.52 k\n" * 40),
        (".txt", "120.5\n121.0\n" * 40),
        (".lab", "0 3100000 sil\n" * 10),
        (".TextGrid", 'File type = "ooTextFile"\nxmin = 0\nxmax = 3\n'),
        (".srt", "1\n00:00:00,000 --> 00:00:01,000\nKids\n"),
        (".tsv", "start\tend\ttext\n0.0\t0.5\tKids\n"),
        (".png", ""),
        (".md", ROWS),
    ],
)
@pytest.mark.parametrize("folder", ["audio", "blendshape", "text"])
def test_transcripts_are_no_motion(plant: Plant, suffix: str, text: str, folder: str) -> None:
    """They have the names of the sounds, and a corpus of sound alone comes with them."""
    root = plant("audio/a.wav")
    path = root / folder / f"a{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    found = find_takes(root)
    assert [(take.id, take.motion) for take in found.takes] == [("a", None)]
    empty = [("blendshape/", "holds no motion")] if folder == "blendshape" else []
    assert faults_of(found) == empty


def test_one_motion_among_transcripts_is_found(plant: Plant) -> None:
    """Which of a few files are looked into must not be left to their order."""
    root = plant(*(f"audio/{name}.wav" for name in "abcdefgh"))
    for name in "abcdefgh":
        (root / "audio" / f"{name}.txt").write_text(CURVES if name == "g" else "Hello")
    found = find_takes(root)
    assert found.takes == ()
    assert ".txt is not read: rename it" in dict(faults_of(found))["audio/g.txt"]


def test_another_format_beside_motion_that_is_read_is_no_fault(find: Find) -> None:
    """People keep the file from which they converted, and BEAT has the body beside the face."""
    found = find("audio/a.wav", "blendshape/a.csv", "blendshape/a.csv.gz", "audio/a.fbx")
    assert (len(found.takes), found.faults) == (1, ())


def test_gestures_beside_a_face_are_no_fault(find: Find) -> None:
    """BEAT has the body in `.bvh`."""
    name = "1/1_wayne_0_1_1"
    found = find(f"{name}.wav", f"{name}.json", f"{name}.bvh")
    assert (found.layout, len(found.takes), found.faults) == ("beat", 1, ())


@pytest.mark.parametrize(
    ("layout", "sound", "motion"),
    [
        (
            "mead",
            "M003/audio/sad/level_1/001.m4a",
            "blendshape/M003/video/front/sad/level_1/001.csv.gz",
        ),
        ("mead", "M003/audio/sad/level_1/001.m4a", "M003/blendshape/sad/level_1/001.pkl"),
        ("mead", "M003/audio/sad/level_1/001.m4a", "M003/audio/sad/level_1/001.mat"),
        ("beat", "1/1_wayne_0_1_1.wav", "1/1_wayne_0_1_1.json.gz"),
        ("ravdess", "Actor_01/03-01-05-01-02-01-01.wav", "bs/03-01-05-01-02-01-01.npy.gz"),
    ],
)
def test_every_layout_lists_motion_that_is_not_read(
    find: Find, layout: str, sound: str, motion: str
) -> None:
    """Each tells by names of its own what belongs together."""
    found = find(sound, motion)
    assert (found.layout, found.takes) == (layout, ())
    assert [fault.source for fault in found.faults] == [motion]
    assert " is not read: " in found.faults[0].reason


def test_names_that_look_the_same_are_enough(find: Find) -> None:
    """As for motion that is read."""
    found = find("audio/J\u00fcrgen.wav", "blendshape/ju\u0308rgen.pkl")
    assert found.takes == ()
    assert [fault.source for fault in found.faults] == ["blendshape/ju\u0308rgen.pkl"]


def test_unread_motion_of_no_sound_does_not_make_sound_alone(find: Find) -> None:
    """Neither the names nor the format fit."""
    message = (
        "got none that belong together, such as audio/a.wav and blendshape/x.csv.gz (.csv.gz is "
        "not read: unpack it with gunzip); rename one of each pair"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        find("audio/a.wav", "blendshape/x.csv.gz")


def test_unread_motion_of_no_sound_is_listed_beside_takes(find: Find) -> None:
    """It was not even counted."""
    found = find("audio/a.wav", "blendshape/a.csv", "blendshape/x.pkl")
    assert [take.id for take in found.takes] == ["a"]
    assert faults_of(found) == [
        (
            "blendshape/x.pkl",
            "is taken for motion, and .pkl is not read: convert it to .npz, .npy, .csv or .json; "
            "it belongs to no sound",
        )
    ]


def test_files_called_as_sound_elsewhere_are_told_once(find: Find) -> None:
    """They may be motion or features; sound alone opens, and says so."""
    names = "abc"
    found = find(*(f"audio/{n}.wav" for n in names), *(f"faces/{n}.pkl" for n in names))
    assert len(found.takes) == 3
    assert faults_of(found) == [
        (
            "faces/",
            "holds 3 .pkl files called as sound is, such as faces/a.pkl; if that is motion: .pkl "
            "is not read: convert it to .npz, .npy, .csv or .json",
        )
    ]


def test_a_file_in_a_folder_of_motion_that_the_layout_does_not_know_is_motion(find: Find) -> None:
    """MEAD has `blendshape`; others write `motion`."""
    message = "such as M003/audio/sad/level_1/001.wav and M003/motion/sad/level_1/001.pkl (.pkl is"
    with pytest.raises(InputError, match=re.escape(message)):
        find("M003/audio/sad/level_1/001.wav", "M003/motion/sad/level_1/001.pkl")


def test_an_archive_with_a_word_for_motion_is_told_where_sound_is_alone(find: Find) -> None:
    """It may be anything; sound alone opens, and says so."""
    found = find("audio/a.wav", "MEAD_blendshape.zip", "notes.zip")
    assert len(found.takes) == 1
    assert faults_of(found) == [
        ("MEAD_blendshape.zip", "may hold motion, and .zip is not read: unpack it")
    ]


@pytest.mark.parametrize(
    "name", ["blendshape/Thumbs.db", "blendshape/desktop.ini", "blendshape.md", "blendshape.txt"]
)
def test_what_is_about_motion_or_left_behind_by_systems_is_none(find: Find, name: str) -> None:
    """Sound alone must open beside it."""
    assert len(find("audio/a.wav", name).takes) == 1


def test_curves_in_text_elsewhere_do_not_make_sound_alone(plant: Plant) -> None:
    """Their content says what they are, wherever they lie."""
    root = plant("audio/a.wav", "faces/x.txt")
    (root / "faces" / "x.txt").write_text(CURVES)
    with pytest.raises(InputError, match=re.escape("and faces/x.txt (.txt is not read: rename it")):
        find_takes(root)


@pytest.mark.parametrize("locked", ["blendshape", "blendshape/anna", "BlendShapes"])
def test_a_folder_of_motion_that_cannot_be_read_makes_no_sound_alone(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    """Its takes opened as still faces, though it was listed."""
    root = plant("audio/anna/a.wav", f"{locked}/b.npy")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith(locked):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_takes(root)
    assert found.takes == ()
    assert sorted(faults_of(found)) == sorted(
        [
            (locked, "cannot be read (Permission denied)"),
            (
                "anna/a",
                f"has no motion that can be read; {locked}: cannot be read (Permission denied)",
            ),
        ]
    )


def test_another_folder_that_cannot_be_read_leaves_sound_alone(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every disk has a `lost+found`."""
    root = plant("audio/a.wav", "lost+found/x")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_takes(root)
    assert len(found.takes) == 1
    assert [fault.source for fault in found.faults] == ["lost+found"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("blendshape.zip", "is no folder that can be read: unpack it"),
        ("Blendshapes.tar.gz", "is no folder that can be read: unpack it with gunzip"),
        (
            "blendshape",
            "is no folder that can be read: move it away, or put the folder of motion there",
        ),
        (
            "blendshape.lnk",
            "is no folder that can be read: move it away, or put the folder of motion there",
        ),
    ],
)
def test_what_stands_for_a_folder_of_motion_makes_no_sound_alone(
    find: Find, name: str, reason: str
) -> None:
    """Downloads are packed, and who unpacks only the sound has motion all the same."""
    found = find("audio/a.wav", name)
    assert found.takes == ()
    assert dict(faults_of(found)) == {
        name: reason,
        "a": f"has no motion that can be read; {name}: {reason}",
    }


@pytest.mark.parametrize("target", ["/nowhere/at/all", "blendshape"])
def test_a_dead_link_to_motion_makes_no_sound_alone(plant: Plant, target: str) -> None:
    """The disk that it leads to is not mounted."""
    root = plant("audio/a.wav")
    (root / "blendshape").symlink_to(target)
    found = find_takes(root)
    assert found.takes == ()
    reason = "is a link to nothing that can be opened"
    assert ("blendshape", reason) in faults_of(found)
    assert found.faults[0].reason == f"has no motion that can be read; blendshape: {reason}"


def test_a_dead_link_elsewhere_is_listed(plant: Plant) -> None:
    """A speaker on a disk that is not mounted was missing without a word."""
    root = plant("audio/a.wav")
    (root / "audio" / "anna").symlink_to("/nowhere/at/all")
    found = find_takes(root)
    assert len(found.takes) == 1
    assert faults_of(found) == [("audio/anna", "is a link to nothing that can be opened")]


def test_an_archive_beside_whole_takes_is_no_fault(find: Find) -> None:
    """It was unpacked, and kept."""
    found = find("audio/a.wav", "blendshape/a.csv", "blendshape.zip")
    assert (len(found.takes), found.faults) == (1, ())


def test_empty_folders_of_motion_are_told_where_sound_is_alone(plant: Plant) -> None:
    """Somebody made them for motion; that none is in them must be said."""
    root = plant("audio/a.wav")
    for name in ("blendshape", "ben/blendshape"):
        (root / name).mkdir(parents=True)
    found = find_takes(root)
    assert len(found.takes) == 1
    assert faults_of(found) == [("ben/blendshape/", "holds no motion; so do 1 other folders")]


def test_motion_beside_the_folder_is_told_where_sound_is_alone(find: Find, tmp_path: Path) -> None:
    """Opened one folder too low, a corpus has no motion, which lies beside."""
    name = "03-01-05-01-02-01-01"
    find(f"audio/{name}.wav", f"blendshape/{name}.npy")
    found = find_takes(tmp_path / "corpus" / "audio")
    assert (found.layout, len(found.takes)) == ("ravdess", 1)
    above = tmp_path / "corpus"
    assert faults_of(found) == [
        ("..", f"has a folder `blendshape` beside this one, which is not read: open {above} then")
    ]


def test_a_folder_of_no_layout_is_told_what_may_be_wrong(find: Find, tmp_path: Path) -> None:
    """One folder too low, or motion that nobody reads: the message tells the way."""
    with pytest.raises(InputError, match=re.escape("a.csv.gz may be motion, and .csv.gz is not")):
        find("a.wav", "a.csv.gz")
    above = tmp_path / "other"
    (above / "audio").mkdir(parents=True)
    (above / "audio" / "b.wav").touch()
    message = f"found b.wav; this may be a part of a corpus: open the folder above, {above}\n"
    with pytest.raises(InputError, match=re.escape(message)):
        find_takes(above / "audio")
