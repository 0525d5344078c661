"""Roll-outs for demonstrations by worker processes: the tokens of one process, level by level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agents.rollout.animation import roll_out_with
from esarm_env.core.seeds import sequence_seeds
from esarm_env.task.animation_task import AnimationTask


def test_roll_outs_do_not_depend_on_workers(
    tiny_task: AnimationTask, make_model: Callable[..., Any], three_workers: Any
) -> None:
    """In parts of three, greedy and sampled; two policies at work by turns are not mixed up."""
    policies = [make_model(tiny_task, seed=seed) for seed in (0, 1)]
    utterances = np.array([4, 1, 5, 0, 9, 1, 11, 3])
    condition = tiny_task.condition_of(utterances)
    seeds = sequence_seeds(
        run_seed=3, iteration=0, utterances=utterances, samples=np.arange(len(utterances))
    )
    pairs = [
        [roll_out_with(policy, tiny_task, batch_size=3, pool=pool) for policy in policies]
        for pool in (None, three_workers)
    ]
    for temperature, epsilon in ((0.0, 0.25), (1.0, 0.0)):
        options = {"temperature": temperature, "epsilon": epsilon, "seeds": seeds}
        alone, shared = (
            [roll_out(utterances, condition=condition, **options) for roll_out in pair]
            for pair in pairs
        )
        assert not np.array_equal(alone[0].tokens, alone[1].tokens)
        for mine, theirs in zip(alone, shared, strict=True):
            for name in ("utterance", "tokens", "lengths", "condition"):
                np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
