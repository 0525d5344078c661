"""How what is shared gets into folders, to the Hub and back.

To and from the Hub everything goes through `huggingface_hub.ModelHubMixin`; its class is made when
it is first needed, as importing the package costs more than all of ours. A folder needs no Hub.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esarm_env.core.cache import write_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.hub.address import Address, is_address, parse_address
from esarm_env.core.hub.cards import plain_card
from esarm_env.core.hub.faults import import_hub, told_plainly
from esarm_env.core.hub.folders import checked, fetch, is_folder
from esarm_env.core.hub.manifest import COUNTED_FILE, EXPORT_FORMAT, KNOWN_FILES, write_manifest
from esarm_env.core.run_layout import EXPORT_CARD, is_export

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esarm_env.core.hub.shareable import HasContentHash, Shareable


def save_shared(
    model: Shareable,
    folder: Path,
    *,
    card: str | None = None,
    tokenizer: HasContentHash | str | None = None,
) -> None:
    """Write a part to a folder, with card and manifest; see `Shareable.save_pretrained`.

    Raises:
        InputError: If the folder holds something else, or cannot be written.
    """
    make_room(folder)
    model.write_shared(folder)
    title = folder.resolve().name
    text = plain_card(model.shared_kind, title=title, about=model.describe_shared())
    write_text(folder / EXPORT_CARD, text if card is None else card)
    told = {"library_name": "esarm", "kind": model.shared_kind, "format": EXPORT_FORMAT}
    write_json(folder / COUNTED_FILE, told)
    digest = digest_of(tokenizer) or model.tokenizer_told()
    write_manifest(folder, kind=model.shared_kind, tokenizer=digest)


def load_shared(
    read: Callable[[Path], Any],
    source: str | Path,
    *,
    part: str,
    revision: str | None = None,
    **how: Any,
) -> Any:
    """Return what `read` makes of a shared folder, here or fetched from the Hub.

    Args:
        read: Reads a folder whose kind and files are right.
        source: A folder, `user/name`, or `hf://user/name@revision`.
        part: What is asked for.
        revision: Branch, tag or commit.
        **how: Of `ModelHubMixin.from_pretrained`.

    Raises:
        InputError: As of `fetch`.
    """
    if is_folder(source):
        return read(checked(Path(source), part))
    if not is_address(source) and str(source).count("/") != 1:
        raise InputError(
            "`pretrained_model_name_or_path` must be a folder that is there, or USER/NAME on the "
            f"Hub, got {str(source)!r}"
        )
    address = parse_address(source) if is_address(source) else Address(str(source))
    asked = revision or address.revision
    with told_plainly(address.name, asked):
        courier = courier_class().from_pretrained(
            address.name, revision=asked, part=part, read=read, **how
        )
    return courier.model


def push(save: Callable[[Path], object], repo_id: str, **how: Any) -> str:
    """Let `save` write a folder, and push it as `ModelHubMixin.push_to_hub` does.

    Args:
        save: Writes to the folder it is given.
        repo_id: `user/name`.
        **how: Of the mixin's method.

    Raises:
        InputError: As of `Shareable.push_to_hub`.
    """
    courier = courier_class()()
    name = parse_address(repo_id).name if is_address(repo_id) else str(repo_id)
    if name.count("/") != 1:
        raise InputError(f"the repository must be USER/NAME, got {str(repo_id)!r}")
    # What cannot be written is not to leave an empty repository behind.
    with tempfile.TemporaryDirectory() as made, told_plainly(name, how.get("branch")):
        folder = Path(made, name)
        save(folder)
        courier.save = functools.partial(copy_shared, folder)
        # What an earlier push left, such as another policy, would be read with it.
        url = courier.push_to_hub(name, delete_patterns=list(KNOWN_FILES), **how)
    return str(url)


def digest_of(tokenizer: HasContentHash | str | None) -> str | None:
    """Return the content hash of a tokenizer, or what is one already."""
    if tokenizer is None or isinstance(tokenizer, str):
        return tokenizer
    return tokenizer.content_hash()


@functools.cache
def courier_class() -> Any:
    """Return the class that carries folders to the Hub and back: a `ModelHubMixin`.

    Raises:
        MissingExtraError: If the extra `hub` is not installed.
    """
    mixin: Any = import_hub().ModelHubMixin

    class Courier(mixin):  # type: ignore[misc]  # of a package that may be missing
        """Carries what `save` writes, or brings what `read` returns."""

        save: Callable[[Path], object]
        model: Any

        def __init__(self) -> None:
            """Take nothing: the mixin hands entries of a stranger's `config.json` to `**kwargs`."""

        def _save_pretrained(self, save_directory: Path) -> None:
            self.save(save_directory)

        @classmethod
        def _from_pretrained(
            cls,
            *,
            model_id: str,
            revision: str | None,
            cache_dir: str | Path | None,
            force_download: bool,
            local_files_only: bool,
            token: str | bool | None,
            part: str,
            read: Callable[[Path], Any],
            **_: object,
        ) -> Any:
            folder = fetch(
                Address(model_id, revision),
                part,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                force_download=force_download,
            )
            courier = cls()
            courier.model = read(folder)
            return courier

    return Courier


def first_file(folder: Path, names: Sequence[str]) -> Path:
    """Return the first of some files that a shared folder has.

    Raises:
        InputError: If it has none.
    """
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise InputError(f"{folder}: must hold {' or '.join(names)}, got neither")
    return found[0]


def copy_shared(source: Path, folder: Path) -> None:
    """Copy what is shared in a folder, and nothing else that lies there."""
    for pattern in KNOWN_FILES:
        for path in source.glob(pattern):
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def make_room(folder: Path, *, name: str = "save_directory") -> None:
    """Make a folder, and take out what was shared in it before.

    Raises:
        InputError: As of `check_room`.
    """
    check_room(folder, name=name)
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in KNOWN_FILES:
        for path in folder.glob(pattern):
            path.unlink()


def check_room(folder: Path, *, name: str = "save_directory") -> None:
    """Check that what is shared may be written to a folder.

    Args:
        folder: Empty, none, or one with a manifest.
        name: Of the argument, for the message.

    Raises:
        InputError: If it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"`{name}` must be a folder, got the file {folder}")
    if folder.exists() and any(folder.iterdir()) and not is_export(folder):
        raise InputError(
            f"`{name}` must be an earlier export or shared folder, an empty folder or none, got "
            f"{folder}"
        )
