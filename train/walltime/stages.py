"""Record of what stages took on this machine, and what the next of the same size is expected to.

A convenience: a record that cannot be read or written is none, and nobody is told.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import cache_dir, read_json, write_json
from esarm_env.core.errors import InputError
from esarm_env.core.processors import n_processors
from esarm_env.core.run_layout import CLOCK_FILE, STAGES, partial_folder

if TYPE_CHECKING:
    from train.run.config import Config
    from train.run.run_folder import RunFolder

RECORD_FILE = "stage_times.json"
LEAST_S = 10.0  # of less nothing is said
_KEPT = 400  # entries of either kind, the latest
_ALIKE = 0.02  # relative difference of two sizes that count as one
_CORPUS = STAGES[0]


@dataclass(frozen=True)
class Size:
    """How much a run learns from.

    Attributes:
        utterances: Of its corpus.
        speech_s: Seconds of speech in them.
    """

    utterances: int
    speech_s: float

    @classmethod
    def of(cls, told: dict[str, Any]) -> Size | None:
        """Return the size in a summary of the stage `corpus`, or in an entry of the record."""
        count, seconds = told.get("utterances"), told.get("speech_s")
        known = isinstance(count, int) and isinstance(seconds, (int, float)) and seconds > 0
        return cls(int(count or 0), float(seconds or 0)) if known else None

    def is_like(self, other: Size | None) -> bool:
        """Return whether work on the two takes as long."""
        return other is not None and all(
            abs(mine - theirs) <= _ALIKE * max(mine, theirs)
            for mine, theirs in (
                (self.utterances, other.utterances),
                (self.speech_s, other.speech_s),
            )
        )


def note_stage(run: RunFolder, stage: str, wall_s: float, summary: dict[str, Any]) -> None:
    """Keep what a stage took; of the first one, how large the corpus of these settings is.

    Args:
        run: Of the stage.
        stage: One of `STAGES`.
        wall_s: Its wall time, over interruptions.
        summary: What it printed.
    """
    with contextlib.suppress(InputError, OSError):
        record = _read()
        told = summary if stage == _CORPUS else run.summary(_CORPUS)
        size = Size.of(told)
        if size is None:
            return
        if stage == _CORPUS:
            entry: dict[str, Any] = {"settings": _digest(_corpus_settings(run.config))}
            _replace(record["corpora"], entry, asdict(size))
        else:
            entry = _identity(stage, run.config)
            _replace(record["stages"], entry | asdict(size), {"wall_s": round(wall_s, 1)})
        write_json(cache_dir() / RECORD_FILE, record)


def expected_time(run: RunFolder, stages: Sequence[str]) -> str | None:
    """Return what the unfinished of `stages` are expected to take, as a line to print.

    None where one of them was not measured here with these settings, on as much speech, or where
    all is done in a moment. The first stage counts nothing: what it computes is in the cache, or
    its size would not be known.
    """
    wanted = [stage for stage in stages if not run.is_finished(stage)]
    total = 0.0
    with contextlib.suppress(InputError, OSError):
        record = _read()
        size = _size(run, record)
        for stage in wanted:
            if stage == _CORPUS:
                continue
            seconds = _measured(record["stages"], _identity(stage, run.config), size)
            if seconds is None:
                return None
            total += max(0.0, seconds - _spent(run.path, stage))
        if total >= LEAST_S and size is not None:
            what = "the last of this size" if len(stages) == 1 else "stages of this size"
            return f"expected: {spoken(total)}, as {what} took on this machine"
    return None


def spoken(seconds: float) -> str:
    """Return a duration as one says it: `about 4 minutes`."""
    if seconds < 90:
        unit, step, number = "second", 5.0 if seconds >= 20 else 1.0, seconds
    elif seconds < 5400:
        unit, step, number = "minute", 1.0, seconds / 60
    else:
        unit, step, number = "hour", 0.5, seconds / 3600
    count = max(step, round(number / step) * step)
    return f"about {count:g} {unit}{'' if count == 1 else 's'}"


def _identity(stage: str, config: Config) -> dict[str, Any]:
    """Return where and with which settings a stage is done, but for how much it is given."""
    from train.run.stage_work import n_threads, settings_up_to

    settings = settings_up_to(config, stage)
    settings.pop("seed", None)
    settings["corpus"] = {"encoder": config.corpus.encoder}
    return {
        "stage": stage,
        "settings": _digest(settings),
        "cpu": _cpu(),
        "accelerator": _accelerator(),
        "processors": n_processors(),
        "threads": n_threads(),
    }


def _corpus_settings(config: Config) -> dict[str, Any]:
    """Return what tells which corpus it is, before it is opened."""
    from train.run.config import to_dict

    corpus: dict[str, Any] = to_dict(config)["corpus"]
    place = Path(config.corpus.name)
    return corpus | {"name": str(place.resolve()) if place.is_dir() else config.corpus.name}


def _size(run: RunFolder, record: dict[str, Any]) -> Size | None:
    if run.is_finished(_CORPUS):
        return Size.of(run.summary(_CORPUS))
    wanted = _digest(_corpus_settings(run.config))
    found = [entry for entry in record["corpora"] if entry.get("settings") == wanted]
    return Size.of(found[-1]) if found else None


def _measured(entries: list[dict[str, Any]], wanted: dict[str, Any], size: Size | None) -> Any:
    """Return the latest wall time of what is wanted, in seconds; None if there is none."""
    for entry in reversed(entries):
        same = all(entry.get(key) == value for key, value in wanted.items())
        if same and size is not None and size.is_like(Size.of(entry)):
            seconds = entry.get("wall_s")
            return seconds if isinstance(seconds, (int, float)) and seconds >= 0 else None
    return None


def _spent(run_path: Path, stage: str) -> float:
    """Return the seconds that an interrupted stage has had already."""
    from train.run.stage_work import StageClock

    return StageClock(partial_folder(run_path, stage) / CLOCK_FILE).total_s


def _replace(entries: list[dict[str, Any]], identity: dict[str, Any], told: dict[str, Any]) -> None:
    """Put an entry last, in place of that of the same identity; forget the oldest of too many."""
    entries[:] = [e for e in entries if any(e.get(k) != v for k, v in identity.items())]
    entries.append(identity | told)
    del entries[:-_KEPT]


def _read() -> dict[str, Any]:
    """Return the record; an empty one where there is none that can be read."""
    found: dict[str, Any] = {}
    with contextlib.suppress(InputError, OSError):
        found = read_json(cache_dir() / RECORD_FILE, "measured wall times")
    listed = {key: found.get(key) for key in ("corpora", "stages")}
    return {
        key: [entry for entry in entries if isinstance(entry, dict)]
        if isinstance(entries, list)
        else []
        for key, entries in listed.items()
    }


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def _cpu() -> str:
    """Return the processor's model as the system calls it."""
    with contextlib.suppress(OSError):
        for line in (
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        ):
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


@functools.cache
def _accelerator() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
