"""`save_pretrained`, `from_pretrained` and `push_to_hub`: base of what others are given.

This module imports nothing of ours but errors, so that networks may stand on it; the work is done
by `esarm_env.core.hub.courier`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

TASK, POLICY, TOKENIZER, REWARD = "task", "policy", "tokenizer", "reward"
KINDS = (TASK, POLICY, TOKENIZER, REWARD)

Shared = TypeVar("Shared", bound="Shareable")


class HasContentHash(Protocol):
    """A motion tokenizer, as far as it is asked here."""

    def content_hash(self) -> str:
        """Return a hexadecimal digest of weights and sizes."""


class Shareable:
    """Base of what is saved to folders and to the Hub: safetensors and JSON, nothing pickled.

    Attributes:
        shared_kind: What it is, one of `KINDS`.
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
        return None

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
        from esarm_env.core.hub.courier import save_shared

        save_shared(self, Path(save_directory), card=card, tokenizer=tokenizer)

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
        from esarm_env.core.hub.courier import load_shared

        def read(folder: Path) -> Shared:
            return cls.read_shared(folder, **more)

        model: Shared = load_shared(
            read,
            pretrained_model_name_or_path,
            part=cls.shared_kind,
            revision=revision,
            force_download=force_download,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
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
        from esarm_env.core.hub.courier import push

        def save(folder: Path) -> None:
            self.save_pretrained(folder, card=card, tokenizer=tokenizer)

        return push(
            save,
            repo_id,
            commit_message=commit_message or f"Push a {self.shared_kind} of ESARM",
            private=private,
            token=token,
            branch=branch,
            create_pr=create_pr,
        )
