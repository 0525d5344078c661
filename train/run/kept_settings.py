"""Settings that results rest on: those of a run, and those that measurements of a folder share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esarm_env.core.cache import read_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import SETTINGS_FILE, is_file

# Settings that change who does the work, and no result.
NOT_DECIDING = frozenset({"improve.workers"})


def deciding(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a run, as `to_dict` gives them, that its results rest on."""
    made = {key: value for key, value in values.items() if key not in NOT_DECIDING}
    for key, section in made.items():
        if isinstance(section, dict):
            made[key] = {k: v for k, v in section.items() if f"{key}.{k}" not in NOT_DECIDING}
    return made


def changed_settings(before: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what the settings that are others now were before, in words, by name.

    A setting that was not there before is the same where it is off: empty, false or 0.
    """
    return {
        name: repr(before[name]) if name in before else "none"
        for name, value in settings.items()
        if (before[name] != value if name in before else bool(value))
    }


def keep_settings(folder: Path, settings: dict[str, Any], *, what: str, remedy: str) -> None:
    """Write what measurements in `folder` have in common, or check that it is the same as before.

    What counts as the same is told by `changed_settings`.

    Args:
        folder: Where they lie.
        settings: Plain values by name.
        what: What they are called in a message.
        remedy: What to do about other settings, as the message ends.

    Raises:
        InputError: If those before had other settings.
    """
    file = folder / SETTINGS_FILE
    if not is_file(file):
        write_text(file, json.dumps(settings, indent=1) + "\n")
        return
    before = read_json(file, "settings", remedy=f"delete {folder} to measure anew")
    changed = changed_settings(before, settings)
    if changed:
        said = ", ".join(f"{name} {settings[name]!r} after {was}" for name, was in changed.items())
        raise InputError(f"{folder}: must hold {what} of one kind, got {said}; {remedy}")
