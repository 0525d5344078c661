"""The reward of speech without recordings: a weighted sum of terms that need no ground truth."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.core.types import MOUTH
from esarm_env.rewards.combined import CombinedReward, RewardTerm
from esarm_env.rewards.registry import WITH_MODEL, resolve_reward
from esarm_env.rewards.validation import streams_of
from train.speech.closure import PhoneClosureReward
from train.speech.settings import CLOSURE, DEFAULT_REWARD, DETECTED_CLOSURE

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, RewardFunction, Trajectories
    from esarm_env.task.animation_task import AnimationTask

_OF_THE_MOUTH = frozenset({CLOSURE, DETECTED_CLOSURE, "synchrony"})


class OnStreams:
    """A reward of the whole face whose score is handed out to streams by fixed shares.

    So a sum of it and of a reward that tells streams apart still tells them apart, and the upper
    face need not answer for what lips did.
    """

    needs_ground_truth = False

    def __init__(self, reward: RewardFunction, shares: Mapping[str, float]) -> None:
        """Hand out the score of `reward` by `shares`, which add up to 1, by stream."""
        self._reward, self._shares = reward, dict(shares)
        self.streams = tuple(shares)

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return the score of the reward, shape (N,)."""
        return self._reward.score(trajectories)

    def score_streams(self, trajectories: Trajectories) -> dict[str, FloatArray]:
        """Return each stream's share of it, (N,) each."""
        scores = self.score(trajectories)
        return {name: (share * scores).astype(scores.dtype) for name, share in self._shares.items()}


def speech_reward(
    task: AnimationTask, run_path: Path, weights: Mapping[str, float]
) -> CombinedReward:
    """Return the weighted sum that speech without recordings is learnt by.

    Args:
        task: With the speech behind its utterances, in none of its splits.
        run_path: Of the run, for `learned`.
        weights: By name; empty stands for `DEFAULT_REWARD`, without what the run cannot score.

    Raises:
        InputError: If a name is unknown, a term needs recorded motion, or nothing is left.
        MissingExtraError: If `phone-closure` is asked for by name and the extra is missing.
    """
    terms: list[RewardTerm] = []
    for name, weight in (weights or DEFAULT_REWARD).items():
        try:
            terms += _terms(name, weight, task, run_path)
        except (InputError, MissingExtraError) as error:
            if weights or name == WITH_MODEL:  # without a judge of faces, rules alone would rule
                raise
            instead = DETECTED_CLOSURE if name == CLOSURE else None
            _tell(name, error, instead)
            if instead is not None:
                terms += _if_possible(instead, weight, task, run_path)
    if not terms:
        raise InputError("the run must be able to score speech by one reward at least, got none")
    return CombinedReward(task.corpus, terms)


def _terms(name: str, weight: float, task: AnimationTask, run_path: Path) -> list[RewardTerm]:
    """Return the terms that a reward consists of; most are one, `learned` has two heads."""
    if name == CLOSURE:
        return [RewardTerm(name, weight, _on_streams(name, PhoneClosureReward(task), task))]
    found = resolve_reward(name, task, run_path)
    return [
        RewardTerm(part, weight * found.weights[part], _on_streams(part, function, task))
        for part, function in found.functions.items()
    ]


def _on_streams(name: str, function: RewardFunction, task: AnimationTask) -> RewardFunction:
    """Return a reward that tells streams apart, and is known to need no recorded motion."""
    if function.needs_ground_truth:
        raise InputError(
            f"`reward` must not need the recorded motion, which speech alone lacks, got {name!r}; "
            "`esarm plugins` lists rewards that need none"
        )
    streams = tuple(dict.fromkeys(task.token_streams))
    if streams_of(function):
        return function
    mouth_alone = name in _OF_THE_MOUTH and MOUTH in streams
    shares = {
        stream: float(stream == MOUTH) if mouth_alone else 1 / len(streams) for stream in streams
    }
    return OnStreams(function, shares)


def _if_possible(name: str, weight: float, task: AnimationTask, run_path: Path) -> list[RewardTerm]:
    try:
        return _terms(name, weight, task, run_path)
    except InputError as error:
        _tell(name, error, None)
        return []


def _tell(name: str, error: Exception, instead: str | None) -> None:
    what = f"`{instead}` stands in for it" if instead else "it is left out of the reward"
    warnings.warn(f"no `{name}` for this speech, {what}: {one_line(error)}", stacklevel=4)
