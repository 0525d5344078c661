"""Manifest of a shared folder, `export.json`: what the folder holds, and the digests of its files.

| kind | files beside `README.md`, as of a run folder or of one of its stages |
|---|---|
| `task` | what `esarm export` writes: tokenizer, encoder, reward model, policy, settings |
| `policy` | `policy.safetensors` |
| `tokenizer` | `tokenizer.safetensors` |
| `reward` | `reward.safetensors`, and `naturalness` and `preference` beside it if there are such |

Other files are neither read nor fetched. A task also serves where one of its parts is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from esarm_env.core.cache import file_digest, read_json, write_json
from esarm_env.core.errors import InputError
from esarm_env.core.hub.shareable import KINDS, TASK
from esarm_env.core.run_layout import (
    CLONE_FILE,
    CONFIG_FILE,
    CORPUS_FILE,
    ENCODER_FILE,
    EXPORT_CARD,
    EXPORT_FILE,
    NATURALNESS_FILE,
    NATURALNESS_WEIGHTS,
    POLICY_FILE,
    PREFERENCE_FILE,
    PREFERENCE_WEIGHTS,
    REWARD_FILE,
    REWARD_WEIGHTS,
    SUMMARY_FILE,
    TOKENIZER_FILE,
    TOKENIZER_WEIGHTS,
    WAVLM_FILE,
    is_file,
)
from esarm_env.core.shipped import describe_folder

EXPORT_FORMAT = 1
COUNTED_FILE = "config.json"  # the Hub counts its downloads; nothing is read from it
UNCHECKED = (EXPORT_FILE, EXPORT_CARD, COUNTED_FILE)  # cards are edited on the Hub's pages
# All that is ever fetched. A repository of strangers may hold anything beside it.
KNOWN_FILES = (
    *UNCHECKED,
    *(CONFIG_FILE, CORPUS_FILE, TOKENIZER_FILE, ENCODER_FILE, WAVLM_FILE),
    *(REWARD_FILE, NATURALNESS_FILE, PREFERENCE_FILE, CLONE_FILE),
    *(f"improve/{SUMMARY_FILE}", f"improve/*/{POLICY_FILE}"),
    *(POLICY_FILE, TOKENIZER_WEIGHTS, REWARD_WEIGHTS, NATURALNESS_WEIGHTS, PREFERENCE_WEIGHTS),
)
_SHOWN = 12  # digits of a digest in a message


@dataclass(frozen=True)
class Manifest:
    """What a shared folder says of itself.

    Attributes:
        kind: One of `KINDS`.
        files: Size and SHA-256 of every file, by its path.
        tokenizer: Content hash of the motion tokenizer that tokens are of; None if it is not told.
        policy: Name of the policy of a task.
    """

    kind: str
    files: Mapping[str, Mapping[str, Any]]
    tokenizer: str | None = None
    policy: str | None = None


def write_manifest(
    folder: Path, *, kind: str, tokenizer: str | None = None, **more: Any
) -> dict[str, Any]:
    """Write the manifest of all that is in `folder` now, and return it.

    Args:
        folder: Finished but for the manifest.
        kind: One of `KINDS`.
        tokenizer: Content hash of the motion tokenizer that tokens are of, where it is known.
        **more: Further entries.
    """
    told = {} if tokenizer is None else {"tokenizer": tokenizer}
    files = describe_folder(folder)
    files.pop(EXPORT_FILE, None)
    manifest = {"format": EXPORT_FORMAT, "kind": kind, **told, **more, "files": files}
    write_json(folder / EXPORT_FILE, manifest)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a shared folder.

    Raises:
        InputError: If there is none, it is damaged, or of another version.
    """
    path = folder / EXPORT_FILE
    if not is_file(path):
        raise InputError(
            f"{folder}: must hold what ESARM shares ({EXPORT_FILE}), got none; `esarm push` and "
            "`save_pretrained` write it"
        )
    found = read_json(path, "the manifest of a shared folder", remedy="fetch it again")
    if found.get("format") != EXPORT_FORMAT:
        raise InputError(
            f"{path}: must be of format {EXPORT_FORMAT}, got {found.get('format')!r:.20}; it is of "
            "another version of esarm (`pip install --upgrade esarm`)"
        )
    kind, files = found.get("kind", TASK), found.get("files")
    tokenizer, policy = found.get("tokenizer"), found.get("policy")
    whole = isinstance(files, dict) and all(isinstance(each, dict) for each in files.values())
    if kind not in KINDS or not whole or not isinstance(tokenizer, str | None):
        raise InputError(
            f"{path}: must tell a kind ({', '.join(KINDS)}) and its files, got kind {kind!r:.40}; "
            "fetch it again"
        )
    assert isinstance(files, dict), "just checked"
    return Manifest(kind, files, tokenizer, policy if isinstance(policy, str) else None)


def tokenizer_told(folder: Path) -> str | None:
    """Return the hash of the tokenizer that a shared folder tells; None if it is no such folder."""
    return read_manifest(folder).tokenizer if is_file(folder / EXPORT_FILE) else None


def check_kind(manifest: Manifest, part: str, *, place: object) -> None:
    """Check that a shared folder holds what is asked for: `part`, or a whole task.

    Raises:
        InputError: If it holds something else.
    """
    if manifest.kind not in (TASK, part):
        raise InputError(
            f"{place}: must hold a {part}{'' if part == TASK else ' or a whole task'}, got a "
            f"{manifest.kind}"
        )


def check_content(folder: Path, *, place: object) -> None:
    """Compare the files of a shared folder with its manifest; the card may have been edited.

    Args:
        folder: With its manifest.
        place: What to call it in a message.

    Raises:
        InputError: If a file is missing, cut, or another than was shared.
    """
    for name, expected in read_manifest(folder).files.items():
        known = any(fnmatch(name, pattern) for pattern in KNOWN_FILES) and ".." not in name
        if not known or name in UNCHECKED:
            continue
        path = folder / name
        if not is_file(path):
            raise InputError(f"{place}: must hold {name}, got none; {_remedy(name)}")
        size, digest = path.stat().st_size, file_digest(path)
        if digest != expected.get("sha256"):
            wanted = str(expected.get("sha256"))[:_SHOWN]
            raise InputError(
                f"{place}: {name} must be the file that was shared ({expected.get('bytes')} bytes, "
                f"SHA-256 {wanted}), got {size} bytes, {digest[:_SHOWN]}; {_remedy(name)}"
            )


def _remedy(name: str) -> str:
    if name in (TOKENIZER_FILE, TOKENIZER_WEIGHTS):
        return "a policy writes tokens of its own tokenizer alone: push both together"
    return "it was cut on the way or replaced: fetch it again, or have it pushed again"
