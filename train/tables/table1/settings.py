"""Settings of Table I: what it is made of, and the presets; light, since the command line asks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import CONFIG_FILE, is_file

CORPORA = ("synthetic-mead", "synthetic-ravdess")
RUNS_FOLDER = "runs"


@dataclass(frozen=True)
class Preset:
    """How large a table is.

    Attributes:
        corpora: That are taken unless others are named.
        seeds: Of training.
        run: Preset of the shared pipeline runs.
        rivals: Settings of the rivals' training that are not the usual ones.
    """

    corpora: tuple[str, ...]
    seeds: tuple[int, ...]
    run: str = "demo"
    rivals: dict[str, Any] = field(default_factory=dict)


PRESETS = {
    # Nothing is trained to its end: to see the table, not to believe it.
    "quick": Preset(corpora=CORPORA[:1], seeds=(0,), run="quick", rivals={"epochs": 3}),
    # The usual run, and rivals that take as long as it.
    "full": Preset(corpora=CORPORA, seeds=(0, 1, 2), rivals={"epochs": 6}),
}


@dataclass(frozen=True)
class TableSettings:
    """What a table is made of.

    Attributes:
        out: Its folder.
        corpora: Names of ours, or folders of recordings.
        seeds: Of training.
        methods: Names in `methods.METHODS`, in the order of the table.
        preset: Key of `PRESETS`.
        size: Utterances of a synthetic corpus; None leaves it to the preset.
    """

    out: Path
    corpora: tuple[str, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    preset: str = "full"
    size: int | None = None

    def __post_init__(self) -> None:
        """Check what can be checked before any work.

        Raises:
            InputError: If something is there twice or not at all, or out of its range.
        """
        if self.preset not in PRESETS:
            raise InputError(f"`preset` must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.size is not None and self.size < 1:
            raise InputError(f"`size` must be at least 1, got {self.size}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InputError(
                f"`seeds` must be different numbers of at least 0, got {list(self.seeds)}"
            )
        if not self.corpora or not self.methods:
            raise InputError("`corpora` and `methods` must name at least one each, got none")
        folders: dict[str, str] = {}
        for corpus in self.corpora:
            name = corpus_folder(corpus)
            if name in folders:
                raise InputError(
                    f"`corpora` must have different names, got {folders[name]} and {corpus}, which "
                    f"would both be {self.out / name}"
                )
            if name in (RUNS_FOLDER, ""):
                raise InputError(f"`corpora` must not be called {name!r}, got {corpus}")
            folders[name] = corpus

    def place(self, corpus: str) -> Path:
        """Return the folder of a corpus."""
        return self.out / corpus_folder(corpus)

    def run_path(self, corpus: str, seed: int) -> Path:
        """Return the folder of the run that all methods of a corpus and seed share."""
        return run_folder(self.place(corpus), seed)

    def overrides(self, corpus: str, seed: int) -> tuple[str, ...]:
        """Return the settings of a shared run that is begun here, as `KEY=VALUE`."""
        size = () if self.size is None else (f"corpus.size={self.size}",)
        name = f'corpus.name="{corpus}"'
        return (name, *size, f"seed={seed}")


def run_folder(place: Path, seed: int) -> Path:
    """Return the folder of the shared run of a seed, in the folder of a corpus."""
    return place / RUNS_FOLDER / f"seed-{seed}"


def has_run(place: Path, seed: int) -> bool:
    """Return whether a shared run was begun there, or put there."""
    return is_file(run_folder(place, seed) / CONFIG_FILE)


def corpus_folder(corpus: str) -> str:
    """Return the name of a corpus' folder in a table."""
    return slug(corpus if corpus in CORPORA else os.path.basename(os.path.realpath(corpus)))


def slug(name: str) -> str:
    """Return a name as one of a folder.

    >>> slug("faceformer (all conditions)")
    'faceformer-all-conditions'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
