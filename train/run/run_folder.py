"""Run folder: configuration and stages, each complete or absent.

A stage works in `.STAGE.partial/` and becomes `STAGE/` in one rename when it is finished, so an
interruption never leaves a stage that looks done. The partial folder keeps its checkpoint. One
process writes at a time, see `train.run.lock`.
"""

from __future__ import annotations

import errno
import json
import math
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from esarm_env.core.cache import read_json, write_error, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLOCK_FILE,
    CONFIG_FILE,
    STAGES,
    SUMMARY_FILE,
    VERSIONS_FILE,
    check_is_here,
    is_file,
    is_finished,
    need_stage,
    partial_folder,
)
from train.run.config import Config, from_dict, to_dict
from train.run.kept_settings import NOT_DECIDING
from train.run.lock import locked
from train.run.setting_ranges import check_settings
from train.run.settings.plain_yaml import read_yaml
from train.run.stage_work import StageClock, begin_stage, finish_stage, n_threads
from train.walltime.stages import note_stage

PACKAGES = (
    "esarm", "torch", "gymnasium", "stable-baselines3", "transformers", "numpy", "librosa",
    "soundfile", "vector-quantize-pytorch", "safetensors",
)  # fmt: skip


# What a disk may answer to a write; other errors are no fault of it.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


class RunFolder:
    """A run: its folder, its configuration and its stages.

    `create` and `open` make one; making the object writes nothing, `create` and `perform` alone do.

    Attributes:
        path: The folder, see `esarm_env.core.run_layout`.
        config: All settings.
        may_fetch: Whether the audio encoder's weights may be fetched from a hub: only where the
            user has just named them, since a run's files come from anywhere.
    """

    def __init__(self, path: Path, config: Config) -> None:
        """Stand for the folder `path` with the configuration that it is known to have."""
        self.path, self.config = path, config
        self.may_fetch = False

    @staticmethod
    def create(path: Path, config: Config) -> RunFolder:
        """Begin a run in `path`, or go on with one of the same configuration.

        Raises:
            InputError: If a stage was finished here with another configuration.
        """
        file = path / CONFIG_FILE
        # Before its first finished stage a folder holds nothing that a new configuration harms.
        if is_file(file) and any(is_finished(path, stage) for stage in STAGES):
            # A run of before a setting existed had what is now its default.
            changed = differences(to_dict(from_dict(read_yaml(file))), to_dict(config))
            if changed:
                raise InputError(
                    f"{path}: must keep its configuration, got other values for "
                    f"{', '.join(changed[:4])}; choose another --run, or drop the options"
                )
        else:
            with locked(path):
                _note(path, config)
        return RunFolder(path, config)

    @staticmethod
    def open(path: Path) -> RunFolder:
        """Open an existing run with its own configuration; writes nothing.

        Raises:
            InputError: If `path` is no run folder.
        """
        check_is_here(path)
        file = path / CONFIG_FILE
        if not is_file(file):
            remedy = f"make one with `esarm run --run {path}`"
            if str(path) == "shipped":  # as `from_clone` and the studio call the clone that ships
                remedy = (
                    'what ships is no run; from Python, `from_clone("shipped", env)` starts from it'
                )
            raise InputError(
                f"{path}: must be a run folder (with {CONFIG_FILE}), got none; {remedy}"
            )
        return RunFolder(path, from_dict(read_yaml(file)))

    def change(self, config: Config) -> None:
        """Note settings that no finished stage has read."""
        with locked(self.path):
            write_text(self.path / CONFIG_FILE, yaml.safe_dump(to_dict(config), sort_keys=False))
        self.config = config

    def stage(self, name: str) -> Path:
        """Return the folder of a finished stage.

        Raises:
            InputError: If the stage has not been run.
        """
        return need_stage(self.path, name)

    def summary(self, name: str) -> dict[str, Any]:
        """Return what a finished stage printed; `wall_s` is its wall time.

        Raises:
            InputError: If the stage has not been run, or its summary is damaged.
        """
        return read_json(self.stage(name) / SUMMARY_FILE, "a stage's summary")

    def is_finished(self, name: str) -> bool:
        """Return whether a stage's folder is there."""
        return is_finished(self.path, name)

    def perform(self, name: str, work: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        """Run a stage unless it is finished; return its summary.

        Args:
            name: One of `STAGES`.
            work: Gets the folder to fill and returns the summary.

        Raises:
            InputError: If a setting of the stage is out of its range, a stage before it has not
                been run, another process is at work in the run, or the disk is full.
        """
        if self.is_finished(name):
            return self.summary(name)
        check_settings(self.config, [name])
        for earlier in STAGES[: STAGES.index(name)]:
            self.stage(earlier)
        with locked(self.path):
            if not self.is_finished(name):  # nor did another process finish it while we waited
                self._finish(name, work)
        return self.summary(name)

    def _finish(self, name: str, work: Callable[[Path], dict[str, Any]]) -> None:
        """Work in the partial folder and rename it; a kill costs no finished work."""
        if not any(self.is_finished(stage) for stage in STAGES):
            # Also where another process began here with other settings a moment ago.
            _note(self.path, self.config)
        partial = partial_folder(self.path, name)
        try:
            begin_stage(self.path, name, self.config)
            # The summary comes last: where there is one, only the rename is missing.
            if not (partial / SUMMARY_FILE).is_file():
                clock = StageClock(partial / CLOCK_FILE)
                try:
                    summary = work(partial)
                finally:
                    clock.stop()
                summary |= {"threads": n_threads(), "wall_s": round(clock.total_s, 1)}
                cleaned = without_nan(summary)
                write_text(partial / SUMMARY_FILE, json.dumps(cleaned, indent=1, allow_nan=False))
                note_stage(self, name, clock.total_s, cleaned)
            finish_stage(partial, self.path / name)
        except OSError as error:
            if error.errno not in _DISK:
                raise
            raise write_error(Path(error.filename or partial), error) from error


def _note(path: Path, config: Config) -> None:
    """Write the settings and the versions that a run begins with, the settings last."""
    versions = [f"{name}=={version(name)}" for name in PACKAGES]
    write_text(
        path / VERSIONS_FILE, "\n".join([f"python=={sys.version.split()[0]}", *versions, ""])
    )
    write_text(path / CONFIG_FILE, yaml.safe_dump(to_dict(config), sort_keys=False))


def without_nan(value: Any) -> Any:
    """Return `value` with every NaN (not measured) as None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the full keys under which two configurations differ, of settings that decide."""
    keys = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            keys += differences(before, after, f"{prefix}{key}.")
        elif before != after and f"{prefix}{key}" not in NOT_DECIDING:
            keys.append(f"{prefix}{key}")
    return keys
