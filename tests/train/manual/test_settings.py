"""`esarm settings`: what `--set` takes, with type, default and meaning."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.train.manual.wording import DURATION, check_meaning
from train.cli import main
from train.manual.settings import Setting, every_setting, sections, shown
from train.run.config import Config, make_config, to_dict


def keys(values: dict[str, Any], prefix: str = "") -> set[str]:
    """Return the full keys of nested settings."""
    found = set()
    for name, value in values.items():
        found |= keys(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
    return found


def test_every_key_is_listed_with_a_value_that_set_takes() -> None:
    """One that is missing is found by giving a wrong one, as all were before."""
    settings = {setting.key: setting for setting in every_setting()}
    assert set(settings) == keys(to_dict(Config()))
    others = {"consensus": ("reward.",), "paper": ("consensus.", "naturalness.")}
    for recipe, unread in others.items():
        read = [setting for setting in settings.values() if not setting.key.startswith(unread)]
        overrides = [f"{s.key}={shown(s.default)}" for s in read] + [f"recipe={recipe}"]
        made = make_config(preset="demo", overrides=overrides)
        assert made == dataclasses.replace(Config(), recipe=recipe)


@pytest.mark.parametrize("setting", [*every_setting()], ids=lambda setting: setting.key)
def test_a_setting_is_explained(setting: Setting) -> None:
    """`Of AdamW.` explains nothing to whoever sees that line alone."""
    check_meaning(setting.key, setting.meaning)
    assert not DURATION.search(setting.meaning)
    assert setting.kind in {
        "text", "whole number", "number", "true or false",
        "list of texts", "list of numbers", "list of whole numbers", "text or weights by name",
    }  # fmt: skip


def test_sections_are_explained() -> None:
    """A heading is all that many read."""
    for name, about in sections().items():
        check_meaning(name, about)


def test_all_settings_are_printed_within_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest default is a list of fifteen names."""
    monkeypatch.setenv("COLUMNS", "200")
    main(["settings"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for name in sections():
        heading = rf"^{re.escape(name)}: "
        assert len(re.findall(heading, text, re.MULTILINE)) == 1, name  # two of `improve` once
    assert "  seed  (whole number; default: 0)\n      Random seed" in text
    assert '  corpus.head  (text; default: "")' in text


def test_a_section_or_a_key_is_listed_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hundred settings are too many for one question."""
    target = tmp_path / "settings.json"
    main(["settings", "improve.distillation", "--json", str(target)])
    text = capsys.readouterr().out
    assert "improve.distillation.teacher  (text; default: expected-distance)" in text
    assert "improve.kl_coef" not in text
    listed = json.loads(target.read_text())["settings"]
    assert all(key.startswith("improve.distillation.") for key in listed)
    assert set(listed["improve.distillation.teacher"]) == {
        field.name for field in dataclasses.fields(Setting)
    }
    main(["settings", "improve.reward"])
    assert len(re.findall(r"^  \S", capsys.readouterr().out, re.MULTILINE)) == 1


@pytest.mark.parametrize(
    ("section", "hint"),
    [
        ("improv", "got 'improv'; did you mean improve?"),
        ("clone.epoch", "got 'clone.epoch'; did you mean clone.epochs?"),
        ("kl_coef", "did you mean improve.kl_coef or improve.distillation.kl_coef?"),
        ("zzz", "or a key in them, got 'zzz'"),
    ],
)
def test_an_unknown_section_is_told_the_nearest(
    section: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is the documentation at that moment."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["settings", section])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("esarm: `section` must be one of corpus, prior, ")
    assert line.endswith(hint)
