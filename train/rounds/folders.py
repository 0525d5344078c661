"""A round is a run folder of its own, whose clone is the policy that the round before ended with.

So the stages work in it as they are: `RUN/rounds/2/{demonstrate,reward,improve,evaluate}`, with
copies of the run's corpus and tokenizer beside them. The run itself is round 1.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from agents.weights import POLICY_FILE
from esarm_env.core.errors import InputError
from train.run.run_folder import SUMMARY, RunFolder

ROUNDS = "rounds"


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
    while (run.path / ROUNDS / f"{len(rounds) + 1}" / "evaluate").is_dir():
        rounds.append(RunFolder(run.path / ROUNDS / f"{len(rounds) + 1}", run.config))
    return rounds


def begin_round(run: RunFolder, number: int, *, before: RunFolder) -> RunFolder:
    """Return the folder of round `number`, with corpus, tokenizer and policy to start from.

    Args:
        run: The whole run.
        number: At least 2.
        before: The round before, finished.
    """
    folder = RunFolder(run.path / ROUNDS / f"{number}", run.config)
    for stage in ("corpus", "prior"):
        _copy(run.stage(stage), folder.path / stage)
    _copy_policy(improved_policy(before), folder.path / "clone", number=number)
    return folder


def improved_policy(run: RunFolder) -> Path:
    """Return the file of the policy that a round ends with: the first algorithm's."""
    return run.stage("improve") / run.config.improve.algorithms[0] / POLICY_FILE


def _copy(source: Path, target: Path) -> None:
    """Copy a stage, completely or not at all."""
    if target.is_dir():
        return
    partial = target.parent / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    partial.rename(target)


def _copy_policy(file: Path, target: Path, *, number: int) -> None:
    if target.is_dir():
        return
    partial = target.parent / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shutil.copy(file, partial / POLICY_FILE)
    summary = {"policy": f"the improved one of round {number - 1}", "wall_s": 0.0}
    (partial / SUMMARY).write_text(json.dumps(summary, indent=1))
    partial.rename(target)
