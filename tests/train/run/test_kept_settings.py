"""Settings that measurements share: what was measured by others is never mixed with new figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from esarm_env.core.errors import InputError
from train.run.kept_settings import keep_settings


def _keep(folder: Path, settings: dict[str, Any]) -> None:
    keep_settings(folder, settings, what="cells", remedy="choose another --out")


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    """Cells of two kinds in one table would be a comparison of nothing."""
    _keep(tmp_path, {"epochs": 3, "rate": 0.1})
    _keep(tmp_path, {"epochs": 3, "rate": 0.1})
    rule = "must hold cells of one kind, got epochs 4 after 3; choose another --out"
    with pytest.raises(InputError, match=re.escape(rule)):
        _keep(tmp_path, {"epochs": 4, "rate": 0.1})


def test_a_setting_of_a_newer_version_is_as_before_where_it_is_off(tmp_path: Path) -> None:
    """Hours of measurements would be lost to a setting that nobody has used."""
    _keep(tmp_path, {"epochs": 3})
    _keep(tmp_path, {"epochs": 3, "code": [], "share": 0.0})
    rule = "got hide_emotion True after none; choose"
    with pytest.raises(InputError, match=re.escape(rule)):
        _keep(tmp_path, {"epochs": 3, "hide_emotion": True})


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    """Nobody can tell then what the measurements were made with."""
    (tmp_path / "settings.json").write_text(json.dumps([3]))
    with pytest.raises(InputError, match="measure anew"):
        _keep(tmp_path, {"epochs": 3})
