"""`esarm push` and `esarm pull`: a run, or one part of it, to the Hugging Face Hub and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from esarm_env.core.run_layout import EXPORT_CARD


def command_push(
    run: Annotated[Path, tyro.conf.Positional],
    repository: Annotated[str, tyro.conf.Positional],
    /,
    *,
    part: Literal["task", "policy", "tokenizer", "reward"] = "task",
    policy: str = "auto",
    public: bool = False,
    branch: str | None = None,
    message: str | None = None,
) -> None:
    """Push a run to the Hugging Face Hub, with a card made from it.

    What is pushed is what `esarm export` writes: no recordings, no audio, no paths of this machine.
    Others open it by its name wherever a run folder is opened: `--run hf://USER/NAME`. The token is
    the one of `hf auth login`, or HF_TOKEN. Needs the extra `hub`.

    Args:
        run: Folder of a finished run, or an export of one, which goes as it is.
        repository: USER/NAME on the Hub; made where there is none. What it holds of ESARM is
            replaced, other files stay.
        part: task for all of it; policy, tokenizer or reward for that alone.
        policy: clone, or what else the run has (ppo, ...); auto takes the one with the smallest
            true error on the validation utterances.
        public: Let everybody see a repository that is made now; by default it is private. One that
            is there stays as it is.
        branch: Branch to push to; by default main.
        message: Message of the commit; by default it says what was pushed.
    """
    from train.sharing.parts import push_run

    url = push_run(
        run,
        repository,
        part=part,
        policy=policy,
        private=not public,
        branch=branch,
        commit_message=message,
    )
    print(f"pushed the {part} of {run}: {url}")
    print("read its card there before you make it public, above all its licence")


def command_pull(
    repository: Annotated[str, tyro.conf.Positional],
    /,
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    revision: str | None = None,
) -> None:
    """Fetch what somebody pushed into a folder, for instance for a machine without network.

    To open it here, `--run hf://USER/NAME` does without this. Files are compared with the digests
    that were pushed; of a repository, files of ESARM alone are fetched, and nothing is executed.

    Args:
        repository: USER/NAME on the Hub, or hf://USER/NAME@REVISION.
        output: Folder to write; an earlier one is replaced.
        revision: Branch, tag or commit; by default the newest of main.
    """
    from train.sharing.parts import pull

    kind = pull(repository, output, revision=revision)
    print(f"{output}: the {kind} of {repository}; read its card, {EXPORT_CARD}")
