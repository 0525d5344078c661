"""`hf://user/name@revision` as a local folder: the one resolver of everything that opens a run.

A repository is fetched into the Hub's cache (`HF_HOME`), known files alone, and its files are
compared with its manifest. What is in the cache already serves without network. The token is the
one that `huggingface_hub` finds.
"""

from __future__ import annotations

import os
from pathlib import Path

from esarm_env.core.errors import InputError
from esarm_env.core.hub.address import Address, is_address, parse_address
from esarm_env.core.hub.faults import import_hub, told_plainly
from esarm_env.core.hub.manifest import KNOWN_FILES, check_content, check_kind, read_manifest
from esarm_env.core.hub.shareable import TASK
from esarm_env.core.run_layout import EXPORT_FILE, is_file


def local_folder(source: str | Path, part: str = TASK) -> Path:
    """Return where something is on this machine: a path as it is, of an address what is fetched.

    Args:
        source: A path, or `hf://user/name@revision`.
        part: What is asked for, one of `manifest.KINDS`; a whole task has all of them.

    Raises:
        InputError: If the address cannot be fetched, or the repository holds something else.
        MissingExtraError: If an address is given and the extra `hub` is not installed.
    """
    return fetch(parse_address(source), part) if is_address(source) else Path(source)


def fetch(
    address: Address,
    part: str | None,
    *,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path:
    """Fetch a repository and check it; return its folder in the cache.

    Args:
        address: Which.
        part: What is asked for, one of `manifest.KINDS`; None takes any.
        cache_dir: By default the Hub's own.
        token: By default the one that `huggingface_hub` finds.
        local_files_only: Ask no server.
        force_download: Fetch again what is in the cache.

    Raises:
        InputError: If it is not there, not in reach, not open, damaged, or holds something else.
        MissingExtraError: If the extra `hub` is not installed.
    """
    hub = import_hub()
    with told_plainly(address.name, address.revision):
        place = Path(
            hub.snapshot_download(
                address.name,
                revision=address.revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                force_download=force_download,
                allow_patterns=list(KNOWN_FILES),
            )
        )
    return checked(place, part, called=address)


def checked(folder: Path, part: str | None, *, called: object = None) -> Path:
    """Return a shared folder whose kind and files are right.

    Args:
        folder: With a manifest.
        part: What is asked for; None takes any.
        called: What to call it in messages, by default its path.

    Raises:
        InputError: If they are not.
    """
    place = folder if called is None else called
    if not is_file(folder / EXPORT_FILE):
        raise InputError(
            f"{place}: must be a repository of ESARM, got one without {EXPORT_FILE}; `esarm push` "
            "and `push_to_hub` make them"
        )
    manifest = read_manifest(folder)
    if part is not None:
        check_kind(manifest, part, place=place)
    check_content(folder, place=place)
    return folder


def is_folder(source: str | Path) -> bool:
    """Return whether `source` is a folder here, and so no name on the Hub."""
    return os.path.isdir(source)
