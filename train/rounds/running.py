"""Run the rounds of a run: finished stages are skipped, interrupted ones go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from esarm_env.opening import open_task
from reward.learned import open_learned
from train.policies import POLICY_FILE, load_policy, roll_out_with
from train.rounds.figures import measure_round
from train.rounds.folders import begin_round, check_rounds
from train.rounds.hacked import find_hacked
from train.run_folder import RunFolder
from train.stages.demonstrate import HACKED_FILE, evenly, roll_out_ladder
from train.stages.improve import run_improve
from train.stages.reward import run_reward


def run_rounds(run: RunFolder, n_rounds: int) -> list[dict[str, Any]]:
    """Run rounds 2 to `n_rounds` after the finished run; return the stages' summaries of each.

    Raises:
        InputError: If a setting does not go with rounds.
    """
    check_rounds(run, n_rounds)
    rounds, summaries = [run], []
    for number in range(2, n_rounds + 1):
        print(f"round {number} of {n_rounds}")
        current = begin_round(run, number, before=rounds[-1])
        summaries.append(
            {
                "demonstrate": _demonstrate(current, rounds),
                "reward": run_reward(current, earlier=rounds),
                "improve": run_improve(current),
                "evaluate": measure_round(current, run),
            }
        )
        rounds.append(current)
    return summaries


def _demonstrate(current: RunFolder, earlier: Sequence[RunFolder]) -> dict[str, Any]:
    """Roll the policy out at the same noise levels, and look for what hacks its reward."""

    def work(folder: Path) -> dict[str, Any]:
        summary = roll_out_ladder(current, folder, iteration=len(earlier))
        task = open_task(current.path)
        policy = load_policy(current.stage("clone") / POLICY_FILE)
        hacked, counts = find_hacked(
            roll_out_with(policy, task),
            task,
            open_learned(task, earlier[-1].path),
            utterances=evenly(
                task.corpus.split("train"), current.config.demonstrate.train_utterances
            ),
            iteration=len(earlier),
            seed=current.config.seed,
        )
        if len(hacked):
            hacked.save(folder / HACKED_FILE)
        return summary | {"suspicious": counts}

    return current.perform("demonstrate", work)
