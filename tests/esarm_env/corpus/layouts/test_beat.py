"""BEAT: speaker, emotion and split are in the name; the face is the `.json`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.corpus.layouts import Found
from esarm_env.corpus.layouts.beat import beat_take
from esarm_env.corpus.takes import Take

Find = Callable[..., Found]


def test_a_recording_is_found_among_its_side_files(find: Find, tmp_path: Path) -> None:
    """`.csv` is an emotion per frame here, `.txt` is about gestures: neither is motion or text."""
    stem = "2/2_scott_0_73_73"
    suffixes = (".wav", ".json", ".bvh", ".TextGrid", ".txt", ".csv")
    found = find(*(stem + suffix for suffix in suffixes))
    assert found.layout == "beat"
    assert found.faults == ()
    assert found.takes == (
        Take(
            id=stem,
            audio=tmp_path / "corpus/2/2_scott_0_73_73.wav",
            motion=tmp_path / "corpus/2/2_scott_0_73_73.json",
            speaker="scott",
            emotion="angry",
            intensity=2,
            sentence="0-73-73",
            split="test",
        ),
    )


def test_sound_alone_is_read(find: Find) -> None:
    """Some download the sound first."""
    (take,) = find("2/2_scott_0_1_1.wav", "2/2_scott_0_1_1.csv").takes
    assert take.motion is None


def test_the_folders_do_not_matter(find: Find) -> None:
    """The authors' own cache has folders by kind instead of speaker."""
    found = find("wave16k/2_scott_0_9_9.wav", "facial52/2_scott_0_9_9.json")
    assert found.layout == "beat"
    (take,) = found.takes
    assert take.id == "2/2_scott_0_9_9"
    assert take.motion is not None


@pytest.mark.parametrize(
    ("first", "last", "emotion"),
    [
        (1, 64, "neutral"),
        (65, 72, "happy"),
        (73, 80, "angry"),
        (81, 86, "sad"),
        (87, 94, "contempt"),
        (95, 102, "surprised"),
        (103, 110, "fear"),
        (111, 118, "disgusted"),
    ],
)
def test_sequences_tell_the_emotion(first: int, last: int, emotion: str) -> None:
    """Off by one at a border gives a minute of one emotion the name of another."""
    for numbers in (f"{first}_{first}", f"{last}_{last}", f"{first}_{last}"):
        take = beat_take(f"1_wayne_0_{numbers}")
        assert isinstance(take, Take)
        assert take.emotion == emotion
        assert take.intensity == (1 if emotion == "neutral" else 2)


def test_conversation_is_neutral_and_has_no_script() -> None:
    """Its numbers count something else."""
    take = beat_take("1_wayne_1_2_2")
    assert isinstance(take, Take)
    assert (take.emotion, take.sentence) == ("neutral", None)


def test_speakers_share_the_scripts_of_a_language() -> None:
    """A sentence held out of training must be held out for all speakers."""
    takes = [beat_take(f"{n}_0_9_9") for n in ("1_wayne", "2_scott")]
    assert [take.sentence for take in takes if isinstance(take, Take)] == ["0-9-9", "0-9-9"]
    other = beat_take("12_zhao_2_9_9")
    assert isinstance(other, Take)
    assert other.sentence == "2-9-9"


def splits(speaker: str, recording: int, numbers: range) -> dict[str | None, list[int]]:
    """Return the sequences of each split."""
    found: dict[str | None, list[int]] = {}
    for number in numbers:
        take = beat_take(f"{speaker}_{recording}_{number}_{number}")
        assert isinstance(take, Take)
        found.setdefault(take.split, []).append(number)
    return found


def test_four_hour_speakers_are_split_as_published() -> None:
    """The README's table, typed from it."""
    speech = splits("1_wayne", 0, range(1, 119))
    emotional = [65, 73, 81, 87, 95, 103, 111]
    assert speech["test"] == [*range(1, 9), *emotional]
    assert speech["validation"] == [*range(57, 65), 72, 80, 86, 94, 102, 110, 118]
    assert len(speech["train"]) == 48 + 40
    assert splits("21_ayana", 1, range(1, 13)) == {
        "test": [1],
        "train": list(range(2, 12)),
        "validation": [12],
    }


def test_one_hour_speakers_are_split_as_published() -> None:
    """A sequence that is half test and half validation there is test as a whole here."""
    recorded = [*range(1, 17), 65, 66, 73, 74, 81, 82, 87, 88, 95, 96, 103, 104, 111, 112, 118]
    speech = {
        split: [number for number in numbers if number in recorded]
        for split, numbers in splits("5_stewart", 0, range(1, 119)).items()
    }
    assert speech["test"] == [1, 2, 3, 4, 65, 73, 81, 87, 95, 103, 111]
    assert speech["validation"] == [5, 6, 7, 8]
    assert speech["train"] == [*range(9, 17), 66, 74, 82, 88, 96, 104, 112, 118]
    assert speech[None] == []
    assert splits("29_hanieh", 1, range(0, 5)) == {"train": [0, 2, 3, 4], "test": [1]}


def test_other_languages_have_no_published_split() -> None:
    """The table is for English."""
    assert splits("12_zhao", 2, range(1, 119)).keys() == {None}


def test_a_recording_across_two_splits_has_none() -> None:
    """Some recordings hold several sequences."""
    take = beat_take("1_wayne_0_8_9")
    assert isinstance(take, Take)
    assert take.split is None
    take = beat_take("1_wayne_0_1_8")
    assert isinstance(take, Take)
    assert take.split == "test"


@pytest.mark.parametrize("numbers", ["64_65", "119_119", "118_200", "9_8"])
def test_sequences_of_no_one_emotion_are_listed(find: Find, numbers: str) -> None:
    """A label for half of a recording is wrong for the other half."""
    found = find("1/1_wayne_0_1_1.wav", f"1/1_wayne_0_{numbers}.wav")
    assert [take.id for take in found.takes] == ["1/1_wayne_0_1_1"]
    first, _, last = numbers.partition("_")
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        (
            f"1/1_wayne_0_{numbers}.wav",
            f"has sequences {first} to {last}, which are not of one emotion",
        )
    ]


@pytest.mark.parametrize("stem", ["wayne_0_1_1", "1_wayne_0_1", "1_wayne_x_0_1_1", "1_2_0_1_1"])
def test_other_names_are_none(stem: str) -> None:
    """A name that only looks like one must not get a label."""
    assert beat_take(stem) is None
