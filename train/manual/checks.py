"""Checks of a command line before tyro parses it: one plain line for what a user mistypes.

tyro would print a box that shows `{None}|INT` and options of other commands. What these checks let
pass is still parsed, and refused if need be, by tyro.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence

from esarm_env.core.errors import InputError
from train.manual.options import MANY, NUMBER, PAIRS, WHOLE, Option, options_of

_KINDS: dict[str, tuple[Callable[[str], object], str]] = {
    WHOLE: (int, "a whole number"),
    NUMBER: (float, "a number"),
}


def check_given(given: Sequence[str], command: Callable[..., None], *, prog: str) -> None:
    """Check the words behind a command's name against its options.

    Args:
        given: Those words.
        command: Its function.
        prog: How it is called, such as `esarm run`.

    Raises:
        InputError: If an option is unknown, lacks its value or has one of another kind, or if one
            is missing that must be given.
    """
    options = [option for group in options_of(command) for option in group.options]
    named = {name: option for option in options for name in option.accepted}
    positional = [option for option in options if option.positional]
    found: list[Option] = []
    n_free, taken = 0, ""
    for name, values in _parts(given, named, positional, prog):
        if name:
            option = named[name]
        elif n_free == len(positional):
            rule = f"`{prog}` must be given no more than `{prog} --help` says"
            raise InputError(f"{rule}, got {values[0]!r} as well")
        else:
            option, name = positional[n_free], positional[n_free].names[-1]
            n_free += not option.value.endswith(MANY)  # such a one takes all that follow
        found.append(option)
        if not option.positional and option.value.endswith(MANY) and values:
            taken = f"; `{name}` took {' and '.join(map(repr, values))}"
        for value in values:
            _check_value(option, name, value)
    missing = [option.needed for option in options if option.required and option not in found]
    if missing:
        asked = f"`{prog}` must be given {' and '.join(missing)}"
        raise InputError(f"{asked}{taken}; see `{prog} --help`")


def _parts(
    given: Sequence[str], named: dict[str, Option], positional: Sequence[Option], prog: str
) -> Iterator[tuple[str, list[str]]]:
    """Yield names of options with their values, and under no name each word that stands free."""
    words = list(given)
    while words:
        word = words.pop(0)
        if not _is_name(word):
            yield "", [word]
            continue
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if name.startswith("--tyro-"):
            return
        if name not in named:
            free = name.removeprefix("--").upper()
            if free in [option.names[-1] for option in positional]:
                raise InputError(f"`{prog}` must be given {free} without {name!r} before it")
            meant = _meant(name, named) or f"; `{prog} --help` lists them"
            raise InputError(f"`{prog}` must be given options that it has, got {name!r}{meant}")
        shown = named[name].value
        values = [value] if equals else []
        while words and shown and not _is_name(words[0]) and (shown.endswith(MANY) or not values):
            values.append(words.pop(0))
        if not values and shown and not shown.endswith(MANY):
            raise InputError(f"`{name}` must be followed by {shown}, got nothing")
        yield name, values if shown else []


def _is_name(word: str) -> bool:
    """Return whether a word is an option's name, and not a number below 0 or a lone dash."""
    if not word.startswith("-") or word == "-":
        return False
    try:
        float(word)
    except ValueError:
        return True
    return False


def _meant(name: str, named: dict[str, Option]) -> str:
    near = difflib.get_close_matches(name, named, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _check_value(option: Option, name: str, value: str) -> None:
    kind = option.value.removesuffix(MANY)
    if value == "None" or option.value == PAIRS:
        return  # `None` is how tyro spells that nothing is given
    if option.choices and value not in option.choices:
        near = difflib.get_close_matches(value, option.choices, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        known = ", ".join(option.choices)
        raise InputError(f"`{name}` must be one of {known}, got {value!r}{hint}")
    if kind in _KINDS:
        read, words = _KINDS[kind]
        try:
            read(value)
        except ValueError as error:
            raise InputError(f"`{name}` must be {words}, got {value!r}") from error
