"""Advantages of episodes with a terminal reward: baselines, scaling, and credit by stream.

Where a reward tells what the mouth and what the upper face earned, a token need not answer for the
other half: its advantage comes from its own stream's score and values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.protocols import FloatArray, IntArray, find_in_env
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from agents.rollout.buffer import EpisodeBatch, EpisodeBuffer


def terminal_gae(
    scores: FloatArray,
    values: FloatArray,
    lengths: IntArray,
    *,
    gamma: float = 1.0,
    gae_lambda: float = 1.0,
) -> tuple[FloatArray, FloatArray]:
    """Return generalised advantages and returns (Schulman et al. 2016, arXiv:1506.02438).

    The reward is 0 before the last token and `scores` there; nothing is bootstrapped, because
    episodes end for good. With `gae_lambda` below 1 the first token of a long utterance hears
    almost nothing of the score (0.95 leaves 0.6 % after 100 tokens), hence the default of 1.

    Args:
        scores: Shape (N,), terminal reward of each episode.
        values: Shape (N, L), value estimate before each token.
        lengths: Shape (N,).
        gamma: Discount, in [0, 1].
        gae_lambda: Bias-variance trade-off, in [0, 1].

    Returns:
        Advantages and returns (advantage + value), each (N, L), 0 in padding.

    Raises:
        ValueError: If `gamma` or `gae_lambda` is outside [0, 1].
    """
    for name, value in (("gamma", gamma), ("gae_lambda", gae_lambda)):
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be in [0, 1], got {value}")
    n, width = values.shape
    advantages = np.zeros((n, width + 1), dtype=np.float64)
    following = np.concatenate([values, np.zeros((n, 1))], axis=1)
    for t in reversed(range(width)):
        is_last = t == lengths - 1
        reward = np.where(is_last, scores, 0.0)
        bootstrap = np.where(is_last, 0.0, following[:, t + 1])
        delta = reward + gamma * bootstrap - values[:, t]
        carried = np.where(is_last, 0.0, advantages[:, t + 1])
        advantages[:, t] = np.where(t < lengths, delta + gamma * gae_lambda * carried, 0.0)
    inside = np.arange(width) < lengths[:, None]
    advantages = advantages[:, :-1].astype(np.float32)
    return advantages, np.where(inside, advantages + values, 0).astype(np.float32)


def leave_one_out(scores: FloatArray, groups: IntArray) -> FloatArray:
    """Return each score minus the mean of the others in its group (RLOO; Kool et al. 2019).

    Args:
        scores: Shape (N,).
        groups: Shape (N,), the utterance each belongs to; every group needs two or more.

    Raises:
        ValueError: If a group has one member only.
    """
    _, member_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    _check_group_sizes(sizes)
    totals = np.bincount(member_of, weights=scores)
    n_others = sizes[member_of] - 1
    return (scores - (totals[member_of] - scores) / n_others).astype(np.float32)


def group_normalised(scores: FloatArray, groups: IntArray, *, epsilon: float = 1e-4) -> FloatArray:
    """Return scores minus their group's mean, over its standard deviation plus `epsilon`.

    The outcome-supervised advantage of GRPO (Shao et al. 2024, arXiv:2402.03300, section 4.1.2).
    The deviation is the population's. A group whose scores are all equal gives exactly 0.

    Args:
        scores: Shape (N,).
        groups: Shape (N,), the utterance each belongs to; every group needs two or more.
        epsilon: Added to the deviation, in units of the score; differences far below it vanish.

    Raises:
        ValueError: If a group has one member only.
    """
    _, member_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    _check_group_sizes(sizes)
    wide = scores.astype(np.float64)
    offsets = wide - (np.bincount(member_of, weights=wide) / sizes)[member_of]
    deviations = np.sqrt(np.bincount(member_of, weights=offsets**2) / sizes)[member_of]
    highest, lowest = np.full(len(sizes), -np.inf), np.full(len(sizes), np.inf)
    np.maximum.at(highest, member_of, wide)
    np.minimum.at(lowest, member_of, wide)
    # The mean of equal numbers may be one rounding off them, and dividing would blow that up.
    differ = (highest > lowest)[member_of]
    return np.where(differ, offsets / (deviations + epsilon), 0).astype(np.float32)


def normalised_sum(
    terms: Mapping[str, FloatArray], weights: Mapping[str, float], groups: IntArray
) -> FloatArray:
    """Return the weighted sum of terms, each normalised within its group before (GDPO).

    The group reward-decoupled normalisation of Liu et al. 2026 (arXiv:2601.05242). Normalised
    after they are added up, the term that varies most would drown the others, and different
    terms could end up as the same advantage. What is added to a term's deviation is 1e-4 of its
    root mean square within groups, so that the unit of a term does not matter.

    Args:
        terms: Shape (N,) each.
        weights: By the same names; a term of weight 0 is left out.
        groups: Shape (N,), the utterance each belongs to; every group needs two or more.
    """
    total = np.zeros(len(groups))
    _, member_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    for name, weight in weights.items():
        if weight:
            wide = terms[name].astype(np.float64)
            offsets = wide - (np.bincount(member_of, weights=wide) / sizes)[member_of]
            epsilon = max(1e-4 * float(np.sqrt(np.mean(offsets**2))), 1e-30)
            total += weight * group_normalised(terms[name], groups, epsilon=epsilon)
    return total.astype(np.float32)


def check_terms(env: Any) -> None:
    """Check that `env` tells the terms of its reward.

    Raises:
        InputError: If it does not.
    """
    try:
        find_in_env(env, "score_terms"), find_in_env(env, "reward_weights")
    except ValueError as error:
        raise InputError(
            "`normalise_terms` must be False where the environment has no `score_terms` and "
            f"`reward_weights` (as ESARM-v0 has), got True and {env}"
        ) from error


def _check_group_sizes(sizes: IntArray) -> None:
    if sizes.min(initial=2) < 2:
        raise ValueError(
            f"`groups` must have at least 2 samples per utterance, got {sizes.min()}; "
            "raise `samples_per_utterance`"
        )


def scaled_advantages(buffer: EpisodeBuffer) -> EpisodeBuffer:
    """Return `buffer` with advantages divided by their root mean square over all tokens.

    Their mean is left alone: what to take off is the baseline's business, not the scale's. Where
    all are as good as zero there is nothing to learn, and rounding must not be blown up.
    """
    size = np.sqrt(np.mean(buffer.advantages.astype(np.float64) ** 2))
    noise = 1e-5 * (1.0 + np.abs(buffer.scores).max())
    factor = 1.0 / size if size > noise else 0.0
    return replace(buffer, advantages=(buffer.advantages * factor).astype(np.float32))


def per_token(per_episode: FloatArray, batch: EpisodeBatch) -> FloatArray:
    """Return `per_episode` (N,) at every token of its episode, (N, L), 0 in padding."""
    return np.where(batch.inside, per_episode[:, None], 0).astype(np.float32)


def reward_streams(env: Any) -> tuple[str, ...]:
    """Return the streams that the reward of `env` scores apart; empty where it says nothing."""
    try:
        return tuple(find_in_env(env, "reward_streams"))
    except ValueError:
        return ()


def check_streams(env: Any) -> None:
    """Check that `env` tells streams apart.

    Raises:
        ValueError: If its reward or its task does not; the message says what else to do.
    """
    task = find_in_env(env, "sequence_task")
    if not reward_streams(env):
        raise ValueError(
            f"`stream_advantages` must have a reward that gives streams (`streams`), got "
            f"{env} whose reward has none; choose one that has, such as `accuracy`, or leave "
            "`stream_advantages` False"
        )
    if not hasattr(task, "token_streams"):
        raise ValueError(
            f"`stream_advantages` must have a task with `token_streams`, got {task!r:.200}"
        )


def of_stream(batch: EpisodeBatch, name: str, columns: IntArray) -> EpisodeBatch:
    """Return `batch` as if it held nothing but stream `name`, whose tokens stand in `columns`."""
    per_token = ("tokens", "log_probs", "values", "advantages", "returns")
    return replace(
        batch,
        **{each: getattr(batch, each)[:, columns] for each in per_token},
        lengths=batch.inside[:, columns].sum(axis=1),
        scores=batch.stream_scores[name],
        stream=name,
    )


def filled_by_stream(
    batch: EpisodeBatch,
    token_streams: tuple[str, ...],
    fill: Callable[[EpisodeBatch], EpisodeBatch],
) -> EpisodeBatch:
    """Return `batch` with advantages and returns of each stream as `fill` gives them.

    Args:
        batch: Whole episodes with a score per stream.
        token_streams: Stream of each slot of a chunk.
        fill: Returns its episodes, those of one stream, with advantages and returns.

    Raises:
        ValueError: If scores and slots do not name the same streams.
    """
    if set(batch.stream_scores) != set(token_streams):
        raise ValueError(
            f"`score_streams` must score the streams {sorted(set(token_streams))} of the task, "
            f"got {sorted(batch.stream_scores)}"
        )
    slots = np.arange(batch.tokens.shape[1]) % len(token_streams)
    names = np.array(token_streams)[slots]  # (L,)
    advantages, returns = np.zeros_like(batch.advantages), np.zeros_like(batch.returns)
    for name in batch.stream_scores:
        columns = np.flatnonzero(names == name)
        filled = fill(of_stream(batch, name, columns))
        advantages[:, columns], returns[:, columns] = filled.advantages, filled.returns
    return replace(batch, advantages=advantages, returns=returns)
