"""Rounds of improvement: run, suspicious samples, and what each round is worth.

No true error is asked for: a sample is suspicious if the reward it was trained on prefers it to the
recording, or if the members of an ensemble disagree about it more than about nine tenths of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import roll_out_with
from agents.weights import load_policy
from esarm_env.core.run_layout import HACKED_FILE, POLICY_FILE
from esarm_env.core.seeds import FirstSample
from esarm_env.task.opening import open_task
from reward.demonstrations import RankedDemonstrations, RollOut, collect
from reward.plugins.learned import open_learned
from train.rounds.folders import begin_round, check_rounds, improved_policy
from train.rows import expected, greedy, rows_to_json, sampled
from train.stages.demonstrate import evenly, roll_out_ladder
from train.stages.evaluate import (
    draw_test,
    on_head,
    summarise,
    summarise_rows,
    without_chance,
)
from train.stages.improve import run_improve
from train.stages.measures import figures_of
from train.stages.reward import run_reward

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray, IntArray, RewardFunction
    from esarm_env.task.animation_task import AnimationTask
    from train.run.run_folder import RunFolder


def measure_round(current: RunFolder, run: RunFolder) -> dict[str, Any]:
    """Measure the score by the round's reward, LVE and EVE; paired differences from the clone."""
    return current.perform("evaluate", lambda _: _measure(current, run))


def _measure(current: RunFolder, run: RunFolder) -> dict[str, Any]:
    config = run.config.evaluate
    task = on_head(open_task(current.path), config.head)
    learned = open_learned(task, current.path)
    files: dict[str, Path] = {
        "clone": run.stage("clone") / POLICY_FILE,
        "policy": improved_policy(current),
    }
    rows = {}
    for name, file in files.items():
        model = load_policy(file)
        samples = draw_test(run, task, model, temperature=1.0)
        for row, written in without_chance(run, task, {name: model}).items():
            rows[row] = figures_of(task, learned, [written])
        rows[sampled(name)] = figures_of(task, learned, samples)
    paired = {
        how("policy").decoding: {
            key: value - rows[how("clone")][key] for key, value in rows[how("policy")].items()
        }
        for how in (greedy, expected, sampled)
        if how("policy") in rows and how("clone") in rows
    }
    return {
        "utterances": len(task.corpus.split("test")),
        "rows": rows_to_json(summarise_rows(rows, config)),
        "against_clone": {how: summarise(figures, config) for how, figures in paired.items()},
    }


SAMPLES = 2  # of each utterance
DISAGREEMENT_SHARE = 0.1


def find_hacked(
    roll_out: RollOut,
    task: AnimationTask,
    reward: RewardFunction,
    *,
    utterances: IntArray,
    iteration: int,
    seed: int,
) -> tuple[RankedDemonstrations, dict[str, Any]]:
    """Return the suspicious samples among those drawn now, and how many there are.

    Args:
        roll_out: The improved policy.
        task: Gives speech and recordings.
        reward: What the policy was improved on.
        utterances: Shape (N,), to draw samples of.
        iteration: Number of the policy.
        seed: Of the run.
    """
    drawn = collect(
        roll_out,
        task,
        utterances,
        epsilons=(0.0,),
        rollouts=SAMPLES,
        seed=seed,
        temperature=1.0,
        iteration=iteration,
        first_sample=FirstSample.HACKED,
    )
    truth = np.tile(reward.score(task.recorded(utterances)), SAMPLES)  # `collect`'s order
    outranking = reward.score(drawn.trajectories) > truth
    disputed = most_disputed(_members(reward, drawn), share=DISAGREEMENT_SHARE)
    hacked = drawn[outranking | disputed]
    return hacked, {
        "samples": len(drawn),
        "hacked": len(hacked),
        "outranking_the_recording": int(outranking.sum()),
        "disputed": int(disputed.sum()),
    }


def _members(reward: RewardFunction, drawn: RankedDemonstrations) -> FloatArray:
    """Return the members' scores, shape (M, N); one member where there is no ensemble."""
    score = getattr(reward, "score_members", None)
    if score is None:
        return np.zeros((1, len(drawn)), dtype=np.float32)
    members: FloatArray = score(drawn.trajectories)
    return members


def most_disputed(members: FloatArray, *, share: float) -> BoolArray:
    """Return which animations the members disagree about most, shape (N,).

    Args:
        members: Shape (M, N), their scores; none is disputed with fewer than two.
        share: Of the animations, above 0 and below 1.
    """
    if len(members) < 2:
        return np.zeros(members.shape[1], dtype=bool)
    spread = members.std(axis=0, ddof=1)
    disputed: BoolArray = spread > np.quantile(spread, 1 - share)
    return disputed


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
