"""The layout of a folder is recognised, or the error shows what is there and what would fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts import LAYOUTS, Found, find_takes

Find = Callable[..., Found]
Plant = Callable[..., Path]

# Of each layout: its files, and among them those that a folder may lack.
TREES: dict[str, tuple[list[str], list[str]]] = {
    "mead": (
        ["M003/audio/sad/level_1/001.m4a", "M003/video/front/sad/level_1/001.mp4"],
        ["blendshape/M003/video/front/sad/level_1/001.csv", "M003/video/top/sad/level_1/001.mp4"],
    ),
    "ravdess": (
        ["Actor_01/03-01-05-01-02-01-01.wav"],
        [
            "Actor_01/01-01-05-01-02-01-01.mp4",
            "Actor_01/02-01-05-01-02-01-01.mp4",
            "blendshape/Actor_01/01-01-05-01-02-01-01.csv",
        ],
    ),
    "3d-etf": (
        ["RAVDESS/audio/03-01-05-01-02-01-01.wav", "RAVDESS/blendshape/03-01-05-01-02-01-01.npy"],
        ["HDTF/audio/WDA_X_1.wav", "HDTF/blendshape/WDA_X_1.npy", "metadata.csv"],
    ),
    "beat": (
        ["1/1_wayne_0_1_1.wav"],
        ["1/1_wayne_0_1_1.json", "1/1_wayne_0_1_1.csv", "1/1_wayne_0_1_1.TextGrid"],
    ),
    "livelink": (
        ["20240622_S_1/S_1_iPhone.mov", "20240622_S_1/S_1_iPhone_cal.csv"],
        ["20240622_S_1/S_1_iPhone_raw.csv", "20240622_S_1/take.json", "20240622_S_1/S_1.wav"],
    ),
    "generic": (
        ["audio/anna/a.wav"],
        ["blendshape/anna/a.csv", "metadata.csv", "offsets.csv", "README.md"],
    ),
}


def write_table(root: Path) -> None:
    """Fill the table, where there is one."""
    if (root / "metadata.csv").exists():
        (root / "metadata.csv").write_text("id,speaker\n")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_recognised_without_its_optional_parts(find: Find, layout: str) -> None:
    """What people download first must open."""
    found = find(*TREES[layout][0])
    assert found.layout == layout
    assert len(found.takes) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_recognised_with_its_optional_parts(plant: Plant, layout: str) -> None:
    """Captured curves and side files must not make it look like another layout."""
    needed, optional = TREES[layout]
    root = plant(*needed, *optional)
    write_table(root)
    found = find_takes(root)
    assert found.layout == layout
    assert all(take.motion is not None for take in found.takes)
    assert found == find_takes(root, layout), "named and recognised must give the same"


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "livelink"])
@pytest.mark.parametrize("depth", ["data", "data/raw"])
def test_a_layout_is_recognised_one_folder_deeper(find: Find, layout: str, depth: str) -> None:
    """Archives often hold one folder with everything."""
    found = find(*(f"{depth}/{path}" for path in TREES[layout][0]))
    assert found.layout == layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_are_valid(find: Find, layout: str) -> None:
    """A corpus refuses them only once a record is made of them."""
    from esarm_env.core.types import Record

    for take in find(*TREES[layout][0]).takes:
        record = Record(take.id, take.speaker, take.emotion, take.intensity, take.text, n_frames=1)
        assert record.speaker


def test_the_order_of_the_layouts_is_the_documented_one() -> None:
    """It decides where several fit."""
    assert tuple(LAYOUTS) == ("mead", "3d-etf", "beat", "ravdess", "livelink", "generic")
    assert all(layout.name == name for name, layout in LAYOUTS.items())


@pytest.mark.parametrize("name", ["", "MEAD", "etf", "hdtf"])
def test_an_unknown_layout_is_refused(find: Find, name: str) -> None:
    """A typo must not mean `auto`."""
    message = (
        "`layout` must be one of auto, mead, 3d-etf, beat, ravdess, livelink, generic, "
        f"got {name!r}"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        find("audio/a.wav", layout=name)


@pytest.mark.parametrize("name", ["missing", "file.wav"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    """It would look like an empty one."""
    (tmp_path / "file.wav").touch()
    message = f"`folder` must be a folder of recordings, got {str(tmp_path / name)!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        find_takes(tmp_path / name)


def test_an_unknown_folder_is_shown_with_what_would_fit(plant: Plant) -> None:
    """Who reads it must see at once what to rename."""
    root = plant(*(f"clip {i}.wav" for i in range(7)), "sub/x.npy", "zebra.txt", "zoo/y.txt")
    with pytest.raises(InputError, match="must be laid out as below, found clip 0") as error:
        find_takes(root)
    first, *lines = str(error.value).splitlines()
    shown = ", ".join([*(f"clip {i}.wav" for i in range(7)), "sub/"])
    assert first == (f"{root}: must be laid out as below, found {shown} and 2 more")
    assert lines == [f"  {name}: {layout.expects}" for name, layout in LAYOUTS.items()]


def test_an_empty_folder_says_so(plant: Plant) -> None:
    """`found ` with nothing behind it looks like a defect."""
    with pytest.raises(InputError, match="found nothing\n"):
        find_takes(plant())


def test_a_named_layout_that_does_not_fit_is_shown_alone(find: Find, tmp_path: Path) -> None:
    """Who names the layout knows it; what is expected of it is what helps."""
    with pytest.raises(InputError, match="must be laid out as below, found audio/") as error:
        find("audio/a.wav", layout="mead")
    assert str(error.value).splitlines() == [
        f"{tmp_path / 'corpus'}: must be laid out as below, found audio/",
        f"  mead: {LAYOUTS['mead'].expects}",
    ]


def test_a_folder_of_faults_alone_tells_them(find: Find) -> None:
    """It is the right layout, so saying what the layout is would not help."""
    found = find("Actor_01/02-01-05-01-02-01-01.mp4")
    assert (found.layout, found.takes) == ("ravdess", ())
    assert [fault.reason for fault in found.faults] == ["has no audio"]
