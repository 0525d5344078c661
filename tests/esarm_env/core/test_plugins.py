"""The registry that all kinds of plug-ins share: found unseen, and a broken one stops nobody."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from esarm_env.core.errors import InputError
from esarm_env.core.plugins import PluginRegistry, need_class, unknown_name

GROUP = "esarm.tools"
SAW = """
from tests_tool import Tool

saw = Tool("cuts")
"""


@dataclass(frozen=True)
class Tool:
    """What is in the box."""

    use: str


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> PluginRegistry[Tool]:
    """Return an empty registry of tools."""
    module = type(sys)("tests_tool")
    module.Tool = Tool  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_tool", module)
    return PluginRegistry(
        "tool", GROUP, check=need_class(Tool, "a tool"), reserved={"box": "where tools lie"}
    )


def test_an_installed_plug_in_is_found_without_being_imported(
    tools: PluginRegistry[Tool], make_package: Callable[..., None]
) -> None:
    """A list of names must not pay for everybody's imports."""
    assert tools.names() == ()
    make_package("theirs", SAW, group=GROUP, big_saw="saw")
    assert tools.names() == ("big-saw",)
    found = tools.find()["big-saw"]
    assert (found.name, found.kind, found.package) == ("big-saw", "tool", "theirs 1.2")
    assert "theirs" not in sys.modules
    assert tools.load("big-saw", setting="tool") == Tool("cuts")
    assert found.error is None
    assert found.description == "What is in the box."


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise GeneratorExit('gone')", "GeneratorExit: gone"),
        (
            "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E",
            "E: an error that cannot be shown",
        ),
        ("saw = 3", "TypeError: its entry point is a int, not a tool"),
        ("", "AttributeError: module 'theirs' has no attribute 'saw'"),
    ],
)
def test_a_broken_plug_in_is_listed_with_its_reason(
    tools: PluginRegistry[Tool], make_package: Callable[..., None], source: str, error: str
) -> None:
    """Somebody's forgotten plug-in, or one that ends the process, would stop every other."""
    make_package("theirs", source, group=GROUP, saw="saw")
    tools.register("mine", Tool("mine"))
    found = tools.find()["saw"]
    assert (found.error, found.description) == (error, "")
    message = f"tool 'saw' must be importable, got {error}; mend or uninstall theirs 1.2"
    with pytest.raises(InputError, match=re.escape(message)):
        tools.load("saw", setting="tool")
    assert tools.load("mine", setting="tool") == Tool("mine")


def test_a_plug_in_is_imported_once(
    tools: PluginRegistry[Tool], make_package: Callable[..., None]
) -> None:
    """A broken one that takes seconds to fail would take them for every column of a table."""
    make_package("theirs", "print('imported'); raise OSError('no')", group=GROUP, saw="saw")
    found = tools.find()["saw"]
    counted = []

    def source() -> Any:
        counted.append(1)
        return found.source()

    again = type(found)(found.name, found.package, source, found.check)
    assert again.error == "OSError: no"
    assert (again.error, again.description, len(counted)) == ("OSError: no", "", 1)


def test_ctrl_c_during_an_import_passes(
    tools: PluginRegistry[Tool], make_package: Callable[..., None]
) -> None:
    """It is the user's wish, not the package's fault."""
    make_package("theirs", "raise KeyboardInterrupt", group=GROUP, saw="saw")
    with pytest.raises(KeyboardInterrupt):
        tools.load("saw", setting="tool")


def test_an_unknown_name_is_answered_with_what_there_is(tools: PluginRegistry[Tool]) -> None:
    """The nearest name is most often the one that was meant."""
    tools.register("hammer", Tool("hits"))
    tools.register("saw", Tool("cuts"))
    message = "`tool` must be one of hammer, saw, got 'hamer'; did you mean 'hammer'?"
    with pytest.raises(InputError, match=re.escape(message)):
        tools.load("hamer", setting="tool")
    message = "`tool` must be one of hammer, saw, got 'zzz'"
    with pytest.raises(InputError, match=re.escape(message) + "$"):
        tools.load("zzz", setting="tool")


def test_an_empty_registry_says_that_the_installation_is_old(tools: PluginRegistry[Tool]) -> None:
    """After an update of a checkout alone, names of ours would be unknown for no visible reason."""
    message = "`tool` must be the name of an installed tool, got 'saw', and there is none; "
    with pytest.raises(InputError, match=re.escape(message) + ".*install it again"):
        tools.load("saw", setting="tool")


