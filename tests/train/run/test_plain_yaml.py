"""YAML of settings: a damaged or hostile value is one line, and none is read as another."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from esarm_env.core.errors import InputError
from train.run.config import PRESETS, make_config
from train.run.settings.plain_yaml import parse, read_yaml


def _aliases(depth: int) -> str:
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"]
    for level in range(1, depth):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        (_aliases(9), "more than 10000 values"),
        ("a: &a [*a]", "an alias that stands in what it stands for"),
        ("a: *b", "found undefined alias 'b' (line 1)"),
        ("[" * 20_000, "more than 20 levels"),
        ("a: " + "{b: " * 300, "more than 20 levels"),
        ("- 1\n" * 11_000, "more than 10000 values"),
        ("a: 1\nb: 2\na: 3", "the same key twice: a"),
        ("1: 2", "the key 1, which is no text; put it in quotes"),
        ("yes: 2", "the key True, which is no text; put it in quotes"),
        ("null: 2", "the key None, which is no text; put it in quotes"),
        ("[1]: 2", "found unhashable key (line 1)"),
        ("a: !!int b", "invalid literal for int()"),
        ("a: !!bool b", "'b'"),
        ("a: !!timestamp b", "'NoneType' object has no attribute 'groupdict'"),
        ("a: !!timestamp 2001-99-99", "month must be in 1..12"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("\tb: 1", "found character '\\t' that cannot start any token (line 1)"),
        ("a: 1\n---\nb: 2", "expected a single document in the stream but found another"),
        ("a: \x07", "special characters are not allowed"),
    ],
)
def test_a_text_that_is_no_configuration_is_one_line(tmp_path: Path, text: str, got: str) -> None:
    """Half of these ended in a traceback, and five hundred bytes of aliases never ended."""
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(got)) as caught:
        make_config(preset="demo", file=path)
    assert str(caught.value).startswith(f"{path}: must be a YAML file, got ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("1e-4", 1e-4),
        ("1.5E3", 1500.0),
        ("-.5", -0.5),
        ("1_000", 1000),
        ("0x10", 16),
        ("-3", -3),
        ("off", False),
        ("~", None),
        ("{a: &a [1, 2], b: *a}", {"a": [1, 2], "b": [1, 2]}),
        ("{a: &a {c: 1, d: 2}, b: {<<: *a, c: 3}}", {"a": {"c": 1, "d": 2}, "b": {"c": 3, "d": 2}}),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, value: Any) -> None:
    """By YAML 1.1, `010` is 8, `1:30` is 90, and `1e-4` is no number at all."""
    found = parse(text, rule="`x` must be")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    """Windows' editors write one."""
    path = tmp_path / "c.yaml"
    path.write_bytes("corpus: {name: Bücher}".encode(encoding))
    assert make_config(preset="demo", file=path).corpus.name == "Bücher"


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    """A pipe would wait for ever, and a device never end."""
    path = tmp_path / "c.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(InputError, match=re.escape(f"{path}: must be a YAML file, got 'utf-8'")):
        read_yaml(path)
    path.write_bytes(b"#" * 300_000)
    with pytest.raises(InputError, match="got more than 256000 bytes"):
        read_yaml(path)
    with pytest.raises(InputError, match="got a folder"):
        read_yaml(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "none"):
        with pytest.raises(InputError, match="got no such file"):
            read_yaml(tmp_path / name)
    path.write_text("")
    with pytest.raises(InputError, match="must hold `key: value` lines, got NoneType"):
        read_yaml(path)


def test_a_wrong_value_names_its_file(tmp_path: Path) -> None:
    """Beside `--set`, nobody could tell where it stands."""
    path = tmp_path / "c.yaml"
    path.write_text("clone: {epochs: [1]}")
    rule = f"{path}: `clone.epochs` must be of type int, got [1]"
    with pytest.raises(InputError, match=f"^{re.escape(rule)}$"):
        make_config(preset="demo", file=path, overrides=["seed=3"])


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("clone.epochs=[1", "`--set` must be KEY=VALUE with a YAML value for `clone.epochs`, got "),
        ("clone.epochs=a: b: c", "`--set` must be KEY=VALUE with a YAML value for `clone.epochs`"),
        ("clone.epochs=!!int x", "`--set` must be KEY=VALUE with a YAML value for `clone.epochs`"),
        ("clone.epochs=*x", "found undefined alias 'x' (line 1)"),
        ("=3", "`--set` must be KEY=VALUE, got '=3'"),
        (".=3", "`--set` must be KEY=VALUE, got '.=3'"),
        ("clone.=3", "`--set` must be KEY=VALUE, got 'clone.=3'"),
        ("clone..epochs=3", "`--set` must be KEY=VALUE, got 'clone..epochs=3'"),
        ("", "`--set` must be KEY=VALUE, got ''"),
        ("clone.epochs=", "`clone.epochs` must be of type int, got None"),
        ("clone.epochs=null", "`clone.epochs` must be of type int, got None"),
        ("clone.epochs=[1, 2]", "`clone.epochs` must be of type int, got [1, 2]"),
        ("clone.epochs={a: 1}", "`clone.epochs` must be of type int, got {'a': 1}"),
        ("clone.epochs.x=1", "`clone.epochs.x` must name a setting, but epochs is one already"),
        ("clone.learning_rate=yes", "`clone.learning_rate` must be of type float, got True"),
        (
            "clone.learning_rate=" + "9" * 400,
            "`clone.learning_rate` must be within 1e18 of 0, got ",
        ),
        ("seed=" + "9" * 4000, "`seed` must be within 1e18 of 0, got 999"),
        ("corpus.name=[a]", "`corpus.name` must be of type str, got ['a']"),
        (
            "improve.algorithms=ppo",
            "`improve.algorithms` must be of type tuple, got 'ppo'; write a list as [a, b]",
        ),
        ("clone=[1]", "`clone` must be a section, got [1]"),
        ("clone={1: 2}", "the key 1, which is no text"),
        ("nowhere.at.all=1", "got nowhere"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(override: str, rule: str) -> None:
    """Each says which setting, what it must be, and what it got."""
    with pytest.raises(InputError, match=re.escape(rule)) as caught:
        make_config(preset="demo", overrides=[override])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_section_given_in_parts_keeps_the_rest() -> None:
    """`clone={epochs: 3}` took the preset's other settings of the section away, without a word."""
    config = make_config(preset="small", overrides=["clone={epochs: 3}"])
    assert (config.clone.epochs, config.clone.n_layers) == (3, PRESETS["small"].clone.n_layers)
    with pytest.warns(DeprecationWarning, match=re.escape("use `clone.batch_sequences`")):
        config = make_config(preset="small", overrides=["clone={batch_size: 5}"])
    assert config.clone.batch_sequences == 5


def test_a_text_is_parsed_once_and_given_to_each_reader_anew() -> None:
    """Who changes the settings that he read would change those of the next run in the process."""
    text = "seed: 3\nimprove: {algorithms: [ppo]}\n"
    first = parse(text, rule="x")
    first["improve"]["algorithms"].append("grpo")
    assert parse(text, rule="x") == {"seed": 3, "improve": {"algorithms": ["ppo"]}}
