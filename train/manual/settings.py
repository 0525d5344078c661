"""`esarm settings`: every key of `--set` with type, default and meaning."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import tyro

from esarm_env.core.errors import InputError
from train.commands.options import check_json_target, write_json
from train.manual.docstrings import documented
from train.manual.pages import wrapped

_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_PLURALS = {str: "texts", int: "whole numbers", float: "numbers"}


@dataclass(frozen=True)
class Setting:
    """A setting of a run.

    Attributes:
        key: As it is given to `--set`, such as `clone.epochs`.
        kind: What its values are, in words.
        default: The value in the preset `demo`, as YAML would have it.
        meaning: What it does.
    """

    key: str
    kind: str
    default: Any
    meaning: str


def command_settings(
    section: Annotated[str | None, tyro.conf.Positional] = None,
    /,
    *,
    json: Path | None = None,
) -> None:
    """List a run's settings: key, type, default and meaning.

    Give one with `--set KEY=VALUE`, as in `esarm run --set clone.epochs=10 --set
    'improve.algorithms=[ppo]'`, or all of them in a YAML file with `--config`. Defaults are those
    of the preset `demo`.

    Args:
        section: A section such as `improve`, or a key such as `improve.reward`; by default all.
        json: Also write the list to this file.
    """
    check_json_target(json)
    about = sections()
    settings = tuple(every_setting())
    chosen = settings if section is None else settings_below(section, settings)
    last = ""
    for setting in _by_place(chosen):
        place = setting.key.rpartition(".")[0]
        if place != last:
            print("\n".join(["", *wrapped(f"{place}: {about[place]}")]))
            last = place
        print("\n".join(entry(setting)))
    write_json({"settings": {each.key: dataclasses.asdict(each) for each in chosen}}, json)


def _by_place(settings: tuple[Setting, ...]) -> list[Setting]:
    """Return settings with those of one section together, also where another lies between them."""
    places = list(dict.fromkeys(setting.key.rpartition(".")[0] for setting in settings))
    return sorted(settings, key=lambda setting: places.index(setting.key.rpartition(".")[0]))


def every_setting() -> Iterator[Setting]:
    """Yield all settings of a run, section by section."""
    from train.run.config import Config

    yield from _settings_of(Config(), "")


def sections() -> dict[str, str]:
    """Return what each section is about, by its name."""
    from train.run.config import Config

    def below(config: Any, prefix: str) -> Iterator[tuple[str, str]]:
        meanings = documented(type(config)).meanings
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            if dataclasses.is_dataclass(value):
                yield prefix + field.name, meanings.get(field.name, "")
                yield from below(value, f"{prefix}{field.name}.")

    return dict(below(Config(), ""))


def settings_below(section: str, settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """Return the settings of a section, or the one of this key.

    Raises:
        InputError: If there is neither; the message names the nearest.
    """
    found = tuple(s for s in settings if s.key == section or s.key.startswith(f"{section}."))
    if found:
        return found
    names = sections()
    keys = [setting.key for setting in settings]
    # A setting without its section is the commonest slip.
    near = [key for key in keys if key.rpartition(".")[2] == section]
    near = near or difflib.get_close_matches(section, [*names, *keys], n=1)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise InputError(
        f"`section` must be one of {', '.join(names)}, or a key in them, got {section!r}{hint}"
    )


def entry(setting: Setting) -> list[str]:
    """Return the lines of one setting: key, type and default, and below them the meaning."""
    first = f"{setting.key}  ({setting.kind}; default: {shown(setting.default)})"
    lines = wrapped(first, indent="  ")
    meaning = wrapped(setting.meaning, indent="      ")
    return [*lines[:1], *("  " + line for line in lines[1:]), *meaning]


def shown(value: Any) -> str:
    """Return a value as `--set` takes it; an empty text as two quotes."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(shown(each) for each in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return '""' if value == "" else str(value)


def _settings_of(config: Any, prefix: str) -> Iterator[Setting]:
    hints, meanings = get_type_hints(type(config)), documented(type(config)).meanings
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from _settings_of(value, f"{key}.")
        else:
            plain = list(value) if isinstance(value, tuple) else value
            yield Setting(key, _kind(hints[field.name]), plain, meanings.get(field.name, ""))


def _kind(hint: Any) -> str:
    """Return a type in words."""
    if get_origin(hint) is tuple:
        return f"list of {_PLURALS.get(get_args(hint)[0], 'texts')}"
    if get_origin(hint) is dict:
        return "weights by name"
    if isinstance(hint, types.UnionType):
        return " or ".join(_kind(each) for each in get_args(hint))
    return "null" if hint is type(None) else _KINDS.get(hint, "text")
