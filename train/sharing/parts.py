"""A run, or one part of it, on the Hub: `esarm push` and `esarm pull`.

What is pushed is an export (`train.sharing.export`) or a part with a card of its own: never
recordings, nor audio features, whatever a corpus allows.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.shared_policy import SharedPolicy
from esarm_env.core.errors import InputError
from esarm_env.core.hub.address import SCHEME, Address, is_address, parse_address
from esarm_env.core.hub.courier import check_room, copy_shared, make_room, push
from esarm_env.core.hub.folders import checked, fetch
from esarm_env.core.hub.manifest import read_manifest
from esarm_env.core.hub.shareable import KINDS, POLICY, REWARD, TASK, TOKENIZER, Shareable
from esarm_env.core.run_layout import (
    EXPORT_CARD,
    NATURALNESS_FILE,
    PREFERENCE_FILE,
    REWARD_FILE,
    TOKENIZER_FILE,
    is_export,
    is_file,
    need_file,
    speech_policies,
)
from esarm_env.task.opening import open_task
from esarm_env.tokenizer import load_tokenizer
from train.animate import find_policy
from train.sharing.card import card
from train.sharing.export import export_run, finished_run, policy_name, source_of

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.task.animation_task import AnimationTask


class SharedTask(Shareable):
    """A whole task: tokenizer, speech encoder, reward model, one policy, settings.

    Attributes:
        path: Of a finished run, or of an export, in the Hub's cache or elsewhere. Wherever a run
            folder is opened to animate, to step or to start from, it serves.
    """

    shared_kind = TASK

    def __init__(self, path: str | Path, *, policy: str = "auto") -> None:
        """Take a run, and the name of the policy that is shared (`auto` is the best)."""
        self.path, self._policy = Path(path), policy

    def save_pretrained(
        self, save_directory: str | Path, *, card: str | None = None, tokenizer: Any = None
    ) -> None:
        """Write an export of the run, or copy one.

        Args:
            save_directory: An earlier export, an empty folder, or none.
            card: Markdown for `README.md`; by default it is made from the run.
            tokenizer: None: a task has its own.

        Raises:
            InputError: If the run is unfinished, or the folder holds something else.
        """
        if tokenizer is not None:
            raise InputError(f"`tokenizer` must be left out of a task, got {tokenizer!r:.40}")
        self._write(Path(save_directory), place=None, card=card)

    def push_to_hub(
        self, repo_id: str, *, card: str | None = None, tokenizer: Any = None, **how: Any
    ) -> str:
        """Push an export of the run; see `Shareable.push_to_hub`.

        Raises:
            InputError: As of that and of `save_pretrained`.
        """
        if tokenizer is not None:
            raise InputError(f"`tokenizer` must be left out of a task, got {tokenizer!r:.40}")
        place = f"hf://{repo_id.removeprefix('hf://')}"
        how = {"private": True, "commit_message": "Push a task of ESARM", **how}
        return push(lambda folder: self._write(folder, place=place, card=card), repo_id, **how)

    @classmethod
    def read_shared(cls, folder: Path, *args: Any, **more: Any) -> SharedTask:
        """Take a folder with an export."""
        return cls(folder, *args, **more)

    def open_task(self, corpus: str | None = None) -> AnimationTask:
        """Return the task; `corpus` as of `esarm_env.open_task`."""
        return open_task(self.path, corpus=corpus)

    def policy(self) -> MotionTransformer:
        """Return the policy."""
        return find_policy(self.path, self._policy)[0]

    def _write(self, folder: Path, *, place: str | None, card: str | None) -> None:
        if is_export(self.path):
            if self._policy not in ("auto", read_manifest(self.path).policy):
                raise InputError(
                    f"`policy` must be that of the export {self.path}, "
                    f"{read_manifest(self.path).policy!r}, got {self._policy!r}"
                )
            make_room(folder)
            copy_shared(checked(self.path, TASK), folder)
        else:
            export_run(self.path, folder, policy=self._policy, place=place)
        if card is not None:
            (folder / EXPORT_CARD).write_text(card, encoding="utf-8", newline="\n")


def push_run(run_path: Path, repo_id: str, *, part: str, policy: str, **how: Any) -> str:
    """Push a run, or one part of it, with a card made from the run; return the commit's address.

    Args:
        run_path: A finished run, or an export of one, which goes as it is.
        repo_id: `user/name`.
        part: One of `esarm_env.core.hub.manifest.KINDS`.
        policy: As of `find_policy`.
        **how: Of `Shareable.push_to_hub`.

    Raises:
        InputError: If there is no such part, the run is unfinished, or the Hub refuses.
    """
    if part not in KINDS:
        raise InputError(f"`part` must be one of {', '.join(KINDS)}, got {part!r}")
    if part == TASK:
        return SharedTask(run_path, policy=policy).push_to_hub(repo_id, **how)
    run = finished_run(run_path)  # of an export nobody knows what its parts come from
    tokenizer = load_tokenizer(need_file(run_path, TOKENIZER_FILE))
    network, name = find_policy(run_path, policy)
    models: dict[str, Shareable] = {POLICY: SharedPolicy(network), TOKENIZER: tokenizer}
    models[REWARD] = RewardFiles(run_path)
    text = card(
        run,
        title=repo_id.rpartition("/")[2],
        policy=policy_name(name),
        learned_speech=part == POLICY and name in speech_policies(run_path),
        encoder=source_of(run_path)["encoder"],
        kind=part,
        place=f"{SCHEME}{repo_id.removeprefix(SCHEME)}",
    )
    return models[part].push_to_hub(repo_id, card=text, tokenizer=tokenizer, **how)


class RewardFiles(Shareable):
    """The reward model of a run as its files, of whatever class it is."""

    shared_kind = REWARD

    def __init__(self, run_path: Path) -> None:
        """Take a run that has one.

        Raises:
            InputError: If it has none.
        """
        need_file(run_path, REWARD_FILE)
        self._run_path = run_path

    def write_shared(self, folder: Path) -> None:
        """Copy its files, those beside the model among them."""
        for name in (REWARD_FILE, NATURALNESS_FILE, PREFERENCE_FILE):
            if is_file(self._run_path / name):
                shutil.copyfile(self._run_path / name, folder / Path(name).name)


def pull(address: str, folder: Path, *, revision: str | None = None) -> str:
    """Fetch a repository of ESARM into a folder; return what it holds.

    Args:
        address: `user/name`, or `hf://user/name@revision`.
        folder: Empty, none, or pulled to before.
        revision: Branch, tag or commit.

    Raises:
        InputError: If it cannot be fetched, is none of ours, or the folder holds something else.
    """
    asked = parse_address(address if is_address(address) else f"{SCHEME}{address}")
    if revision is not None and asked.revision is not None:
        raise InputError(
            f"`revision` must be given once, got {revision!r} beside {asked.revision!r}"
        )
    place = Address(asked.name, revision or asked.revision)
    check_room(folder, name="output")
    fetched = fetch(place, None)  # what cannot be fetched leaves no folder
    make_room(folder, name="output")
    copy_shared(fetched, folder)
    return read_manifest(folder).kind
