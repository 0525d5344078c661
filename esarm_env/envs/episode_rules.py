"""Rules of an episode: spaces, eligible utterances, condition, action masks and terminal score.

The scalar environment and the vector environment hold one `EpisodeRules` each, so that neither can
drift from the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from esarm_env.audio.features import FEATURE_BOUND
from esarm_env.core.errors import InputError
from esarm_env.core.types import (
    FRAME_RATE_HZ,
    BoolArray,
    DoubleArray,
    FloatArray,
    IntArray,
    Trajectories,
)
from esarm_env.envs.chunk_payments import CHUNK, check_sums, check_timing, earned_so_far
from esarm_env.envs.sampling import Sampling, UtteranceSampler
from esarm_env.task.episode_metrics import load_metrics, measure_episodes

if TYPE_CHECKING:
    from esarm_env.rewards import CombinedReward
    from esarm_env.task.animation_task import AnimationTask

RESET_OPTIONS = ("utterance", "emotion", "intensity", "speaker")
DEMONSTRATED = "demonstrated"


@dataclass(frozen=True)
class Outcome:
    """Terminal rewards, reward terms and vertex errors of N finished episodes.

    Attributes:
        total: Shape (N,), the reward of the last step.
        terms: Score of each reward term, (N,) each, before its weight.
        errors: The metrics of `info` by name, `lve` and `eve` in mm among them, (N,) each; empty
            if not asked for.
    """

    total: FloatArray
    terms: Mapping[str, FloatArray]
    errors: Mapping[str, FloatArray]

    def info(self) -> dict[str, Any]:
        """Return `rewards` and the metrics as they stand in `info`, each of shape (N,)."""
        return {"rewards": dict(self.terms), **self.errors}


class EpisodeRules:
    """Spaces, utterance choice, action masks and scoring that both environments share.

    Attributes:
        task: Speech, motion and tokens.
        reward: What a finished animation is scored with.
        reward_timing: When that is paid, one of `chunk_payments.REWARD_TIMINGS`.
        utterances: Indices that episodes draw from, shape (n,), ascending.
        sampler: Draws among them.
        longest: Tokens of the longest utterance that can be chosen.
        mask: Allowed tokens per slot of the chunk, shape (tokens_per_chunk, n_tokens).
        metric_units: Unit by name of each metric in the last `info`.
    """

    def __init__(
        self,
        task: AnimationTask,
        reward: CombinedReward,
        *,
        split: str,
        sampling: Sampling,
        max_duration_s: float | None,
        action_mask: str | BoolArray | None,
        metrics: bool,
        reward_timing: str,
    ) -> None:
        """Check the settings against the task; see `SpeechAnimationEnv` for their meaning."""
        if not isinstance(sampling, Sampling):
            raise InputError(f"`sampling` must be a Sampling or None, got {sampling!r}")
        self.task = task
        self.reward_timing = check_timing(reward_timing, reward)
        self._reward = reward
        self._metrics = load_metrics() if metrics else {}
        self.metric_units = {name: metric.unit for name, metric in self._metrics.items()}
        self._allowed = _short_enough(task, max_duration_s)
        self._max_duration_s = max_duration_s
        utterances = task.corpus.split(split)
        if len(utterances) == 0:
            raise InputError(f"`split` must hold at least one utterance, got {split!r} with none")
        self.utterances: IntArray = utterances[self._allowed[utterances]]
        if len(self.utterances) == 0:
            shortest = task.n_frames[utterances].min() / FRAME_RATE_HZ
            raise InputError(
                f"`max_duration_s` must admit at least one utterance of {split!r} "
                f"(the shortest takes {shortest:.2f} s), got {max_duration_s}"
            )
        self.sampler = UtteranceSampler(sampling, self.utterances, records=task.corpus.records)
        self.longest = int(task.lengths[self._allowed].max())
        self.mask = _token_mask(task, action_mask)

    @property
    def reward(self) -> CombinedReward:
        """What a finished animation is scored with; another one must suit `reward_timing`."""
        return self._reward

    @reward.setter
    def reward(self, reward: CombinedReward) -> None:
        check_timing(self.reward_timing, reward)
        self._reward = reward

    @property
    def pays_by_chunk(self) -> bool:
        """Whether chunks are paid as they are written, and the rest with the last token."""
        return self.reward_timing == CHUNK

    def action_space(self) -> spaces.Discrete:
        """Return the space of one token."""
        return spaces.Discrete(self.task.n_tokens)

    def observation_space(self) -> spaces.Dict:
        """Return the space of the slim observation."""
        task = self.task

        def integers(low: int, high: int, size: int) -> spaces.Box:
            return spaces.Box(low, high, (size,), np.int64)

        return spaces.Dict(
            {
                "audio": spaces.Box(-FEATURE_BOUND, FEATURE_BOUND, (task.window_dim,), np.float32),
                "condition": spaces.Box(0, 1, (task.condition_dim,), np.float32),
                "last_tokens": integers(-1, task.n_tokens - 1, task.tokens_per_chunk),
                "step": integers(0, self.longest, 1),
                # At least 1: Gymnasium warns of a box that holds one value alone.
                "utterance": integers(0, max(len(task.corpus) - 1, 1), 1),
            }
        )

    def find(self, wanted: Any) -> int:
        """Return the index of an utterance given by id or by index.

        Raises:
            InputError: If there is none such, or it is longer than `max_duration_s`.
        """
        records = self.task.corpus.records
        if isinstance(wanted, str):
            if wanted not in self.task.index_of:
                raise InputError(
                    f"`utterance` must be an id of the corpus (such as {records[0].id!r}), "
                    f"got {wanted!r}"
                )
            found = self.task.index_of[wanted]
        else:
            whole = isinstance(wanted, (int, np.integer)) and not isinstance(wanted, bool)
            if not whole or not 0 <= wanted < len(records):
                raise InputError(
                    f"`utterance` must be an id or in 0..{len(records) - 1}, got {wanted!r}"
                )
            found = int(wanted)
        if not self._allowed[found]:
            raise InputError(
                f"`utterance` must not be longer than `max_duration_s` = {self._max_duration_s}, "
                f"got {records[found].id!r} of {records[found].n_frames / FRAME_RATE_HZ:.2f} s"
            )
        return found

    def check(self, options: Mapping[str, Any]) -> None:
        """Check the options of one episode, before anything is drawn or changed for it.

        Raises:
            InputError: If the utterance or a label is unknown.
        """
        wanted = options.get("utterance")
        self.condition(0 if wanted is None else self.find(wanted), options)

    def condition(self, utterance: int, options: Mapping[str, Any]) -> FloatArray:
        """Return the condition of an episode, shape (condition_dim,), a fresh copy.

        Args:
            utterance: Index; its recorded labels stand where `options` gives none.
            options: Of `reset`; `emotion`, `intensity` and `speaker` are read.

        Raises:
            InputError: If a label is unknown.
        """
        record = self.task.corpus.records[utterance]
        return self.task.conditions.encode(
            options.get("emotion", record.emotion),
            options.get("intensity", record.intensity),
            options.get("speaker", record.speaker),
        )

    def finish(self, trajectories: Trajectories) -> Outcome:
        """Score finished episodes, all in one batch.

        Raises:
            RewardError: If a reward fails, or a score is not finite; it names the utterance.
            MetricError: If a metric fails.
        """
        scores = self.reward.score_terms(trajectories)
        if self.pays_by_chunk:
            ids = partial(self.task.ids_of, trajectories.utterance)
            check_sums(self.reward, trajectories, scores, ids)
        total, terms = scores
        return Outcome(total, terms, measure_episodes(self._metrics, self.task, trajectories))

    def earned(self, held: Trajectories, written: IntArray) -> DoubleArray:
        """Return what episodes under way have earned, (N,); see `chunk_payments`.

        Args:
            held: As from `chunk_payments.held_to_end`.
            written: Shape (N,), tokens written so far.
        """
        return earned_so_far(self.reward, self.task, held, written)


def check_mapping(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of `options`, {} for None.

    Raises:
        InputError: If it is no mapping.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InputError(f"`options` must be a dict or None, got {options!r}")
    return dict(options or {})


def check_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of the `options` of `reset`, {} for None.

    Raises:
        InputError: If there is a key that `reset` does not know.
    """
    given = check_mapping(options)
    unknown = sorted(str(name) for name in set(given) - set(RESET_OPTIONS))
    if unknown:
        raise InputError(
            f"`options` must be among {', '.join(RESET_OPTIONS)}, got {', '.join(unknown)}"
        )
    return given


