"""The suffix of a file says who writes it; an unknown one is filled with nothing else."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import esarm_env
from esarm_env.core.errors import InputError, MissingExtraError
from esarm_env.face import read_livelink_csv
from esarm_env.face.exporters import (
    EXPORTER_GROUP,
    EXPORTERS,
    exporter_for,
    exporters_to,
    write_motion,
)

THEIRS = """
from esarm_env.face.exporters import Exporter


def write(path, motion, *, rate_hz):
    path.write_text(f"{len(motion)} frames at {rate_hz} Hz")


GLB = Exporter(".obj", write, "Theirs.")
CSV = Exporter(".csv", write)
"""


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registered."""
    monkeypatch.setattr(EXPORTERS, "_registered", {})


def write(path: Path, motion: Any, *, rate_hz: int) -> None:
    """Write how much there is."""
    path.write_text(f"{motion.shape} at {rate_hz}")


@pytest.mark.parametrize("name", ["face.csv", "FACE.CSV", "a.b.csv"])
def test_csv_is_a_live_link_recording(tmp_path: Path, name: str) -> None:
    """The one format that ships, through the same door as all others."""
    motion = np.linspace(0, 1, 5 * 52, dtype=np.float32).reshape(5, 52)
    exporter_for(name).write(tmp_path / name, motion, rate_hz=60)
    read, _ = read_livelink_csv(tmp_path / name)
    assert len(read) == 9, "60 Hz: a row between any two frames"
    np.testing.assert_allclose(read[::2], motion, atol=1e-6)


@pytest.mark.parametrize("name", ["face.obj", "face", "face.csv.bak", ".csv"])
def test_an_unknown_suffix_is_refused_with_what_there_is(name: str) -> None:
    """A .glb full of CSV text opens nowhere, and its user looks for the fault in the viewer."""
    known = "the suffix of the output must be one of those that exporters write: .csv (livelink), "
    with pytest.raises(InputError, match=f"{re.escape(known)}.*, got {re.escape(repr(name))}$"):
        exporter_for(name)


def test_an_exporter_of_another_package_writes_its_suffix(
    make_package: Callable[..., None], tmp_path: Path
) -> None:
    """A format is added without a line of ours."""
    make_package("theirs", THEIRS, group=EXPORTER_GROUP, obj="GLB")
    assert EXPORTERS.find()["obj"].description == "Theirs."
    exporter_for("face.obj").write(tmp_path / "face.obj", np.zeros((3, 52), "f4"), rate_hz=30)
    assert (tmp_path / "face.obj").read_text() == "3 frames at 30 Hz"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("GLB = 3", "TypeError: its entry point is a int, not an `Exporter`"),
    ],
)
def test_a_broken_exporter_is_named_and_stops_no_other(
    make_package: Callable[..., None], source: str, error: str
) -> None:
    """Which suffix it would have written only it could tell, so all broken ones are named."""
    make_package("theirs", source, group=EXPORTER_GROUP, obj="GLB")
    assert exporter_for("face.csv").suffix == ".csv"
    message = f"; exporters that cannot be used: 'obj' ({error})"
    with pytest.raises(InputError, match=re.escape(message)):
        exporter_for("face.obj")


def test_a_suffix_that_two_packages_write_is_nobodys(make_package: Callable[..., None]) -> None:
    """Which of them writes would depend on the order of their names."""
    make_package("theirs", THEIRS, group=EXPORTER_GROUP, table="CSV")
    message = (
        "face.csv: files with the suffix '.csv' are written by several exporters, 'livelink' of "
    )
    with pytest.raises(InputError, match=re.escape(message)):
        exporter_for("face.csv")


