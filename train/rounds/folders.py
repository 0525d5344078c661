"""Folders of the rounds of improvement: run folders whose clone is the policy of the round before.

So the stages work in it as they are: `RUN/rounds/2/{demonstrate,reward,improve,evaluate}`, with
copies of the run's corpus, tokenizer and encoder beside them. The run itself is round 1.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

from esarm_env.core.cache import write_text
from esarm_env.core.errors import InputError
from esarm_env.core.run_layout import (
    CLONE_FILE,
    POLICY_FILE,
    SUMMARY_FILE,
    is_finished,
    partial_folder,
    round_folder,
)
from train.rows import expected, greedy, rows_from_json, sampled
from train.run.run_folder import RunFolder

_LARGE = (".safetensors", ".npz")


def check_rounds(run: RunFolder, n_rounds: int) -> None:
    """Refuse what cannot be iterated.

    Raises:
        InputError: If there are no rounds, or nothing that a second one would learn from.
    """
    if n_rounds < 1:
        raise InputError(f"`rounds` must be at least 1, got {n_rounds}")
    config = run.config
    if n_rounds > 1 and config.improve.reward != "learned":
        raise InputError(
            "`improve.reward` must be learned where there are several rounds, got "
            f"{config.improve.reward!r}: no round would change another reward"
        )
    if n_rounds > 1 and len(config.demonstrate.epsilons) < 2:
        raise InputError(
            "`demonstrate.epsilons` must be at least two levels where there are several rounds, "
            f"got {list(config.demonstrate.epsilons)}"
        )


def open_rounds(run: RunFolder) -> list[RunFolder]:
    """Return the rounds of a run that are finished, the run itself first."""
    rounds = [run]
    while is_finished(folder := round_folder(run.path, len(rounds) + 1), "evaluate"):
        rounds.append(RunFolder.open(folder))
    return rounds


def begin_round(run: RunFolder, number: int, *, before: RunFolder) -> RunFolder:
    """Return the folder of round `number`, with all that the policy of the round before needs.

    Args:
        run: The whole run.
        number: At least 2.
        before: The round before, finished.
    """
    folder = RunFolder.create(round_folder(run.path, number), run.config)
    for stage in ("corpus", "prior", "encoder"):
        if run.is_finished(stage):  # runs of before there were encoders have none
            copy_stage(run, folder.path, stage)
    _copy_policy(improved_policy(before), folder.path, number=number)
    return folder


def improved_policy(run: RunFolder) -> Path:
    """Return the file of the policy that a round ends with: the first algorithm's."""
    return run.stage("improve") / run.config.improve.algorithms[0] / POLICY_FILE


def copy_stage(run: RunFolder, round_path: Path, stage: str) -> None:
    """Copy a finished stage of `run` into another run folder, completely or not at all.

    Weights and demonstrations, which are never written in place, take no room twice where the disk
    can give a file two names.
    """
    if is_finished(round_path, stage):
        return
    partial = partial_folder(round_path, stage)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(run.stage(stage), partial, copy_function=share_file)
    partial.rename(round_path / stage)


def share_file(source: str, target: str) -> None:
    """Give a file a second place; of weights and demonstrations, a second name if it can be."""
    if source.endswith(_LARGE) and not os.path.islink(source):
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


def _copy_policy(file: Path, round_path: Path, *, number: int) -> None:
    """Let a policy stand where the round's stages read the clone, completely or not at all."""
    target = (round_path / CLONE_FILE).parent
    if target.is_dir():
        return
    partial = partial_folder(round_path, target.name)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shutil.copy(file, partial / POLICY_FILE)
    summary = {"policy": f"the improved one of round {number - 1}", "wall_s": 0.0}
    write_text(partial / SUMMARY_FILE, json.dumps(summary, indent=1))
    partial.rename(target)


def round_figures(rounds: list[RunFolder]) -> list[dict[str, dict[str, list[float | None]]]]:
    """Return the differences from the clone of each round, by decoding as far as measured."""
    first, *later = rounds
    name = first.config.improve.algorithms[0]
    against = rows_from_json(first.summary("evaluate")["against_clone"])
    rows = (greedy(name), expected(name), sampled(name))
    figures = [{row.decoding: against[row] for row in rows if row in against}]
    return figures + [current.summary("evaluate")["against_clone"] for current in later]
