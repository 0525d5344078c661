"""The layout of a folder is recognised, or the error shows what is there and what would fit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import esarm_env
from esarm_env.core.errors import InputError
from esarm_env.corpus.layouts import Found, Layout, find_layouts, find_takes, register_layout
from esarm_env.corpus.layouts import registry as layout_registry
from esarm_env.corpus.layouts.registry import LAYOUT_GROUP
from esarm_env.corpus.layouts.tree import Tree

LAYOUTS = {name: plugin.load() for name, plugin in find_layouts().items()}
# Of the others the content counts, too: tests/esarm_env/corpus/vertices has whole ones.
BY_NAME = [name for name, layout in LAYOUTS.items() if not layout.fits_vertices]

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


@pytest.mark.parametrize("layout", BY_NAME)
def test_each_layout_is_recognised_without_its_optional_parts(find: Find, layout: str) -> None:
    """What people download first must open."""
    found = find(*TREES[layout][0])
    assert found.layout == layout
    assert len(found.takes) == 1


@pytest.mark.parametrize("layout", BY_NAME)
def test_each_layout_is_recognised_with_its_optional_parts(plant: Plant, layout: str) -> None:
    """Captured curves and side files must not make it look like another layout."""
    needed, optional = TREES[layout]
    root = plant(*needed, *optional)
    write_table(root)
    found = find_takes(root)
    assert found.layout == layout
    assert all(take.motion is not None for take in found.takes)
    assert found == find_takes(root, layout), "named and recognised must give the same"


@pytest.mark.parametrize("layout", [name for name in BY_NAME if name != "livelink"])
@pytest.mark.parametrize("depth", ["data", "data/raw"])
def test_a_layout_is_recognised_one_folder_deeper(find: Find, layout: str, depth: str) -> None:
    """Archives often hold one folder with everything."""
    found = find(*(f"{depth}/{path}" for path in TREES[layout][0]))
    assert found.layout == layout


@pytest.mark.parametrize("layout", BY_NAME)
def test_labels_are_valid(find: Find, layout: str) -> None:
    """A corpus refuses them only once a record is made of them."""
    from esarm_env.core.types import Record

    for take in find(*TREES[layout][0]).takes:
        record = Record(take.id, take.speaker, take.emotion, take.intensity, take.text, n_frames=1)
        assert record.speaker


def test_the_order_of_the_layouts_is_the_documented_one() -> None:
    """It decides where several fit."""
    assert tuple(LAYOUTS) == (
        "mead",
        "vocaset",
        "3d-etf",
        "beat",
        "ravdess",
        "livelink",
        "generic",
    )
    assert all(layout.name == name for name, layout in LAYOUTS.items())


@pytest.mark.parametrize("name", ["", "MEAD", "etf", "hdtf"])
def test_an_unknown_layout_is_refused(find: Find, name: str) -> None:
    """A typo must not mean `auto`."""
    message = (
        "`layout` must be one of auto, mead, vocaset, 3d-etf, beat, ravdess, livelink, generic, "
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


THEIRS = """
from pathlib import Path

from esarm_env.corpus.layouts import Layout
from esarm_env.corpus.layouts.pairing import Part
from esarm_env.corpus.takes import Take


def recognises(tree):
    return any("clips" in file.folders for file in tree.files)


def describe(tree):
    def of(file):
        take = Take(file.stem, audio=None, motion=None, speaker="anna")
        return Part(take, "audio" if file.is_media else "motion")

    return of


LAYOUT = Layout("clips", "clips/NAME.wav and .npy", recognises, describe)
BROKEN = Layout("broken", "", lambda tree: 1 / 0, describe)
GREEDY = Layout("greedy", "anything", lambda tree: True, describe)
"""


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registered."""
    monkeypatch.setattr(layout_registry.LAYOUTS, "_registered", {})


def test_a_layout_of_another_package_is_asked_before_generic(
    find: Find, make_package: Callable[..., None]
) -> None:
    """Behind `generic` it would get no folder that has `audio` in it."""
    make_package("theirs", THEIRS, group=LAYOUT_GROUP, clips="LAYOUT")
    assert [*find_layouts()] == [*[*LAYOUTS][:-1], "clips", "generic"]
    for layout in ("auto", "clips"):
        found = find("audio/clips/a.wav", "audio/clips/a.npy", layout=layout)
        assert (found.layout, [take.id for take in found.takes]) == ("clips", ["a"])


def test_an_installed_layout_takes_no_folder_from_our_specific_ones(
    find: Find, make_package: Callable[..., None]
) -> None:
    """Installing a package must not change what a corpus has been read as for a year."""
    make_package("theirs", THEIRS, group=LAYOUT_GROUP, greedy="GREEDY")
    assert find(*TREES["mead"][0]).layout == "mead"
    assert find_layouts()["greedy"].load().recognises(Tree(Path(), "", (), (), ()))


def test_a_layout_goes_by_the_name_it_is_asked_for_by(
    find: Find, make_package: Callable[..., None]
) -> None:
    """What a run notes as its layout must open it again."""
    make_package("theirs", THEIRS, group=LAYOUT_GROUP, others="LAYOUT")
    found = find("clips/a.wav")
    assert found.layout == "others"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("LAYOUT = 3", "TypeError: its entry point is a int, not a `Layout`"),
    ],
)
def test_a_broken_layout_is_listed_and_stops_no_other(
    find: Find, make_package: Callable[..., None], source: str, error: str
) -> None:
    """`auto` asks all of them: one broken package would close every corpus."""
    make_package("theirs", source, group=LAYOUT_GROUP, clips="LAYOUT")
    assert find_layouts()["clips"].error == error
    assert find("audio/anna/a.wav").layout == "generic"
    message = f"layout 'clips' must be importable, got {error}; mend or uninstall theirs 1.2"
    with pytest.raises(InputError, match=re.escape(message)):
        find("audio/anna/a.wav", layout="clips")


def test_a_layout_that_fails_at_a_folder_is_passed_over_with_a_warning(
    find: Find, make_package: Callable[..., None]
) -> None:
    """It imports well and fails only here; whose fault it is must be said."""
    make_package("theirs", THEIRS, group=LAYOUT_GROUP, broken="BROKEN")
    with pytest.warns(RuntimeWarning, match="layout 'broken' of theirs 1.2 failed at .*ZeroDiv"):
        assert find("audio/anna/a.wav").layout == "generic"


def test_a_layout_can_be_registered(find: Find) -> None:
    """The way of notebooks; the description shows what it expects."""
    generic = LAYOUTS["generic"]
    mine = Layout("mine", "clips/", lambda tree: True, generic.describe)
    esarm_env.register_layout(mine)
    assert find_layouts()["mine"].description == "clips/"
    assert find("audio/anna/a.wav").layout == "mine"
    with pytest.raises(InputError, match="`name` must be free, got 'mine', brought by this proc"):
        register_layout(mine)
    with pytest.raises(InputError, match="`name` must be free, got 'auto', which is the first lay"):
        register_layout(Layout("auto", "", lambda tree: True, generic.describe))
    with pytest.raises(InputError, match="`layout` must be a `Layout`, got a int"):
        register_layout(3)  # type: ignore[arg-type]


def test_looking_for_a_folder_imports_no_other_layout() -> None:
    """Each import of all layouts was paid by everybody who opens the corpus that ships."""
    code = (
        "import sys, esarm_env.corpus; "
        "print(sorted(name for name in sys.modules if '.corpus.layouts.' in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("mead", "etf", "beat", "ravdess", "livelink", "generic"):
        assert f"layouts.{name}'" not in done.stdout
