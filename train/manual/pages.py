"""Help pages of 80 columns: of a command, and of all commands."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence

from train.manual.docstrings import documented
from train.manual.options import Option, options_of

WIDTH, _NARROWEST = 80, 40
_COLUMN, _NARROW_COLUMN = 22, 17  # where meanings begin: of options, and of commands
HELP = ("-h", "--help")

# In the order of use. What is deprecated stands in none.
GROUPS: dict[str, tuple[str, ...]] = {
    "Animate and look": ("animate", "convert", "studio", "figure5"),
    "A run, from corpus to report": (
        "run",
        "corpus",
        "capture",
        "prior",
        "encoder",
        "clone",
        "demonstrate",
        "reward",
        "improve",
        "evaluate",
        "compare",
        "tune",
        "export",
        "push",
        "pull",
    ),
    "Rewards": ("reward-report", "overoptimise"),
    "Tables and benchmarks": ("scores", "table1", "table2", "ablate", "score", "bench"),
    "Installation": ("doctor", "plugins", "settings", "completion", "assets"),
}
BENCH_GROUPS: dict[str, tuple[str, ...]] = {
    "A run beside others": ("peers", "rl", "prior", "probes", "hacking", "raters"),
    "Speed": ("env", "agents", "workers", "metrics", "pictures", "synthetic"),
}
_DEPRECATED = ("rewards",)
Commands = Mapping[str, Callable[..., None]]


def wants_help(given: Sequence[str]) -> bool:
    """Return whether a command line asks for help."""
    return any(each in HELP for each in given)


def overview(
    commands: Commands,
    *,
    prog: str,
    about: str,
    groups: Mapping[str, Sequence[str]],
    last: str,
) -> str:
    """Return the page of all commands: a group for each use, a line or two for each command.

    Args:
        commands: Functions by name.
        prog: What stands before the name of a command.
        about: What all of it is for.
        groups: Names by what they are for, in the order of use; what no group names stands in the
            last one.
        last: A paragraph for the end.
    """
    lines = [f"usage: {prog} COMMAND [options]", "", *wrapped(about)]
    for title, names in _grouped(commands, groups).items():
        lines += ["", *([f"{title}:"] if title else [])]
        for name in names:
            lines += _entry(name, documented(commands[name]).summary, column=_NARROW_COLUMN)
    lines += ["", *wrapped(last)]
    return "\n".join(lines)


def in_order(commands: Commands, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of the commands that `overview` shows, in its order."""
    return [name for names in _grouped(commands, groups).values() for name in names]


def page(command: Callable[..., None], *, prog: str) -> str:
    """Return the help page of one command.

    Args:
        command: Its function; what is said stands in its docstring.
        prog: How it is called, such as `esarm run`.
    """
    said, groups = documented(command), options_of(command)
    own = groups[0].options
    lines = [*_usage(prog, [option for group in groups for option in group.options])]
    for paragraph in (said.summary, *said.paragraphs):
        lines += ["", *wrapped(paragraph)]
    positional = [option for option in own if option.positional]
    if positional:
        lines += ["", "arguments:", *_entries(positional)]
    lines += ["", "options:"]
    lines += _entries([option for option in own if not option.positional])
    lines += _entry(", ".join(HELP), "Show this page.")
    for group in groups[1:]:
        lines += ["", *wrapped(f"{group.title}:"), *_entries(group.options)]
    return "\n".join(lines)


def _grouped(commands: Commands, groups: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return names of commands by title."""
    known = {each for names in groups.values() for each in names} | set(_DEPRECATED)
    found = {title: [name for name in names if name in commands] for title, names in groups.items()}
    found[next(reversed(found))] += [name for name in commands if name not in known]
    return found


def _usage(prog: str, options: Sequence[Option]) -> list[str]:
    parts = [prog]
    for option in options:
        if option.positional:
            parts.append(option.needed if option.required else f"[{option.needed}]")
        elif option.required:
            parts.append(option.needed)
    text = "usage: " + " ".join([*parts, "[options]"])
    return textwrap.wrap(text, _width(), subsequent_indent="       ", break_on_hyphens=False)


def _entries(options: Sequence[Option]) -> list[str]:
    return [line for option in options for line in _entry(option.shown, option.meaning)]


def _entry(shown: str, meaning: str, *, column: int = _COLUMN) -> list[str]:
    """Return a name with its meaning beside it, or below it where it is too long."""
    beside = len(shown) + 2 <= column - 2
    lines = wrapped(meaning, indent=" " * column)
    if not beside or not lines:
        return [*_names(shown), *lines]
    return [f"  {shown}".ljust(column) + lines[0].lstrip(), *lines[1:]]


def _names(shown: str) -> list[str]:
    return textwrap.wrap(
        shown,
        _width(),
        initial_indent="  ",
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def wrapped(text: str, *, indent: str = "") -> list[str]:
    """Return lines of a paragraph; words such as `--set` and paths are not cut at their hyphens."""
    return textwrap.wrap(
        text,
        _width(),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _width() -> int:
    """Columns of a page: those of the terminal, 80 at most, as longer lines are hard to read."""
    return max(_NARROWEST, min(WIDTH, shutil.get_terminal_size().columns))
