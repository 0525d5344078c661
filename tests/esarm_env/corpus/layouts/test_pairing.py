"""Files become takes by the same rules in every layout; here with the generic one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts import LAYOUTS, Found, Layout, find_layouts, register_layout
from esarm_env.corpus.layouts.pairing import Describe, Part
from esarm_env.corpus.layouts.registry import find_takes
from esarm_env.corpus.layouts.tree import File, Tree
from esarm_env.corpus.takes import Fault

Find = Callable[..., Found]


def write_curves(path: Path) -> None:
    """Write three frames of two shapes in the format of the suffix."""
    if path.suffix == ".csv":
        path.write_text("jawOpen,mouthPucker\n0,0\n0.1,0\n0.2,0\n")
    elif path.suffix == ".npy":
        np.save(path, np.zeros((3, 52)))
    else:
        path.write_text('[{"jawOpen": 0}, {"jawOpen": 0.1}, {"jawOpen": 0.2}]')


def faults_of(found: Found) -> list[tuple[str, str]]:
    """Return the faults as plain pairs."""
    return [(fault.source, fault.reason) for fault in found.faults]


def test_whole_takes_leave_no_fault(find: Find, tmp_path: Path) -> None:
    """The case that must just work."""
    found = find("audio/a.wav", "blendshape/a.json", "audio/b.flac", "blendshape/b.csv")
    root = tmp_path / "corpus"
    assert [(take.id, take.audio, take.motion) for take in found.takes] == [
        ("a", root / "audio/a.wav", root / "blendshape/a.json"),
        ("b", root / "audio/b.flac", root / "blendshape/b.csv"),
    ]
    assert found.faults == ()


def test_motion_without_audio_is_left_out(find: Find) -> None:
    """Nothing could be animated from it."""
    found = find("audio/a.wav", "blendshape/a.json", "blendshape/b.json")
    assert [take.id for take in found.takes] == ["a"]
    assert faults_of(found) == [("blendshape/b.json", "has no audio")]


def test_audio_without_motion_is_left_out_among_others(find: Find) -> None:
    """Training on it would mean training on a still face."""
    found = find("audio/a.wav", "blendshape/a.json", "audio/sub/b.wav")
    assert [take.id for take in found.takes] == ["a"]
    assert faults_of(found) == [("sub/b", "has no motion")]


def test_audio_alone_is_a_corpus(find: Find) -> None:
    """RAVDESS as people download it has no motion; it is good for voices and for evaluation."""
    found = find("audio/a.wav", "audio/b.wav")
    assert [(take.id, take.motion) for take in found.takes] == [("a", None), ("b", None)]
    assert found.faults == ()


@pytest.mark.parametrize(
    ("paths", "motion"),
    [
        (["blendshape/c.json"], "blendshape/c.json"),
        (["faces/a_curves.csv", "faces/b_curves.csv"], "faces/a_curves.csv"),
        (["curves.JSON"], "curves.JSON"),
        (["audio/a_1.npy"], "audio/a_1.npy"),
    ],
)
def test_motion_that_fits_no_sound_does_not_make_sound_alone(
    plant: Callable[..., Path], paths: list[str], motion: str
) -> None:
    """A failed match opened as a corpus of still faces, while the motion lay beside the sound."""
    root = plant("audio/a.wav", "audio/b.wav")
    for path in paths:
        (root / path).parent.mkdir(exist_ok=True)
        write_curves(root / path)
    message = (
        f"{root}: must have sound and motion of equal names, got none that belong together, such "
        f"as audio/a.wav and {motion}; rename one of each pair"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        find_takes(root)


def test_files_that_are_no_motion_leave_sound_alone(plant: Callable[..., Path]) -> None:
    """Labels and features beside the sound must not be taken for motion."""
    root = plant("audio/a.wav", "audio/b.wav", "labels/c.json")
    (root / "labels.csv").write_text("file,label\na.wav,happy\nb.wav,sad\n")
    (root / "labels" / "index.json").write_text('{"a": "happy", "b": [1, 2]}')
    np.save(root / "features.npy", np.zeros((90, 80)))
    assert [take.motion for take in find_takes(root).takes] == [None, None]


def test_motion_that_fits_no_sound_is_listed_beside_takes_that_do(
    plant: Callable[..., Path],
) -> None:
    """Files in `.csv` are often something else; curves among them must not vanish unseen."""
    root = plant("audio/a.wav", "blendshape/a.json", "notes/list.csv")
    (root / "faces").mkdir()
    for name in "bc":
        write_curves(root / "faces" / f"{name}.csv")
    found = find_takes(root)
    assert [take.id for take in found.takes] == ["a"]
    assert faults_of(found) == [
        ("faces/", "holds 2 .csv files of motion that belong to no sound, such as faces/b.csv")
    ]


@pytest.mark.parametrize(
    ("sound", "motion", "how"),
    [
        ("J\u00fcrgen_1", "Ju\u0308rgen_1", "in their Unicode form"),
        ("Take_2", "take_2", "in case"),
        ("take", "take ", "in case, spaces or Unicode form"),
        ("\uff34ake", "take", "in case, spaces or Unicode form"),
        ("Anna/1", "anna/1", "in case"),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_names_that_look_the_same_are_paired(
    find: Find, sound: str, motion: str, how: str, beside: bool
) -> None:
    """Zipped on a Mac, unpacked elsewhere, every umlaut costs a take that prints the same."""
    path = f"{motion}.csv" if beside else f"blendshape/{motion}.csv"
    found = find(f"{sound}.wav" if beside else f"audio/{sound}.wav", path, layout="generic")
    assert [take.id for take in found.takes] == [sound]
    assert found.takes[0].motion is not None and found.faults == ()
    (note,) = found.notes
    assert (note.source, note.reason) == (
        sound,
        f"is paired with {path}, whose name differs {how}",
    )


def test_two_takes_that_differ_in_case_stay_two(find: Find) -> None:
    """Where case tells takes apart, joining by form would mix two voices."""
    found = find("audio/a.wav", "audio/A.wav", "blendshape/a.csv", "blendshape/A.csv")
    assert [take.id for take in found.takes] == ["A", "a"]
    for take in found.takes:
        assert take.motion is not None and take.motion.stem == take.id
    assert found.notes == ()


def test_a_form_that_two_sounds_share_is_not_guessed(find: Find) -> None:
    """Either may be meant."""
    found = find(
        "audio/x.wav", "blendshape/x.csv", "audio/a.wav", "audio/A.wav", "blendshape/\u00aa.csv"
    )
    assert [take.id for take in found.takes] == ["x"]
    assert {reason for _, reason in faults_of(found)} == {"has no audio", "has no motion"}


@pytest.mark.parametrize(
    ("used", "others"),
    [
        ("audio/a.wav", ["audio/a.FLAC", "audio/a.m4a"]),
        ("audio/a.flac", ["audio/a.m4a"]),
        ("audio/a.m4a", ["audio/a.mp3", "audio/a.ogg"]),
        ("audio/a.WAV", ["audio/a.mp3"]),
    ],
)
def test_the_best_of_two_sounds_is_used_and_the_other_listed(
    find: Find, used: str, others: list[str]
) -> None:
    """Which one was heard must not depend on the disk's order."""
    found = find(*others, used, "blendshape/a.json")
    assert [take.audio and take.audio.name for take in found.takes] == [used.partition("/")[2]]
    reason = f"is a duplicate of {used}, which is used"
    assert sorted(faults_of(found)) == sorted((other, reason) for other in others)


