"""The reward of speech without recordings: a weighted sum of terms that need no ground truth."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError, MissingExtraError, one_line
from esarm_env.rewards.chunks import chunk_streams_of
from esarm_env.rewards.combined import CombinedReward, RewardTerm
from esarm_env.rewards.registry import WITH_MODEL, needs_recordings, resolve_reward
from train.speech.closure import PhoneClosureReward
from train.speech.settings import CLOSURE, DEFAULT_REWARD, DETECTED_CLOSURE

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, RewardFunction, Trajectories
    from esarm_env.task.animation_task import AnimationTask


class OverChunks:
    """A reward of whole animations, handed out evenly to chunks and streams; a `ChunkedReward`.

    Beside terms that tell chunks apart it would else be earned with the last chunk alone, and no
    token but the last few would answer for it.
    """

    needs_ground_truth = False

    def __init__(self, reward: RewardFunction, task: AnimationTask) -> None:
        """Hand out the score of `reward`, which scores animations of `task`."""
        self._reward, self._tokens_per_chunk = reward, task.tokens_per_chunk
        self.chunk_streams = tuple(dict.fromkeys(task.token_streams))

    def score(self, trajectories: Trajectories) -> FloatArray:
        """Return the score of the reward, shape (N,)."""
        return self._reward.score(trajectories)

    def score_chunks(self, trajectories: Trajectories) -> FloatArray:
        """Return each chunk's and stream's part of it, (N, C, S), alike, 0 behind the end."""
        counts = trajectories.lengths // self._tokens_per_chunk  # (N,)
        inside = np.arange(counts.max(initial=0)) < counts[:, None]  # (N, C)
        n_streams = len(self.chunk_streams)
        parts = self.score(trajectories) / (np.maximum(counts, 1) * n_streams)
        chunks = np.where(inside, parts[:, None], 0)[:, :, None]
        return np.repeat(chunks, n_streams, axis=2).astype(np.float32)


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
        return [RewardTerm(name, weight, PhoneClosureReward(task))]
    found = resolve_reward(name, task, run_path)
    return [
        RewardTerm(part, weight * found.weights[part], _by_chunk(part, function, task))
        for part, function in found.functions.items()
    ]


def _by_chunk(name: str, function: RewardFunction, task: AnimationTask) -> RewardFunction:
    """Return a reward that tells chunks apart, and is known to need no recorded motion."""
    if function.needs_ground_truth:
        raise needs_recordings(name, lacking="speech alone")
    return function if chunk_streams_of(function) else OverChunks(function, task)


def _if_possible(name: str, weight: float, task: AnimationTask, run_path: Path) -> list[RewardTerm]:
    try:
        return _terms(name, weight, task, run_path)
    except InputError as error:
        _tell(name, error, None)
        return []


def _tell(name: str, error: Exception, instead: str | None) -> None:
    what = f"`{instead}` stands in for it" if instead else "it is left out of the reward"
    warnings.warn(f"no `{name}` for this speech, {what}: {one_line(error)}", stacklevel=4)
