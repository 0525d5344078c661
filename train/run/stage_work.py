"""A stage at work: what its partial folder began with, its wall time, its end in one rename.

`origin.json` says which settings, files of earlier stages and number of threads a stage began with.
What lies in a partial folder is gone on from by the same stage alone: where settings or files are
others by now, it is dropped with a warning and computed anew.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import file_digest, read_json, sync, write_error, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CHECKPOINT_FILE,
    CLOCK_FILE,
    CORPUS_NOTE,
    ORIGIN_FILE,
    STAGES,
    partial_folder,
)
from train.run.config import to_dict
from train.run.kept_settings import deciding

if TYPE_CHECKING:
    from train.run.config import Config

_INPUTS = (".safetensors", ".npz")
_THREADS = "threads"


def begin_stage(run_path: Path, stage: str, config: Config) -> Path:
    """Return the folder in which a stage works: what an interruption left of it, or a new one.

    Args:
        run_path: The run folder, with all stages before this one.
        stage: One of `STAGES`.
        config: Settings of the run.
    """
    partial = partial_folder(run_path, stage)
    origin = _origin_of(run_path, stage, config)
    before = _read_origin(partial) if partial.is_dir() and any(partial.iterdir()) else origin
    changed = [key for key in origin if key != _THREADS and before.get(key) != origin[key]]
    if changed:
        warnings.warn(
            f"{partial}: is not gone on from, since other {' and '.join(changed)} stand in the run "
            "now; the stage starts anew",
            stacklevel=3,
        )
        shutil.rmtree(partial)
    elif before[_THREADS] != origin[_THREADS]:
        warnings.warn(
            f"{partial}: was begun with {before[_THREADS]} threads and goes on with "
            f"{origin[_THREADS]}; weights will differ in their last digits from an uninterrupted "
            "stage's (`--threads` sets the number)",
            stacklevel=3,
        )
    partial.mkdir(parents=True, exist_ok=True)
    if before is origin or changed:
        write_text(partial / ORIGIN_FILE, json.dumps(origin, indent=1))
    return partial


def finish_stage(partial: Path, target: Path) -> None:
    """Let a stage's whole folder have its final name, without what only its making needed.

    Each step may be the last before a kill: what is left is finished by the next call.

    Raises:
        InputError: If the folder cannot have the name.
    """
    (partial / CLOCK_FILE).unlink(missing_ok=True)
    for leftover in partial.rglob(CHECKPOINT_FILE):
        leftover.unlink(missing_ok=True)
    try:
        partial.rename(target)
        sync(target.parent)
    except OSError as error:
        raise write_error(target, error) from error


def n_threads() -> int:
    """Return the CPU threads of torch, on which the last digits of all weights depend."""
    import torch  # not before: a run is opened without it

    return torch.get_num_threads()


class StageClock:
    """Wall time of a stage, added up over interruptions.

    Attributes:
        total_s: So far; without the current piece before `stop`.
    """

    def __init__(self, file: Path) -> None:
        """Go on from what `file` holds, from 0 if it holds no time."""
        self.total_s = 0.0
        with contextlib.suppress(OSError, ValueError):
            before = float(file.read_text())
            self.total_s = before if math.isfinite(before) and before >= 0 else 0.0
        self._file, self._begin = file, time.monotonic()

    def stop(self) -> None:
        """Add the time since the beginning; where the disk is full, it is lost."""
        self.total_s += time.monotonic() - self._begin
        with contextlib.suppress(InputError):
            write_text(self._file, f"{self.total_s}")


def settings_up_to(config: Config, stage: str) -> dict[str, Any]:
    """Return the settings that a stage's result rests on: all but those of later stages."""
    later = set(STAGES[STAGES.index(stage) + 1 :])
    if "reward" in later:
        later |= {"consensus", "naturalness", "preferences"}
    settings = deciding(to_dict(config))
    return {key: value for key, value in settings.items() if key not in later}


def _origin_of(run_path: Path, stage: str, config: Config) -> dict[str, Any]:
    index = STAGES.index(stage)
    settings = settings_up_to(config, stage)
    files = {
        path.relative_to(run_path).as_posix(): file_digest(path)
        for earlier in STAGES[:index]
        for path in sorted((run_path / earlier).rglob("*"))
        if path.name == CORPUS_NOTE or (path.suffix in _INPUTS and path.is_file())
    }
    # As JSON gives it back: tuples are lists there.
    origin: dict[str, Any] = json.loads(json.dumps({"settings": settings, "files": files}))
    return origin | {_THREADS: n_threads()}


def _read_origin(partial: Path) -> dict[str, Any]:
    """Return what a partial folder began with; nothing that fits where that cannot be told."""
    try:
        return read_json(partial / ORIGIN_FILE, "what a stage began with")
    except InputError:
        return {}
