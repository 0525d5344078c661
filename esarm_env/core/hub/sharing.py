"""`save_pretrained`, `from_pretrained` and `push_to_hub` for what others are given.

To and from the Hub everything goes through `huggingface_hub.ModelHubMixin`; its class is made when
it is first needed, as importing the package costs more than all of ours. A folder needs no Hub.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from esarm_env.core.cache import write_json, write_text
from esarm_env.core.errors import InputError
from esarm_env.core.hub.cards import plain_card
from esarm_env.core.hub.faults import import_hub, told_plainly
from esarm_env.core.hub.folders import (
    Address,
    checked,
    fetch,
    is_address,
    is_folder,
    parse_address,
)
from esarm_env.core.hub.manifest import (
    COUNTED_FILE,
    EXPORT_FORMAT,
    KNOWN_FILES,
    write_manifest,
)
from esarm_env.core.run_layout import EXPORT_CARD, is_export

if TYPE_CHECKING:
    from collections.abc import Sequence

Shared = TypeVar("Shared", bound="Shareable")


class HasContentHash(Protocol):
    """A motion tokenizer, as far as it is asked here."""

    def content_hash(self) -> str:
        """Return a hexadecimal digest of weights and sizes."""


class Shareable:
    """Base of what is saved to folders and to the Hub: safetensors and JSON, nothing pickled.

    Attributes:
        shared_kind: What it is, one of `esarm_env.core.hub.manifest.KINDS`.
    """

    shared_kind: ClassVar[str]

    def write_shared(self, folder: Path) -> None:
        """Write its files into a folder, without card and manifest; each class says how."""
        raise NotImplementedError

    @classmethod
    def read_shared(cls: type[Shared], folder: Path, *args: Any, **more: Any) -> Shared:
        """Read what `write_shared` wrote, or the same of a whole task; each class says how."""
        raise NotImplementedError

    def describe_shared(self) -> str:
        """Return a sentence on what it is, for a card."""
        return f"A {self.shared_kind} of ESARM: speech in, an animated face out."

    def tokenizer_told(self) -> str | None:
        """Return the content hash of the tokenizer that it belongs to; None if it is not known."""
        told: str | None = getattr(self, "tokenizer_hash", None)
        return told

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        card: str | None = None,
        tokenizer: HasContentHash | str | None = None,
    ) -> None:
        """Write it to a folder that `from_pretrained` reads; an earlier one is replaced.

        Args:
            save_directory: An empty folder, one that was written so before, or none.
            card: Markdown for `README.md`; by default one that says what is known here.
            tokenizer: The motion tokenizer that tokens are of, or its `content_hash()`: it is
                noted, and another one is refused later. By default the one that is known.

        Raises:
            InputError: If the folder holds something else, or cannot be written.
        """
        folder = Path(save_directory)
        make_room(folder)
        self.write_shared(folder)
        title = folder.resolve().name
        text = plain_card(self.shared_kind, title=title, about=self.describe_shared())
        write_text(folder / EXPORT_CARD, text if card is None else card)
        told = {"library_name": "esarm", "kind": self.shared_kind, "format": EXPORT_FORMAT}
        write_json(folder / COUNTED_FILE, told)
        write_manifest(
            folder,
            kind=self.shared_kind,
            tokenizer=digest_of(tokenizer) or self.tokenizer_told(),
        )

    @classmethod
    def from_pretrained(
        cls: type[Shared],
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **more: Any,
    ) -> Shared:
        """Read it from a folder or from the Hub.

        Args:
            pretrained_model_name_or_path: A folder, or `user/name` on the Hub; a whole task will
                do, too. `hf://user/name@revision` is understood.
            force_download: Fetch again what is in the cache.
            token: By default the one that `huggingface_hub` finds.
            cache_dir: By default the Hub's own.
            local_files_only: Ask no server.
            revision: Branch, tag or commit; by default the newest of `main`.
            **more: What the class needs beside it.

        Raises:
            InputError: If there is none, or it is damaged, of another kind or another version.
            MissingExtraError: If it is on the Hub and the extra `hub` is not installed.
        """
        source = pretrained_model_name_or_path

        def read(folder: Path) -> Shared:
            return cls.read_shared(folder, **more)

        if is_folder(source):
            return read(checked(Path(source), cls.shared_kind))
        address = parse_address(source) if is_address(source) else Address(str(source))
        with told_plainly(address.name, revision or address.revision):
            courier = courier_class().from_pretrained(
                address.name,
                force_download=force_download,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                revision=revision or address.revision,
                part=cls.shared_kind,
                read=read,
            )
        model: Shared = courier.model
        return model

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        private: bool = True,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        card: str | None = None,
        tokenizer: HasContentHash | str | None = None,
    ) -> str:
        """Write it to a repository on the Hub, and return the address of the commit.

        Args:
            repo_id: `user/name`; made where there is none. What it holds of ours is replaced.
            commit_message: By default says what was pushed.
            private: Whether a repository that is made now is private; one that is there stays
                as it is.
            token: By default the one that `huggingface_hub` finds.
            branch: By default `main`.
            create_pr: Whether to propose it and not commit it.
            card: As of `save_pretrained`.
            tokenizer: Likewise.

        Raises:
            InputError: If the name is none, there is no network, or no leave to write there.
            MissingExtraError: If the extra `hub` is not installed.
        """
        save = functools.partial(self.save_pretrained, card=card, tokenizer=digest_of(tokenizer))
        return push(
            save,
            repo_id,
            commit_message=commit_message or f"Push a {self.shared_kind} of ESARM",
            private=private,
            token=token,
            branch=branch,
            create_pr=create_pr,
        )


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
        raise InputError(f"`repo_id` must be USER/NAME, got {repo_id!r}")
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
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in KNOWN_FILES:
        for path in folder.glob(pattern):
            path.unlink()
