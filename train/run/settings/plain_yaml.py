"""YAML of settings: plain values by text keys, bounded, and nothing taken for something else.

PyYAML's own loader lets an alias stand for a billion values, keeps the last of two equal keys
without a word, and reads `010` as 8, `1:30` as 90, a date as no text and `1e-4` as no number; a
damaged value ends in any of a dozen exceptions. Here numbers are those of YAML 1.2, and whatever is
wrong is one `InputError`.
"""

from __future__ import annotations

import functools
import pickle
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from esarm_env.core.errors import InputError, one_line

# A whole configuration has 4 kB, 120 values and three levels.
_LARGEST_BYTES, _MOST_VALUES, _MOST_LEVELS = 256_000, 10_000, 20
_LONGEST_SHOWN = 120

_LARGEST_INT = 10**18  # what lies beyond fits into no float and no array

_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_NUMBERS = {
    _INT: (r"[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    _FLOAT: (
        r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Safe loader with bounds, numbers of YAML 1.2, no dates, and text keys that are there once."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own, by first letter
        letter: [each for each in resolvers if each[0] not in (_INT, _FLOAT, _TIMESTAMP)]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = self._n_values = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; an alias counts as much as all that it stands for."""
        self._level += 1
        if self._level > _MOST_LEVELS:
            raise ValueError(f"more than {_MOST_LEVELS} levels")
        before, is_alias = self._n_values, self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if is_alias:
            if node not in self._sizes:
                raise ValueError("an alias that stands in what it stands for")
            self._n_values += self._sizes[node]
        else:
            self._n_values += 1
            if node is not None:
                self._sizes[node] = self._n_values - before
        if self._n_values > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values")
        self._level -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; what `<<` brings may be overridden, what is written twice may not."""
        written = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        counts = Counter(key.value for key in written)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"the same key twice: {shown(', '.join(twice))}")
        made = super().construct_mapping(node, deep=deep)
        strange = [key for key in made if not isinstance(key, str)]
        if strange:
            raise ValueError(f"the key {shown(strange[0])}, which is no text; put it in quotes")
        return made


for _tag, (_pattern, _letters) in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_letters))


def parse(text: str, *, rule: str) -> Any:
    """Return the value in a YAML text.

    Args:
        text: One document.
        rule: What it must be, for the message.

    Raises:
        InputError: If it is none, or larger than settings are.
    """
    with _told(rule):
        return pickle.loads(_parsed(text))


@functools.lru_cache(maxsize=16)  # one command opens its run a dozen times, 25 ms each
def _parsed(text: str) -> bytes:
    """Return the pickled value: everyone gets a copy, which `deepcopy` would be slow to make."""
    loader = _Loader(text)
    try:
        return pickle.dumps(loader.get_single_data())
    finally:
        loader.dispose()


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, of UTF-8 or with a byte order mark.

    Raises:
        InputError: If the file is missing or holds no mapping.
    """
    rule = f"{path}: must be a YAML file"
    with _told(rule):
        if not path.is_file():
            raise ValueError("a folder" if path.is_dir() else "no such file")
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            raise ValueError(f"more than {_LARGEST_BYTES} bytes")
        has_mark = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = data.decode("utf-16" if has_mark else "utf-8-sig")
    values = parse(text, rule=rule)
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold `key: value` lines, got {type(values).__name__}")
    return values


def shown(value: object) -> str:
    """Return a value for a message, cut to a readable length."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


@contextmanager
def _told(rule: str) -> Iterator[None]:
    """Turn whatever a parser raises into an `InputError` that begins with `rule`."""
    try:
        yield
    except InputError:
        raise
    # PyYAML's constructors raise what `int`, `datetime.date`, a dict or the stack raise.
    except Exception as error:
        raise InputError(f"{rule}, got {shown(_reason(error))}") from error


def _reason(error: Exception) -> str:
    """Return what is wrong, and where; PyYAML draws a picture of it in five lines."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return one_line(error)
    text = " ".join(part for part in (error.context, error.problem) if part)
    return f"{text} (line {error.problem_mark.line + 1})" if error.problem_mark else text


def checked_value(value: Any, hint: Any, *, name: str) -> Any:
    """Return `value` as the type `hint`: a scalar, or a tuple of one kind of scalar.

    Raises:
        InputError: If it is of another type, or a number beyond all use.
    """
    number = isinstance(value, int) and not isinstance(value, bool)
    if number and hint in (int, float) and abs(value) > _LARGEST_INT:
        raise InputError(f"`{name}` must be within 1e18 of 0, got {shown(value)}")
    if number and hint is float:
        return float(value)
    if hint is str and isinstance(value, bool):
        return "on" if value else "off"  # YAML 1.1 reads these words as true and false
    if getattr(hint, "__origin__", None) is tuple:
        if isinstance(value, (list, tuple)):
            return tuple(checked_value(entry, hint.__args__[0], name=name) for entry in value)
    elif isinstance(value, hint) and (number or hint is not int):
        return value
    wanted = getattr(hint, "__name__", str(hint))
    remedy = "; write a list as [a, b]" if wanted == "tuple" else ""
    raise InputError(f"`{name}` must be of type {wanted}, got {shown(repr(value))}{remedy}")
