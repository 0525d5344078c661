"""Live Link Face recordings as the app writes them, and CSV files beside sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.corpus.layouts import Found, find_takes
from esarm_env.corpus.takes import Take

Find = Callable[..., Found]

RECORDING = "20240622_Scene_1/Scene_1_iPhone"


def only(found: Found) -> Take:
    """Return the only take, found as Live Link Face and without a fault."""
    assert found.layout == "livelink"
    assert found.faults == ()
    (take,) = found.takes
    return take


def test_a_recording_is_found_among_its_side_files(find: Find, tmp_path: Path) -> None:
    """Of three tables of curves one is a single frame and one is without calibration."""
    side = ("frame_log.csv", "take.json", "video_metadata.json", "thumbnail.jpg")
    take = only(
        find(
            *(
                f"{RECORDING}{ending}"
                for ending in (".mov", "_cal.csv", "_raw.csv", "_neutral.csv")
            ),
            *(f"20240622_Scene_1/{name}" for name in side),
        )
    )
    assert take == Take(
        id=RECORDING,
        audio=tmp_path / f"corpus/{RECORDING}.mov",
        motion=tmp_path / f"corpus/{RECORDING}_cal.csv",
        speaker="corpus",
    )


def test_a_table_about_takes_is_no_curves_of_the_one_recording_beside_it(find: Find) -> None:
    """Other tools want `metadata.csv` beside the sound, which then had it for its motion."""
    found = find(f"{RECORDING}.mov", f"{RECORDING}.csv", "b/one.wav", "b/metadata.csv")
    assert [take.id for take in found.takes] == [RECORDING]
    below = "is not read here, but only in the corpus folder itself; move it there"
    assert {fault.source: fault.reason for fault in found.faults} == {
        "b/metadata.csv": below,
        "b/one": "has no motion",
    }


@pytest.mark.parametrize(
    ("endings", "used"),
    [
        (["_cal.csv", ".csv", "_raw.csv"], "_cal.csv"),
        ([".csv", "_raw.csv"], ".csv"),
        (["_raw.csv"], "_raw.csv"),
        (["_CAL.CSV"], "_CAL.CSV"),
    ],
)
def test_the_calibrated_curves_are_preferred(find: Find, endings: list[str], used: str) -> None:
    """Raw curves rest at the actor's own face, not at zero; there is one id for all."""
    take = only(find(f"{RECORDING}.mov", *(RECORDING + ending for ending in endings)))
    assert take.id == RECORDING
    assert take.motion is not None and take.motion.name == f"Scene_1_iPhone{used}"


def test_flat_files_of_one_name_are_takes(find: Find) -> None:
    """A better microphone than the phone's gives `NAME.wav`."""
    found = find("one.csv", "one.wav", "two.csv", "two.wav", "two.mov")
    assert found.layout == "livelink"
    assert found.faults == ()
    assert [(take.id, take.audio and take.audio.name) for take in found.takes] == [
        ("one", "one.wav"),
        ("two", "two.wav"),
    ]


def test_the_only_sound_of_a_folder_belongs_to_its_curves(find: Find) -> None:
    """A sound recorder knows nothing of the app's names."""
    take = only(find("20240622_Scene_1/ZOOM0001.WAV", f"{RECORDING}_cal.csv"))
    assert take.id == RECORDING
    assert take.audio is not None and take.audio.name == "ZOOM0001.WAV"


def test_sound_of_another_name_is_not_guessed_among_several(find: Find) -> None:
    """Wrong speech under a face is worse than none."""
    found = find("a.csv", "b.csv", "a.wav", "ZOOM0001.WAV", "x/c.csv", "x/d.csv", "x/ZOOM.WAV")
    assert [take.id for take in found.takes] == ["a"]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        ("ZOOM0001", "has no motion"),
        ("b.csv", "has no audio"),
        ("x/ZOOM", "has no motion"),
        ("x/c.csv", "has no audio"),
        ("x/d.csv", "has no audio"),
    ]


@pytest.mark.parametrize(
    ("path", "speaker"),
    [
        (f"anna/{RECORDING}", "anna"),
        ("anna/smile", "anna"),
        (f"session 2/anna/{RECORDING}", "anna"),
        ("anna/LiveLinkFace_20240622_Scene_1_iPhone/Scene_1_iPhone", "anna"),
        (RECORDING, "corpus"),
        ("smile", "corpus"),
    ],
)
def test_the_speaker_is_the_folder_that_holds_the_takes(
    find: Find, path: str, speaker: str
) -> None:
    """Take folders are called by date; each would be a speaker of its own."""
    assert only(find(f"{path}.mov", f"{path}_cal.csv")).speaker == speaker


def test_a_recording_without_sound_is_listed(find: Find) -> None:
    """The app can be told not to record video."""
    found = find("one.csv", "one.wav", f"{RECORDING}_cal.csv")
    assert [take.id for take in found.takes] == ["one"]
    assert [(fault.source, fault.reason) for fault in found.faults] == [
        (f"{RECORDING}_cal.csv", "has no audio")
    ]


def test_recordings_without_curves_are_sound_alone_if_asked_for(find: Find, tmp_path: Path) -> None:
    """Nothing marks them as this layout, but who names it gets them."""
    (take,) = find(f"{RECORDING}.mov", layout="livelink").takes
    assert take.motion is None
    found = find(f"{RECORDING}_cal.csv")
    assert only(found).motion is not None
    assert find_takes(tmp_path / "corpus").layout == "livelink"
