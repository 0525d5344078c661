"""Help pages: readable at 80 columns, in whole sentences, with nothing that only tyro means."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import tyro

from tests.train.manual.wording import DURATION, check_meaning, is_fragment
from train.cli import BENCHES, COMMANDS, main
from train.manual.docstrings import documented
from train.manual.options import Option, options_of
from train.manual.pages import BENCH_GROUPS, GROUPS, WIDTH, page

EVERY: dict[str, Callable[..., None]] = {
    **{f"esarm {name}": command for name, command in COMMANDS.items() if name != "bench"},
    **{f"esarm bench {name}": command for name, command in BENCHES.items()},
}
LONGEST_PAGE, LONGEST_OVERVIEW, LONGEST_SUMMARY = 100, 60, 90
ONLY_TYRO_MEANS = (
    "None",
    "{fixed}",
    "options options",
    "(default: )",
    "()",
    "[default",
    "dataclass",
)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages keep to 80 columns where there are more."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("prog", EVERY)
def test_a_page_can_be_read_by_a_stranger(prog: str) -> None:
    """`{None}|STR`, `[default: demo] (default: None)` and `Of sampling.` told nobody anything."""
    command = EVERY[prog]
    text = page(command, prog=prog)
    lines = text.splitlines()
    assert lines[0].startswith(f"usage: {prog}")
    assert len(lines) <= LONGEST_PAGE
    assert max(map(len, lines)) <= WIDTH, max(lines, key=len)
    for said in ONLY_TYRO_MEANS:
        assert said not in text, said
    assert not DURATION.search(text), DURATION.findall(text)
    summary = documented(command).summary
    assert len(summary) <= LONGEST_SUMMARY and not is_fragment(summary), summary
    for group in options_of(command):
        assert not is_fragment(group.title), group.title
        for option in group.options:
            check_meaning(option.shown, option.meaning)


@pytest.mark.parametrize("given", [[], ["--help"], ["-h"], ["help"]])
def test_alone_and_with_help_the_commands_are_listed(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`esarm` without a word ended in an error; who tries that wants to know what there is."""
    main(given)
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == "usage: esarm COMMAND [options]"
    assert len(lines) <= LONGEST_OVERVIEW and max(map(len, lines)) <= WIDTH
    listed = re.findall(r"^  ([a-z0-9-]+) {2,}\S", text, re.MULTILINE)
    assert sorted(listed) == sorted(set(COMMANDS) - {"rewards"}), "rewards is deprecated"
    titles = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert titles == list(GROUPS)
    assert listed.index("animate") < listed.index("run") < listed.index("doctor")


@pytest.mark.parametrize("given", [["bench"], ["bench", "--help"], ["help", "bench"]])
def test_measurements_are_listed_likewise(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`bench` is a command of commands."""
    main(given)
    text = capsys.readouterr().out
    listed = re.findall(r"^  ([a-z0-9-]+) {2,}\S", text, re.MULTILINE)
    assert sorted(listed) == sorted(BENCHES)
    assert set(BENCHES) == {name for names in BENCH_GROUPS.values() for name in names}


def test_every_command_has_its_group() -> None:
    """One that no group names stands last, under a title that may not be its own."""
    grouped = {name for names in GROUPS.values() for name in names}
    assert set(COMMANDS) - grouped == {"rewards"}


@pytest.mark.parametrize("given", [["help", "run"], ["run", "-h"], ["run", "--rounds", "2", "-h"]])
def test_help_of_a_command_can_be_asked_in_three_ways(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Git and pip taught people `help COMMAND`."""
    main(given)
    assert capsys.readouterr().out.startswith("usage: esarm run [options]\n\nRun the whole")


def test_a_narrow_terminal_has_narrow_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that the terminal breaks by itself lose their column."""
    monkeypatch.setenv("COLUMNS", "60")
    lines = page(COMMANDS["table1"], prog="esarm table1").splitlines()
    assert 50 < max(map(len, lines)) <= 60


@dataclass(frozen=True)
class Sizes:
    """Sizes.

    Attributes:
        width: Width of all, in pixels.
    """

    width: int = 3


def command(
    speech: Annotated[Path, tyro.conf.Positional],
    place: Annotated[str | None, tyro.conf.Positional] = None,
    /,
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    kind: Literal["a", "b"] | None = None,
    seeds: tuple[int, ...] = (),
    again: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    quick: bool = False,
    alive: bool = True,
    share: float = 0.5,
    sizes: Sizes = Sizes(),
) -> None:
    """Do it.

    First
    thing.

    Second thing.

    Args:
        speech: What is heard.
        place: Where it is, or
            was.
        output: What is written.
        kind: Which kind. [default: a]
        seeds: Seeds; by default 1.
        again: Give it again.
        quick: Be quick.
        alive: Be alive.
        share: How much.
        sizes: How large.

    Raises:
        ValueError: Never.
    """


def test_options_are_read_from_signature_and_docstring() -> None:
    """A meaning stands once, in the docstring; what is parsed and what is told must not differ."""
    own, sizes = options_of(command)
    told = {option.shown: option for option in own.options}
    assert list(told) == [
        "SPEECH",
        "PLACE",
        "-o, --output PATH",
        "--kind {a,b}",
        "--seeds N ...",
        "--again TEXT",
        "--quick",
        "--alive, --no-alive",
        "--share NUMBER",
    ]
    assert [option.required for option in own.options] == [True, False, True, *[False] * 6]
    assert told["PLACE"].meaning == "Where it is, or was."
    assert told["--kind {a,b}"].meaning == "Which kind. (default: a)"
    assert told["--kind {a,b}"].choices == ("a", "b")
    assert told["--alive, --no-alive"].meaning == "Be alive. (default: on)"
    assert told["--quick"].meaning == "Be quick."
    assert told["--share NUMBER"].meaning == "How much. (default: 0.5)"
    assert sizes.title == "How large"
    wanted = Option(
        ("--sizes.width",), "N", (), "Width of all, in pixels. (default: 3)", False, False
    )
    assert sizes.options == (wanted,)
    said = documented(command)
    assert said.summary == "Do it." and said.paragraphs == ("First thing.", "Second thing.")
    assert "ValueError" not in said.meanings
    text = page(command, prog="esarm it")
    assert text.startswith(
        "usage: esarm it SPEECH [PLACE] --output PATH [options]\n\nDo it.\n\nFirst"
    )


def test_what_has_no_docstring_says_nothing() -> None:
    """Better an empty line than the docstring of `dict`."""

    def silent(*, size: int = 1) -> None: ...

    said: Any = documented(silent)
    assert (said.summary, said.paragraphs, said.meanings) == ("", (), {})
    assert options_of(silent)[0].options[0].meaning == "(default: 1)"
