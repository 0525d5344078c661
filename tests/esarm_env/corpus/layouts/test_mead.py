"""MEAD as it is unpacked, with sound or video, with and without captured motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.corpus.layouts import Found, find_takes
from esarm_env.corpus.layouts.mead import VIEWS
from esarm_env.corpus.takes import Take

Find = Callable[..., Found]

CLIP = "M003/angry/level_2/007"


def only(found: Found) -> Take:
    """Return the only take, found as MEAD and without a fault."""
    assert found.layout == "mead"
    assert found.faults == ()
    (take,) = found.takes
    return take


def test_folders_tell_everything(find: Find, tmp_path: Path) -> None:
    """Emotion, level, identity and split are nowhere else."""
    take = only(find("M003/audio/angry/level_2/007.m4a"))
    assert take == Take(
        id=CLIP,
        audio=tmp_path / "corpus/M003/audio/angry/level_2/007.m4a",
        motion=None,
        speaker="M003",
        emotion="angry",
        intensity=2,
        sentence="angry-007",
        split="train",
    )


@pytest.mark.parametrize(
    ("folder", "emotion"),
    [
        ("angry", "angry"),
        ("contempt", "contempt"),
        ("disgusted", "disgusted"),
        ("fear", "fear"),
        ("happy", "happy"),
        ("neutral", "neutral"),
        ("sad", "sad"),
        ("surprised", "surprised"),
    ],
)
def test_each_emotion_is_known(find: Find, folder: str, emotion: str) -> None:
    """An eighth of the corpus is missing with each name that is not."""
    assert only(find(f"M003/audio/{folder}/level_1/010.m4a")).emotion == emotion


@pytest.mark.parametrize("suffix", [".m4a", ".wav", ".flac", ".mp3", ".M4A"])
def test_sound_has_any_usual_suffix(find: Find, suffix: str) -> None:
    """The corpus has `.m4a`; most people convert it first."""
    take = only(find(f"M003/audio/angry/level_2/007{suffix}"))
    assert (take.id, take.audio and take.audio.suffix) == (CLIP, suffix)


@pytest.mark.parametrize(
    "path",
    [
        "M003/audio/angry/level_2/007.m4a",
        "M003/video/front/angry/level_2/007.mp4",
        "M003/video/angry/level_2/007.mp4",
        "M003/front/angry/level_2/007.mp4",
        "M003/audio/1/angry/level_2/007.m4a",
        "M003/1/audio/angry/level_2/007.m4a",
        "M003/video/2/front/angry/level_2/007.mp4",
        "M003/audio/audio/angry/level_2/007.m4a",
        "MEAD/M003/audio/angry/level_2/007.m4a",
        "MEAD/part 1/M003/unpacked/audio/angry/level_2/007.m4a",
    ],
)
def test_a_clip_has_one_id_wherever_it_was_unpacked(find: Find, path: str) -> None:
    """Downloads differ by a folder or two; offsets and caches are kept by id."""
    take = only(find(path))
    assert (take.id, take.speaker, take.split) == (CLIP, "M003", "train")


def test_one_identity_can_be_opened_alone(find: Find, tmp_path: Path) -> None:
    """The identities are separate downloads, so this is what people try first."""
    find("M003/audio/angry/level_2/007.m4a", "M003/blendshape/front/angry/level_2/007.npy")
    take = only(find_takes(tmp_path / "corpus/M003"))
    assert (take.id, take.speaker) == (CLIP, "M003")
    assert take.motion is not None


@pytest.mark.parametrize(
    "motion",
    [
        "blendshape/M003/video/front/angry/level_2/007.csv",
        "M003/blendshape/video/front/angry/level_2/007.csv",
        "M003/blendshape/front/angry/level_2/007.npz",
        "M003/blendshape/angry/level_2/007.npy",
        "blendshape/M003/angry/level_2/007.npy",
        "M003/audio/angry/level_2/007.json",
        "M003/video/front/angry/level_2/007.csv",
    ],
)
def test_motion_is_found_wherever_captures_are_put(find: Find, motion: str, tmp_path: Path) -> None:
    """Our own capture mirrors the videos below `blendshape/`; others put it beside them."""
    take = only(find("M003/audio/angry/level_2/007.m4a", motion))
    assert take.motion == tmp_path / "corpus" / motion


def test_other_parameters_are_no_motion(find: Find) -> None:
    """Meshes and FLAME parameters of the corpus have the same folders and other numbers."""
    found = find(
        "M003/audio/angry/level_2/007.m4a",
        "flame/M003/angry/level_2/007.npz",
        "M003_007_6_1.npy",
    )
    assert [(take.id, take.motion) for take in found.takes] == [(CLIP, None)]
    assert [fault.source for fault in found.faults] == ["M003_007_6_1.npy", "flame/"]


def test_sound_is_preferred_to_video_and_video_is_enough(find: Find) -> None:
    """Video tree and audio tree hold the same clip; either alone must do."""
    video = "M003/video/front/angry/level_2/007.mp4"
    take = only(find(video))
    assert take.audio is not None and take.audio.suffix == ".mp4"
    take = only(find(video, "M003/audio/angry/level_2/007.m4a"))
    assert take.audio is not None and take.audio.suffix == ".m4a"


@pytest.mark.parametrize("view", sorted(VIEWS - {"front"}))
def test_other_views_are_neither_heard_nor_used_as_motion(find: Find, view: str) -> None:
    """A face captured from the side is another motion of the same take."""
    found = find(
        f"M003/video/{view}/angry/level_2/007.mp4",
        f"blendshape/M003/video/{view}/angry/level_2/007.csv",
        "M003/audio/angry/level_2/007.m4a",
    )
    assert only(found).motion is None


def test_a_clip_of_other_views_alone_is_listed(find: Find) -> None:
    """It is there, so that it is missing must be said."""
    found = find("M003/video/top/angry/level_2/007.mp4", "M003/audio/angry/level_2/008.m4a")
    assert [take.id for take in found.takes] == ["M003/angry/level_2/008"]
    (fault,) = found.faults
    assert (fault.source, fault.reason) == (
        "M003/video/top/angry/level_2/007.mp4",
        "has no audio",
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("angry/level_4", "is in a folder of an unknown level, 'level_4'"),
        ("angry/level_0", "is in a folder of an unknown level, 'level_0'"),
        ("bored/level_1", "is in a folder of an unknown emotion, 'bored'"),
    ],
)
def test_unknown_labels_are_listed(find: Find, path: str, reason: str) -> None:
    """A wrong label is worse than a missing clip."""
    found = find("M003/audio/angry/level_2/007.m4a", f"M003/audio/{path}/001.m4a")
    assert [take.id for take in found.takes] == [CLIP]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        (f"M003/audio/{path}/001.m4a", reason)
    ]


def test_a_clip_that_was_unpacked_twice_comes_once(find: Find) -> None:
    """It would weigh twice, and could stand in training and test at once."""
    found = find("a/M003/audio/angry/level_2/007.m4a", "b/M003/audio/angry/level_2/007.m4a")
    assert [take.id for take in found.takes] == [CLIP]
    assert [fault.source for fault in found.faults] == ["b/M003/audio/angry/level_2/007.m4a"]


def test_only_the_first_sentences_are_common_to_the_emotions(find: Find) -> None:
    """Other sentences share the number only; pairing them teaches nonsense."""
    found = find(
        *(f"M003/audio/{e}/level_1/{n}.m4a" for e in ("sad", "neutral") for n in ("003", "004")),
        "M003/audio/sad/level_1/take-5.m4a",
    )
    assert {take.id: take.sentence for take in found.takes} == {
        "M003/neutral/level_1/003": "common-003",
        "M003/neutral/level_1/004": "neutral-004",
        "M003/sad/level_1/003": "common-003",
        "M003/sad/level_1/004": "sad-004",
        "M003/sad/level_1/take-5": None,
    }


def test_identities_are_split_32_7_8(find: Find) -> None:
    """Results compare with others' only on the same identities."""
    identities = [f"{sex}{number:03d}" for sex in "MW" for number in range(50)]
    found = find(*(f"{name}/audio/sad/level_1/010.m4a" for name in identities))
    splits: dict[str | None, set[str]] = {}
    for take in found.takes:
        splits.setdefault(take.split, set()).add(take.speaker)
    sizes = {split: len(speakers) for split, speakers in splits.items()}
    assert sizes == {"train": 32, "validation": 7, "test": 8, None: 53}
    assert {"M003", "M013", "W029"} <= splits["train"]
    assert {"M032", "W036"} <= splits["validation"]
    assert {"M037", "W040"} <= splits["test"]
    assert {"M001", "W017"} <= splits[None]
