"""Folders that nobody published: equal names below `audio/` and `blendshape/`, or side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.corpus.layouts import Found
from esarm_env.corpus.takes import Take

Find = Callable[..., Found]


def only(found: Found) -> Take:
    """Return the only take, found as a generic folder and without a fault."""
    assert found.layout == "generic"
    assert found.faults == ()
    (take,) = found.takes
    return take


@pytest.mark.parametrize(
    ("audio", "motion", "take_id"),
    [
        ("audio/a.wav", "blendshape/a.json", "a"),
        ("audio/a.mp3", "blendshapes/a.npz", "a"),
        ("Audio/a.flac", "ARKit/a.csv", "a"),
        ("audio/x/y/a.wav", "motion/x/y/a.npy", "x/y/a"),
        ("part/audio/a.wav", "part/blendshape/a.json", "part/a"),
        ("video/a.mp4", "blendshape/video/a.csv", "a"),
        ("clips/a.mp4", "blendshape/clips/a.csv", "clips/a"),
        ("a.mp4", "blendshape/a.csv", "a"),
        ("x/a.wav", "x/a.npy", "x/a"),
        ("audio/a.wav", "audio/a.npz", "a"),
    ],
)
def test_equal_names_belong_together(
    find: Find, audio: str, motion: str, take_id: str, tmp_path: Path
) -> None:
    """People's own folders differ; what our capture writes beside videos must be among them."""
    take = only(find(audio, motion))
    root = tmp_path / "corpus"
    assert (take.id, take.audio, take.motion) == (take_id, root / audio, root / motion)


def test_motion_is_optional(find: Find) -> None:
    """Speech alone is enough to animate and to listen."""
    assert only(find("audio/a.wav")).motion is None


@pytest.mark.parametrize(
    ("path", "speaker"),
    [
        ("anna/one", "anna"),
        ("anna/day 2/one", "anna"),
        ("anna_one", "anna"),
        ("anna", "anna"),
        ("_one", "_one"),
    ],
)
def test_the_first_folder_or_the_begin_of_the_name_is_the_speaker(
    find: Find, path: str, speaker: str
) -> None:
    """Splits are by speaker."""
    assert only(find(f"audio/{path}.wav", f"blendshape/{path}.json")).speaker == speaker


def test_folders_as_in_emote_tell_the_labels(find: Find) -> None:
    """A MEAD identity keeps its split in another tree."""
    path = "M032/happy/level_3/012"
    take = only(find(f"audio/{path}.wav", f"blendshape/{path}.npy"))
    assert (take.id, take.speaker, take.emotion, take.intensity) == (path, "M032", "happy", 3)
    assert (take.sentence, take.split) == ("happy-012", "validation")


def test_other_speakers_in_such_folders_have_no_split(find: Find) -> None:
    """The split is by MEAD's identities."""
    path = "anna/front/Anger/level_2/012"
    take = only(find(f"audio/{path}.wav", f"blendshape/{path}.npy", layout="generic"))
    assert (take.speaker, take.emotion, take.split) == ("anna", "angry", None)


def test_labels_without_a_speaker_are_of_the_folder_above(find: Find, tmp_path: Path) -> None:
    """A recording of one person needs no folder for them."""
    path = "happy/level_3/012"
    found = find(f"audio/{path}.wav", f"blendshape/{path}.npy", layout="generic")
    assert only(found).speaker == "corpus"
    found = find(f"ben/audio/{path}.wav", f"ben/blendshape/{path}.npy", layout="generic")
    assert [take.speaker for take in found.takes] == ["ben", "corpus"]


def test_an_unknown_emotion_folder_is_listed(find: Find) -> None:
    """As in MEAD."""
    good, bad = "anna/sad/level_1/1", "anna/bored/level_1/1"
    found = find(
        *(f"{k}/{p}.{s}" for p in (good, bad) for k, s in (("audio", "wav"), ("arkit", "csv")))
    )
    assert [take.id for take in found.takes] == [good]
    reason = "is in a folder of an unknown emotion, 'bored'"
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        (f"arkit/{bad}.csv", reason),
        (f"audio/{bad}.wav", reason),
    ]


def test_sound_elsewhere_is_not_taken_for_speech(find: Find) -> None:
    """A folder of music beside the corpus would be cut, and trained on."""
    found = find("audio/a.wav", "blendshape/a.json", "music/theme.mp3")
    assert [take.id for take in found.takes] == ["a"]
    assert [fault.source for fault in found.faults] == ["music/"]
