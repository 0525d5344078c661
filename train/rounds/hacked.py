"""Find the improved policy's animations that its reward is not to be trusted on.

No true error is asked for: a sample is suspicious if the reward it was trained on prefers it to the
recording, or if the members of an ensemble disagree about it more than about nine tenths of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from esarm_env.task import AnimationTask
from esarm_env.types import BoolArray, FloatArray, IntArray, RewardFunction
from reward.demonstrations import Demonstrations, RollOut, collect

SAMPLES = 2  # of each utterance
# Numbers of these roll-outs, away from those of the noise levels and of other samples.
FIRST_SAMPLE = 20_000
DISAGREEMENT_SHARE = 0.1


def find_hacked(
    roll_out: RollOut,
    task: AnimationTask,
    reward: RewardFunction,
    *,
    utterances: IntArray,
    iteration: int,
    seed: int,
) -> tuple[Demonstrations, dict[str, Any]]:
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
        first_sample=FIRST_SAMPLE,
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


def _members(reward: RewardFunction, drawn: Demonstrations) -> FloatArray:
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
