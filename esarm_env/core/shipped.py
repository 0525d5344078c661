"""Shipped files: a run folder of a small corpus, checked against a manifest.

`esarm_env/assets/` holds what `esarm assets` made:

| file | holds |
|---|---|
| `assets.json` | the manifest: SHA-256 and size of the other files, corpora, figures, versions |
| `README.md` | what it is, and its licence |
| `config.yaml` | settings of the run that everything comes from |
| `synthetic-mini/` | the corpus, see `esarm_env.corpus.compact` |
| `corpus/corpus.json` | as the stage `corpus` notes it, for `synthetic-mini` |
| `prior/`, `clone/`, `reward/` | weights of that run, matrices in half precision |
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from esarm_env.core.errors import InputError

ASSETS = Path(__file__).parents[1] / "assets"
MANIFEST_FILE = "assets.json"
MANIFEST_FORMAT = 1
MINI_CORPUS = "synthetic-mini"
_REMEDY = "install the package again (in a checkout: `make assets`)"


def shipped_run() -> Path:
    """Return the shipped run folder; its files are checked once per process.

    Raises:
        InputError: If a file is missing or damaged.
    """
    return _checked(ASSETS)


def shipped_corpus() -> Path:
    """Return the folder of the shipped corpus, checked likewise."""
    return shipped_run() / MINI_CORPUS


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of an assets folder.

    Raises:
        InputError: If it is missing, damaged, or of another version.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != MANIFEST_FORMAT or not manifest["files"]:
            raise ValueError(f"format {manifest['format']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: must be the manifest of the shipped files, got {error}; {_REMEDY}"
        ) from error
    return dict(manifest)


def check_files(folder: Path) -> int:
    """Compare every file of an assets folder with its manifest; return how many there are.

    Raises:
        InputError: If one is missing or differs; the message names it and the remedy.
    """
    files: dict[str, dict[str, Any]] = read_manifest(folder)["files"]
    for name, expected in files.items():
        found = describe_file(folder / name)
        if found != expected:
            got = "none" if found["bytes"] is None else f"{found['bytes']} bytes of other content"
            raise InputError(
                f"{folder / name}: must be the file that was shipped "
                f"({expected['bytes']} bytes), got {got}; {_REMEDY}"
            )
    return len(files)


def describe_file(path: Path) -> dict[str, Any]:
    """Return `bytes` and `sha256` of a file, each None if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return {"bytes": None, "sha256": None}
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def describe_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what `describe_file` says of every file in a folder, by its path below it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): describe_file(path) for path in files}


@functools.cache
def _checked(folder: Path) -> Path:
    check_files(folder)
    return folder