@pytest.mark.parametrize(("used", "other"), [(".npy", ".npz"), (".npz", ".csv"), (".csv", ".json")])
def test_the_best_of_two_motions_is_used(find: Find, used: str, other: str) -> None:
    """Binary files are faster and exact; the order is documented, so it must hold."""
    found = find("audio/a.wav", f"blendshape/a{other}", f"blendshape/a{used}", layout="generic")
    assert [take.motion and take.motion.suffix for take in found.takes] == [used]
    reason = f"is a duplicate of blendshape/a{used}, which is used"
    assert faults_of(found) == [(f"blendshape/a{other}", reason)]


def test_the_video_of_a_sound_is_no_duplicate(find: Find) -> None:
    """A sound file beside its video is how corpora come; a line for each would hide the rest."""
    found = find("audio/a.wav", "audio/a.mp4", "blendshape/a.json")
    assert [take.audio and take.audio.name for take in found.takes] == ["a.wav"]
    assert found.faults == ()


def test_a_video_is_heard_where_there_is_no_sound(find: Find) -> None:
    """Its sound is as good."""
    (take,) = find("audio/a.mp4", "blendshape/a.json").takes
    assert take.audio is not None and take.audio.name == "a.mp4"


def test_equal_names_in_two_folders_stay_two_takes(find: Find) -> None:
    """Numbered files of two speakers would silently become one take."""
    found = find("audio/x/1.wav", "audio/y/1.wav", "blendshape/x/1.csv", "blendshape/y/1.csv")
    assert [take.id for take in found.takes] == ["x/1", "y/1"]
    for take in found.takes:
        assert take.audio is not None and take.motion is not None
        assert take.audio.parent.name == take.motion.parent.name


def test_files_that_do_not_fit_are_counted_by_top_folder(find: Find) -> None:
    """Another corpus beside this one is dropped whole; that must be said, but not a line a file."""
    found = find(
        *(f"other/{i}/x.wav" for i in range(3)),
        *("notes.mp3", "side.json", "other/table.csv"),
        *("audio/a.wav", "blendshape/a.json"),
    )
    assert faults_of(found) == [
        ("notes.mp3", "does not fit `generic`"),
        ("other/", "holds 3 sound, video or motion files that do not fit `generic`"),
    ]


def test_ids_stay_when_the_folder_moves(find: Find, tmp_path: Path) -> None:
    """Caches and offsets are kept by id; moving a corpus must not lose them."""
    found = find("audio/x/1.wav", "blendshape/x/1.csv")
    moved = (tmp_path / "corpus").rename(tmp_path / "elsewhere")
    again = find_takes(moved)
    assert [take.id for take in again.takes] == [take.id for take in found.takes]
    assert again.takes[0].audio == moved / "audio/x/1.wav"


def test_each_file_is_described_once(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for every take's motion among all files is quadratic: hours for 30,000 clips."""
    layout = find_layouts()["generic"].load()
    described: list[str] = []

    def counting(tree: Tree) -> Describe:
        describe = layout.describe(tree)

        def call(file: File) -> Part | Fault | None:
            described.append(file.path)
            return describe(file)

        return call

    monkeypatch.setattr(LAYOUTS, "_registered", {})
    register_layout(Layout("generic", "", layout.recognises, counting), replace=True)
    names = [f"{i:04d}" for i in range(1500)]
    paths = [f"audio/{n}.wav" for n in names] + [f"blendshape/{n}.csv" for n in names]
    assert len(find(*paths, layout="generic").takes) == 1500
    assert len(described) == len(set(described)) == 3000