def test_what_was_written_is_shown_where_it_is_more_than_the_name() -> None:
    """`NAME:ARGUMENT` must be found again in the message."""
    said = unknown_name("sow", {"saw": 1}, setting="tool", kind="tool", given="sow:7")
    assert said == "`tool` must be one of saw, got 'sow:7'; did you mean 'saw'?"


def test_a_taken_name_is_refused_unless_it_is_replaced(
    tools: PluginRegistry[Tool], make_package: Callable[..., None]
) -> None:
    """Two things under one name would make results of one name differ."""
    make_package("theirs", SAW, group=GROUP, saw="saw")
    tools.register("mine", Tool("a"))
    for name, package in (("mine", "this process"), ("saw", "theirs 1.2")):
        message = f"`name` must be free, got {name!r}, brought by {package}"
        with pytest.raises(InputError, match=re.escape(message)):
            tools.register(name, Tool("b"))
        tools.register(name, Tool("b"), replace=True)
        assert tools.load(name, setting="tool") == Tool("b")
        assert tools.find()[name].package == "this process"


@pytest.mark.parametrize("name", ["", "a b", "a:b", 3])
def test_a_name_that_cannot_be_written_is_refused(tools: PluginRegistry[Tool], name: Any) -> None:
    """Names are written on command lines, before a colon."""
    message = f"`name` must be a text without spaces and colons, got {name!r}"
    with pytest.raises(InputError, match=re.escape(message)):
        tools.register(name, Tool("a"))


def test_a_reserved_name_is_nobodys(
    tools: PluginRegistry[Tool], make_package: Callable[..., None]
) -> None:
    """Neither registered nor installed may a plug-in take a name with a meaning of its own."""
    message = "`name` must be free, got 'box', which is where tools lie"
    with pytest.raises(InputError, match=re.escape(message)):
        tools.register("box", Tool("a"), replace=True)
    make_package("theirs", SAW, group=GROUP, box="saw")
    assert tools.find()["box"].error == "LookupError: the name is where tools lie"


def test_a_name_of_two_packages_is_nobodys(
    tools: PluginRegistry[Tool], make_package: Callable[..., None]
) -> None:
    """Which of them is meant would depend on the order of folders."""
    make_package("theirs", SAW, group=GROUP, saw="saw")
    make_package("others", SAW, version="0.3", group=GROUP, saw="saw")
    found = tools.find()["saw"]
    assert set(found.package.split(" and ")) == {"theirs 1.2", "others 0.3"}
    assert found.error == "LookupError: the name is brought 2 times"


def test_installed_files_are_read_once_until_a_package_comes_or_goes(
    tools: PluginRegistry[Tool],
    make_package: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Read by every environment they took most of its time; never again, and news go unseen."""
    read = importlib.metadata.entry_points
    asked: list[str] = []

    def counted(group: str) -> Any:
        asked.append(group)
        return read(group=group)

    monkeypatch.setattr(importlib.metadata, "entry_points", counted)
    make_package("theirs", SAW, group=GROUP, saw="saw")
    assert tools.names() == ("saw",)
    first = tools.find()
    first.clear()  # it is the caller's
    assert (tools.names(), asked) == (("saw",), [GROUP])
    tools.register("mine", Tool("a"))
    assert (tools.names(), asked) == (("mine", "saw"), [GROUP])
    make_package("others", SAW, group=GROUP, axe="saw")  # a new place on the search path
    assert (tools.names(), len(asked)) == (("axe", "mine", "saw"), 2)
    info = tmp_path / "theirs" / "theirs-1.2.dist-info"
    info.rename(info.with_name("theirs-1.3.dist-info"))  # installed anew, into the same place
    os.utime(info.parent, ns=(1, 1))
    assert (tools.names(), len(asked)) == (("axe", "mine", "saw"), 3)
    shutil.rmtree(info.with_name("theirs-1.3.dist-info"))
    os.utime(info.parent, ns=(2, 2))
    assert (tools.names(), len(asked)) == (("axe", "mine"), 4)


def test_what_was_read_before_is_what_is_there() -> None:
    """Names, packages and targets, as Python's own reader gives them."""
    registry = PluginRegistry[Any]("reward", "esarm.rewards", check=need_class(object, "a thing"))
    registry.find()
    points = importlib.metadata.entry_points(group="esarm.rewards")
    expected = sorted((p.name, f"{p.dist.name} {p.dist.version}") for p in points if p.dist)
    assert [(p.name, p.package) for p in registry.find().values()] == expected
    assert len(expected) > 10
