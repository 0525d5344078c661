"""RAVDESS: labels in the name, one performance in up to three files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.corpus.layouts import Found
from esarm_env.corpus.synthetic.design import synthetic_design
from esarm_env.corpus.synthetic.sentences import RAVDESS_SENTENCES
from esarm_env.corpus.takes import Take

Find = Callable[..., Found]


def only(found: Found) -> Take:
    """Return the only take, found as RAVDESS and without a fault."""
    assert found.layout == "ravdess"
    assert found.faults == ()
    (take,) = found.takes
    return take


def test_the_name_tells_everything(find: Find, tmp_path: Path) -> None:
    """Two digits in the wrong place would label a whole emotion wrongly."""
    path = "Actor_12/03-01-06-02-01-02-12.wav"
    assert only(find(path)) == Take(
        id="Actor_12/01-06-02-01-02-12",
        audio=tmp_path / "corpus" / path,
        motion=None,
        speaker="Actor_12",
        emotion="fear",
        intensity=3,
        text="Kids are talking by the door.",
        sentence="statement-01",
    )


def test_the_labels_are_those_of_the_synthetic_corpus(find: Find) -> None:
    """The two are trained and tested with each other, so a condition must mean the same."""
    found = find(
        *(
            f"03-01-{emotion:02d}-{intensity:02d}-{statement:02d}-01-01.wav"
            for emotion in range(1, 9)
            for intensity in (1, 2)
            for statement in (1, 2)
            if emotion > 1 or intensity == 1
        )
    )
    design = synthetic_design("synthetic-ravdess")
    graded = {(take.emotion, take.intensity) for take in found.takes}
    expected = {(emotion, i) for emotion in design.emotions for i in design.intensities}
    assert graded == expected | {("neutral", 1)}
    assert {take.text for take in found.takes} == set(RAVDESS_SENTENCES)
    assert len({take.sentence for take in found.takes}) == 2


@pytest.mark.parametrize(
    "path",
    [
        "03-01-05-01-02-01-01.wav",
        "Actor_01/03-01-05-01-02-01-01.wav",
        "Audio_Speech_Actors_01-24/Actor_01/03-01-05-01-02-01-01.wav",
        "Actor_01/01-01-05-01-02-01-01.mp4",
        "audio/03-01-05-01-02-01-01.WAV",
    ],
)
def test_a_performance_has_one_id_wherever_it_lies(find: Find, path: str) -> None:
    """Sound, video, with folders or without: it is the same clip."""
    take = only(find(path))
    assert (take.id, take.speaker) == ("Actor_01/01-05-01-02-01-01", "Actor_01")


def test_sound_with_video_and_sound_alone_are_one_take(find: Find) -> None:
    """Counted twice, a speaker's take could stand in two splits' statistics."""
    take = only(
        find(
            "Actor_01/01-01-05-01-02-01-01.mp4",
            "Actor_01/02-01-05-01-02-01-01.mp4",
            "Actor_01/03-01-05-01-02-01-01.wav",
        )
    )
    assert take.audio is not None and take.audio.name == "03-01-05-01-02-01-01.wav"


def test_sound_taken_from_the_video_is_second_to_the_separate_one(find: Find) -> None:
    """It went through the video's compression."""
    from_video = "Actor_01/01-01-05-01-02-01-01.wav"
    take = only(find(from_video, "Actor_01/01-01-05-01-02-01-01.mp4"))
    assert take.audio is not None and take.audio.name == "01-01-05-01-02-01-01.wav"
    take = only(find("Actor_01/03-01-05-01-02-01-01.wav"))
    assert take.audio is not None and take.audio.name == "03-01-05-01-02-01-01.wav"


@pytest.mark.parametrize(
    "motion",
    [
        "blendshape/Actor_01/01-01-05-01-02-01-01.csv",
        "blendshape/Actor_01/02-01-05-01-02-01-01.csv",
        "Actor_01/01-01-05-01-02-01-01.npz",
        "Actor_01/03-01-05-01-02-01-01.json",
    ],
)
def test_motion_of_either_video_belongs_to_the_sound(
    find: Find, motion: str, tmp_path: Path
) -> None:
    """The sound's name has another modality than the video the face was captured from."""
    take = only(find("Actor_01/03-01-05-01-02-01-01.wav", motion))
    assert take.motion == tmp_path / "corpus" / motion


def test_captures_of_both_videos_are_no_duplicates(find: Find) -> None:
    """The whole tree captured gives two motions for each take; the first video's is used."""
    take = only(
        find(
            "Actor_01/03-01-05-01-02-01-01.wav",
            "blendshape/Actor_01/01-01-05-01-02-01-01.csv",
            "blendshape/Actor_01/02-01-05-01-02-01-01.csv",
        )
    )
    assert take.motion is not None and take.motion.name.startswith("01")


def test_a_video_without_sound_is_not_listened_to(find: Find) -> None:
    """It has no sound track; reading it would fail in the middle of training."""
    found = find("03-01-05-01-02-01-02.wav", "02-01-05-01-02-01-01.mp4")
    assert [take.speaker for take in found.takes] == ["Actor_02"]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        ("02-01-05-01-02-01-01.mp4", "has no audio")
    ]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("04-01-05-01-02-01-01", "has an unknown modality, 04"),
        ("03-02-05-01-02-01-01", "is song"),
        ("03-03-05-01-02-01-01", "has an unknown vocal channel, 03"),
        ("03-01-09-01-02-01-01", "has an unknown emotion, 09"),
        ("03-01-00-01-02-01-01", "has an unknown emotion, 00"),
        ("03-01-05-03-02-01-01", "has an unknown intensity, 03"),
        ("03-01-05-01-03-01-01", "has an unknown statement, 03"),
    ],
)
def test_what_is_no_labelled_speech_is_listed(find: Find, code: str, reason: str) -> None:
    """Song has other mouths than speech, and an unknown label must not become a wrong one."""
    found = find("03-01-05-01-02-01-02.wav", f"{code}.wav")
    assert [take.speaker for take in found.takes] == ["Actor_02"]
    assert [(fault.source, fault.reason) for fault in found.faults] == [(f"{code}.wav", reason)]


def test_the_tree_that_holds_everything_twice_is_read_once(find: Find) -> None:
    """A popular mirror has all actors a second time, one folder deeper."""
    name = "Actor_01/03-01-05-01-02-01-01.wav"
    found = find(name, f"audio_speech_actors_01-24/{name}")
    assert [take.audio and take.audio.parent.parent.name for take in found.takes] == ["corpus"]
    assert [fault.source for fault in found.faults] == [f"audio_speech_actors_01-24/{name}"]