def _short_enough(task: AnimationTask, max_duration_s: float | None) -> BoolArray:
    """Return the mask of utterances within `max_duration_s`, shape (n_utterances,)."""
    if max_duration_s is None:
        return np.ones(len(task.corpus), dtype=np.bool_)
    number = isinstance(max_duration_s, (int, float, np.number))
    if not number or isinstance(max_duration_s, bool) or not max_duration_s > 0:
        raise InputError(f"`max_duration_s` must be above 0 or None, got {max_duration_s!r}")
    # 4.1 s are 123 frames, although 4.1 * 30 is a hair less.
    allowed: BoolArray = task.n_frames <= max_duration_s * FRAME_RATE_HZ + 1e-6
    return allowed


def _token_mask(task: AnimationTask, action_mask: str | BoolArray | None) -> BoolArray:
    shape = (task.tokens_per_chunk, task.n_tokens)
    if action_mask is None:
        return np.ones(shape, dtype=np.bool_)
    if isinstance(action_mask, str) and action_mask != DEMONSTRATED:
        raise InputError(
            f"`action_mask` must be None, {DEMONSTRATED!r} or an array, got {action_mask!r}"
        )
    try:
        mask = _demonstrated(task) if isinstance(action_mask, str) else np.array(action_mask)
    except ValueError as error:
        raise InputError(f"`action_mask` must be bool of shape {shape}, got {error}") from error
    if mask.shape != shape or mask.dtype != np.bool_:
        raise InputError(
            f"`action_mask` must be bool of shape {shape} (slot of the chunk, token), "
            f"got {mask.dtype} {mask.shape}"
        )
    if not mask.any(axis=1).all():
        slot = int(np.flatnonzero(~mask.any(axis=1))[0])
        raise InputError(f"`action_mask` must allow a token in every slot, got none in slot {slot}")
    return mask


def _demonstrated(task: AnimationTask) -> BoolArray:
    """Return the tokens that recordings of the training split use, per slot of the chunk."""
    mask = np.zeros((task.tokens_per_chunk, task.n_tokens), dtype=np.bool_)
    for utterance in task.corpus.split("train"):
        tokens = task.recorded_tokens(int(utterance))
        mask[np.arange(len(tokens)) % task.tokens_per_chunk, tokens] = True
    return mask
