"""Evaluation of the shipped weights: true errors beside the learned score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.rollout.animation import animate_utterances
from agents.rollout.decoding import Decoding
from esarm_env.core.types import IntArray, Trajectories
from reward.demonstrations import RankedDemonstrations
from train.rows import TOKENIZER, Row, expected, greedy
from train.stages.baselines import baseline_motions
from train.stages.evaluate import (
    pair_accuracy_with_interval,
    summarise,
)
from train.stages.measures import figures_of, score_motions

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from esarm_env.task.animation_task import AnimationTask
    from reward.plugins.learned import LearnedReward
    from train.run.settings.sections import EvaluateConfig

DIGITS = 4


def measure(
    task: AnimationTask,
    *,
    clone: MotionTransformer,
    learned: LearnedReward,
    demonstrations: RankedDemonstrations,
    config: EvaluateConfig,
    seed: int,
) -> dict[str, Any]:
    """Return figures on the test utterances of `task`, each as mean, low and high.

    Args:
        task: With the shipped tokenizer.
        clone: The shipped policy.
        learned: The shipped reward model, on `task`.
        demonstrations: Roll-outs of test utterances at several noise levels.
        config: Resamples and confidence of the intervals.
        seed: Of decoding.

    Returns:
        `utterances`; `rows` with LVE and EVE in mm and the learned score of the recordings through
        the tokenizer, the mean face and the clone without chance; and `pair_accuracy`, the share of
        pairs of one utterance that the score ranks by less noise, by least difference in noise.
    """
    test = task.corpus.split("test")
    ways = {greedy("clone"): Decoding()}
    if clone.knows_distances:
        ways[expected("clone")] = Decoding(expected_distance=True)
    rows = {
        Row(TOKENIZER): figures_of(task, learned, [task.recorded(test)]),
        **{
            row: score_motions(task, learned, motions)
            for row, motions in baseline_motions(task, test).items()
        },
    }
    for row, decoding in ways.items():
        animated = animate_utterances(clone, task, test, decoding=decoding, seed=seed)
        rows[row] = figures_of(task, learned, [animated])
    accuracy = pair_accuracy_with_interval(learned, demonstrations, config)
    return {
        "utterances": len(test),
        "rows": {row: rounded(summarise(figures, config)) for row, figures in rows.items()},
        "pair_accuracy": rounded(accuracy),
    }


def roll_out(
    clone: MotionTransformer,
    task: AnimationTask,
    utterances: IntArray,
    *,
    levels: Sequence[float],
    seed: int,
) -> RankedDemonstrations:
    """Return one roll-out of each of `utterances` at each noise level."""
    parts = [
        animate_utterances(
            clone, task, utterances, decoding=Decoding(epsilon=level), seed=seed, sample=number
        )
        for number, level in enumerate(levels)
    ]
    noise = np.repeat(np.asarray(levels, dtype=np.float32), len(utterances))
    return RankedDemonstrations(Trajectories.concatenate(parts), noise)


def rounded(figures: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return `figures` with as many digits as another number of threads leaves alone."""
    return {name: [round(value, DIGITS) for value in entry] for name, entry in figures.items()}