def test_an_exporter_can_be_registered(tmp_path: Path) -> None:
    """The way of notebooks; its own name may be taken over."""
    esarm_env.register_exporter("mine", write, suffix=".txt", description="Mine.")
    exporter_for("x.txt").write(tmp_path / "x.txt", np.zeros((2, 52), "f4"), rate_hz=30)
    assert (tmp_path / "x.txt").read_text() == "(2, 52) at 30"
    assert EXPORTERS.find()["mine"].description == "Mine."
    esarm_env.register_exporter("livelink", write, suffix=".csv", replace=True)
    assert exporter_for("x.csv").write is write


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "livelink", "suffix": ".txt"}, "`name` must be free, got 'livelink', brought by"),
        (
            {"suffix": ".csv"},
            "`suffix` must be free, got '.csv', written by exporter 'livelink' of esarm",
        ),
        (
            {"suffix": "txt"},
            "`suffix` must be a dot and letters, none of them capital, got 'txt'",
        ),
        (
            {"suffix": ".TXT"},
            "`suffix` must be a dot and letters, none of them capital, got '.TXT'",
        ),
        ({"write": 3}, "`write` must be callable with (path, motion, rate_hz=...), got int"),
    ],
)
def test_what_cannot_be_registered_is_refused(arguments: dict[str, Any], message: str) -> None:
    """A suffix that `exporter_for` never looks for would be refused there without a reason."""
    given = {"name": "mine", "suffix": ".txt", "write": write} | arguments
    with pytest.raises(InputError, match=re.escape(message)):
        esarm_env.register_exporter(given.pop("name"), given.pop("write"), **given)


GROWN = """
from esarm_env.face.exporters import Exporter


def write(path, motion, *, rate_hz, head, speech, name):
    path.write_text(f"{name}: {head.n_vertices} vertices, {speech.rate_hz} Hz")


OBJ = Exporter(".obj", write)
"""


def test_a_writer_gets_what_it_names_and_no_more(
    make_package: Callable[..., None], tmp_path: Path
) -> None:
    """Those written before head and sound were handed over still work."""
    motion, sound = np.zeros((3, 52)), (np.zeros(800), 8000)
    make_package("theirs", GROWN, group=EXPORTER_GROUP, obj="OBJ")
    assert EXPORTERS.load("obj", setting="format").takes == ("head", "speech", "name")
    write_motion(tmp_path / "a.obj", motion, speech=sound)
    assert (tmp_path / "a.obj").read_text() == "a: 5935 vertices, 8000 Hz"
    esarm_env.register_exporter("mine", write, suffix=".txt")
    write_motion(tmp_path / "a.txt", motion, speech=sound, head="no such head")
    assert (tmp_path / "a.txt").read_text() == "(3, 52) at 30"
    esarm_env.register_exporter("all", lambda path, motion, **all: path.touch(), suffix=".all")
    assert exporter_for("x.all").takes == ("head", "speech", "name")


def test_a_suffix_that_is_shared_already_may_be_shared_further() -> None:
    """JSON has many layouts; the name tells them apart."""
    esarm_env.register_exporter("mine", write, suffix=".json")
    assert exporter_for("x.json", format="mine").write is write


def outputs(folder: Path, *names: str, **more: Any) -> list[str]:
    """Return the suffixes of the exporters of several outputs."""
    paths = [folder / name for name in names]
    return [each.suffix for each in exporters_to(paths, speech=folder / "a.wav", **more)]


def test_each_of_several_outputs_has_its_exporter(tmp_path: Path) -> None:
    """A format that is named goes to the outputs of its suffix."""
    assert outputs(tmp_path, "a.npy", "a.json", "b.json", formats=["lam"]) == [
        ".npy",
        ".json",
        ".json",
    ]
    paths = [Path("/dev/null")]
    (through,) = exporters_to(paths, speech=tmp_path, formats=["lam"])
    assert through.suffix == ".json", "a device has no suffix"
    assert exporters_to(paths, speech=tmp_path)[0].suffix == ".csv"


def test_a_missing_extra_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video that cannot be written is not worth minutes of animating."""
    monkeypatch.setitem(sys.modules, "av", None)
    message = "A video needs `av`: run `pip install 'esarm[video]'`"
    with pytest.raises(MissingExtraError, match=re.escape(message)):
        outputs(tmp_path, "a.csv", "a.webm")


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        ([], {}, "`output` must be given at least once, got none"),
        (["a.csv", "a.csv"], {}, "`output` must be different files, got "),
        (["a.csv"], {"formats": ["lam"]}, "`format` must be of one of the outputs, got 'lam' for"),
        (["a.json"], {"formats": ["lam", "beat"]}, "`format` must be one for .json files, got lam"),
        (["a.json"], {"formats": ["lma"]}, "`format` must be one of audio2face, beat, "),
        (["a.csv", "a.npy"], {"rate_hz": 60}, "`rate` must be 30 for .npy files, which hold no"),
        (["no/a.csv"], {}, "which does not exist; make it first"),
    ],
)
def test_outputs_that_cannot_be_are_refused(
    names: list[str], more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """All of them before the first is written."""
    with pytest.raises(InputError, match=re.escape(message)):
        outputs(tmp_path, *names, **more)
