"""A mistyped command line is one plain line, not a box that shows `{None}|INT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from esarm_env.core.errors import InputError
from train.cli import COMMANDS, main
from train.manual.checks import check_given
from train.manual.pages import page


def command(
    speech: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    size: int | None = None,
    share: float = 0.5,
    kind: Literal["small", "large"] = "small",
    seeds: tuple[int, ...] = (),
    words: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    n_best: int = 1,
    quick: bool = False,
) -> None:
    """Do it."""


def several(
    run: Annotated[Path, tyro.conf.Positional],
    names: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    /,
    *,
    base: Annotated[str | None, tyro.conf.arg(name="from")] = None,
) -> None:
    """Do it to several."""


def parsed(line: str) -> None:
    """Let tyro parse what the checks let pass: they must agree."""
    check_given(line.split(), command, prog="esarm it")
    tyro.cli(command, args=line.split())


@pytest.mark.parametrize(
    "line",
    [
        "a.wav -o b.csv",
        "a.wav --output=b.csv --size 3 --share -0.5 --kind large",
        "--seeds 1 2 -3 --output b.csv a.wav",
        "a.wav -o b.csv --seeds 0 1 --quick",
        "a.wav -o b.csv --no-quick --size None",
        "a.wav -o b.csv --words x --words y --n_best 2",
        "a.wav -o b.csv --n-best 2",
    ],
)
def test_what_tyro_parses_passes(line: str) -> None:
    """A check that refuses a valid line takes the command away."""
    parsed(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "`esarm it` must be given SPEECH and --output PATH; see `esarm it --help`"),
        ("-o b.csv", "`esarm it` must be given SPEECH; see"),
        ("-o b.csv --seeds 1 2", "must be given SPEECH; `--seeds` took '1' and '2'; see `esarm it"),
        ("a.wav -o b.csv c.wav", "no more than `esarm it --help` says, got 'c.wav' as well"),
        ("a.wav -o b.csv --sise 3", "that it has, got '--sise'; did you mean `--size`?"),
        ("a.wav -o b.csv --zzz", "got '--zzz'; `esarm it --help` lists them"),
        ("--speech a.wav -o b.csv", "`esarm it` must be given SPEECH without '--speech' before it"),
        ("a.wav -o b.csv --size big", "`--size` must be a whole number, got 'big'"),
        ("a.wav -o b.csv --size 2.5", "`--size` must be a whole number, got '2.5'"),
        ("a.wav -o b.csv --share half", "`--share` must be a number, got 'half'"),
        ("a.wav -o b.csv --seeds 1 two", "`--seeds` must be a whole number, got 'two'"),
        ("a.wav -o b.csv --kind smal", "one of small, large, got 'smal'; did you mean small?"),
        ("a.wav -o", "`-o` must be followed by PATH, got nothing"),
        ("a.wav -o b.csv --size --quick", "`--size` must be followed by N, got nothing"),
    ],
)  # fmt: skip
def test_what_is_mistyped_is_told_in_one_line(line: str, message: str) -> None:
    """The message is the documentation at that moment."""
    with pytest.raises(InputError) as error:
        check_given(line.split(), command, prog="esarm it")
    assert message in str(error.value)


def test_a_list_without_a_name_takes_all_that_follow() -> None:
    """`esarm compare RUN one two` names as many experiments as there are."""
    for line in ("r", "r a", "r a b c", "r a --from b", "--from=b r a"):
        check_given(line.split(), several, prog="esarm it")
        tyro.cli(several, args=line.split())
    with pytest.raises(InputError, match="must be given RUN; see"):
        check_given([], several, prog="esarm it")
    with pytest.raises(InputError, match="got '--base'"):
        check_given(["r", "--base", "b"], several, prog="esarm it")
    assert page(several, prog="esarm it").startswith("usage: esarm it RUN [NAMES ...] [options]")


def test_the_command_line_refuses_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """As for every other bad input."""
    for given in (["run", "--recpie", "paper"], ["--bogus"], ["bench", "rl", "--split", "train"]):
        with pytest.raises(SystemExit, match=r"^2$"):
            main(given)
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert (line.startswith("esarm: ") and given[-1] in line) or "did you mean" in line


def test_settings_of_a_class_are_options_too() -> None:
    """`--speech-settings.iterations` is checked as any other, weights by name are left to tyro."""
    given = ["--speech", "a", "--speech-settings.reward", "learned", "1", "closure", "2"]
    check_given([*given, "--set", "clone.epochs=3"], COMMANDS["improve"], prog="esarm improve")
    with pytest.raises(InputError, match=r"`--speech-settings\.iterations` must be a whole"):
        check_given(
            ["--speech-settings.iterations", "x"], COMMANDS["improve"], prog="esarm improve"
        )
