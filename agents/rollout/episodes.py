"""Roll-out of whole episodes of an environment's task, written and scored in parts.

A part holds the episodes that are stepped together. Which those are depends on their lengths alone,
so that whoever writes a part, in this process or another, gets the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from agents.collectors.parts import joined_parts, rows_of_a_part, rows_of_parts
from agents.faults import TrainingFault, names_of
from agents.network.acceleration import PLAIN, Acceleration
from agents.protocols import (
    ChunkScoreFunction,
    FloatArray,
    IntArray,
    ScoreFunction,
    SequenceTask,
    StreamScoreFunction,
    TermScoreFunction,
    find_in_env,
)
from agents.rollout.buffer import EpisodeBatch
from agents.rollout.generation import generate
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from agents.network.transformer import MotionTransformer
    from agents.rollout.decoding import Decoding
    from esarm_env.core.types import BoolArray


def draw_utterances(
    pool: IntArray,
    *,
    size: int,
    rng: np.random.Generator,
    shares: npt.NDArray[np.float64] | None = None,
) -> IntArray:
    """Return `size` entries of `pool`, each at most once where there are enough.

    With `shares`, how often each is to be drawn, entries may repeat: that is what weights mean.
    """
    if shares is None:
        return rng.choice(pool, size=size, replace=size > len(pool))
    return rng.choice(pool, size=size, p=shares)


@dataclass(frozen=True)
class Asked:
    """How episodes are written, and which scores are asked for.

    Attributes:
        decoding: How tokens are chosen.
        by_stream: Whether to ask for a score per stream; their sum is the score.
        by_chunk: Whether to ask for scores per chunk instead, which tell of streams as well.
        by_term: Whether to ask for the terms of the score instead.
        acceleration: What may be traded for speed.
    """

    decoding: Decoding
    by_stream: bool = False
    by_chunk: bool = False
    by_term: bool = False
    acceleration: Acceleration = PLAIN


@dataclass(frozen=True)
class EpisodePart:
    """Episodes of similar length that are stepped and scored together, wherever that is.

    Attributes:
        utterances: Shape (N,), indices; repeats are allowed.
        seeds: Shape (N, n), from `esarm_env.core.seeds.sequence_seeds`.
        asked: What is asked for.
    """

    utterances: IntArray
    seeds: IntArray
    asked: Asked


def write_episodes(
    model: MotionTransformer,
    env: VecEnv | None,
    utterances: IntArray,
    *,
    seeds: IntArray,
    decoding: Decoding,
    **scores: Any,
) -> EpisodeBatch:
    """Write and score one episode per entry of `utterances`; advantages and returns are 0.

    Args:
        model: The policy.
        env: Offers `sequence_task` and `score_tokens`, or `score_streams`,
            `score_chunks` or `score_terms`.
        utterances: Shape (N,), indices; repeats are allowed.
        seeds: Shape (N, n), from `esarm_env.core.seeds.sequence_seeds`.
        decoding: How tokens are chosen.
        **scores: Which scores are asked for, and `acceleration`, as of `Asked`.

    Raises:
        TrainingFault: If a score is NaN or infinite, or scoring fails.
        InputError: If scores by chunk have another shape than the episodes.
    """
    asked = Asked(decoding, **scores)
    task: SequenceTask = find_in_env(env, "sequence_task")
    device = next(model.parameters()).device
    rows = rows_of_parts(task.lengths[utterances], rows_of_a_part(device))
    parts = [EpisodePart(utterances[each], seeds[each], asked) for each in rows]
    return joined_parts([write_part(part, model=model, env=env) for part in parts], rows)


def write_part(part: EpisodePart, *, model: MotionTransformer, env: Any) -> EpisodeBatch:
    """Write and score the episodes of one part; see `write_episodes`."""
    asked, utterances = part.asked, part.utterances
    task: SequenceTask = find_in_env(env, "sequence_task")
    condition = task.condition_of(utterances)
    rollout = generate(
        model,
        task,
        utterances,
        condition=condition,
        decoding=asked.decoding,
        seeds=part.seeds,
        acceleration=asked.acceleration,
    )
    written = (utterances, rollout.tokens, rollout.lengths, condition)
    try:
        if asked.by_chunk:
            scored = _score_chunks(env, *written)
        elif asked.by_term:
            score_terms: TermScoreFunction = find_in_env(env, "score_terms")
            told = score_terms(*written)
            scored = {"scores": told.total, "term_scores": dict(told.terms)}
        else:
            scored = _score(env, *written, by_stream=asked.by_stream)
    except RuntimeError as error:  # such as the RewardError of ESARM-v0
        raise TrainingFault(f"scoring failed: {error}") from error
    check_scores(scored["scores"], task, utterances)
    empty = np.zeros_like(rollout.log_probs)
    return EpisodeBatch(
        utterances=utterances,
        condition=condition,
        tokens=rollout.tokens,
        lengths=rollout.lengths,
        log_probs=rollout.log_probs,
        values=rollout.values,
        advantages=empty,
        returns=empty,
        **scored,
    )


def check_scores(scores: FloatArray, task: SequenceTask, utterances: IntArray) -> None:
    """Check that scores (N,) of `utterances` (N,) can be learnt from.

    Raises:
        TrainingFault: If one is NaN or infinite.
    """
    fine = np.isfinite(scores)
    if not fine.all():
        raise TrainingFault(
            f"scores must be finite, got {scores[~fine][0]} for {names_of(task, utterances[~fine])}"
        )


def vec_env_steps(
    batch: EpisodeBatch, *, n_envs: int
) -> Iterator[tuple[FloatArray, BoolArray, list[dict[str, Any]]]]:
    """Yield rewards, dones and infos as an SB3 `VecEnv` that played `batch` would have given them.

    Environment `i` plays the episodes `i`, `i + n_envs`, ... one after the other, a token a step.
    An `info` at the end of an episode has `episode` (return `r`, length `l`), as of SB3's
    `Monitor`, and `utterance`, its index. Environments that are through drop out: the last steps
    have fewer rows.

    Args:
        batch: Finished, scored episodes.
        n_envs: At least 1, at most the number of episodes.
    """
    ends = [np.cumsum(batch.lengths[env::n_envs]) for env in range(n_envs)]
    episodes = list(range(n_envs))  # which each environment plays
    for step in range(1, 1 + max(int(each[-1]) for each in ends)):
        rows = [env for env in range(n_envs) if step <= ends[env][-1]]
        rewards, dones = np.zeros(len(rows), dtype=np.float32), np.zeros(len(rows), dtype=np.bool_)
        infos: list[dict[str, Any]] = [{} for _ in rows]
        for row, env in enumerate(rows):
            number = episodes[env]
            if step == ends[env][number // n_envs]:
                rewards[row], dones[row] = batch.scores[number], True
                infos[row] = {
                    "episode": episode_info(batch, number),
                    "utterance": int(batch.utterances[number]),
                }
                episodes[env] += n_envs
        yield rewards, dones, infos


def episode_info(batch: EpisodeBatch, number: int) -> dict[str, float]:
    """Return return and length of an episode of `batch` as SB3's `Monitor` notes them."""
    returns = batch.scores if batch.monitored is None else batch.monitored
    return {"r": float(returns[number]), "l": int(batch.lengths[number]), "t": 0.0}


def _score(
    env: Any,
    utterances: IntArray,
    tokens: IntArray,
    lengths: IntArray,
    condition: FloatArray,
    *,
    by_stream: bool,
) -> dict[str, Any]:
    """Return scores (N,) and, if asked for, those of each stream, as fields of `EpisodeBatch`."""
    if not by_stream:
        score: ScoreFunction = find_in_env(env, "score_tokens")
        return {"scores": score(utterances, tokens, lengths, condition)}
    score_streams: StreamScoreFunction = find_in_env(env, "score_streams")
    streams = score_streams(utterances, tokens, lengths, condition)
    total = np.stack(list(streams.values())).sum(axis=0, dtype=np.float32)
    return {"scores": total, "stream_scores": streams}


def _score_chunks(
    env: Any,
    utterances: IntArray,
    tokens: IntArray,
    lengths: IntArray,
    condition: FloatArray,
) -> dict[str, Any]:
    """Return scores by chunk and what they add up to, as fields of `EpisodeBatch`."""
    score_chunks: ChunkScoreFunction = find_in_env(env, "score_chunks")
    names = tuple(find_in_env(env, "reward_chunk_streams"))
    chunks = np.asarray(score_chunks(utterances, tokens, lengths, condition), dtype=np.float32)
    per_chunk = find_in_env(env, "sequence_task").tokens_per_chunk
    expected = (len(tokens), tokens.shape[1] // per_chunk, len(names))
    if chunks.shape != expected:
        raise InputError(
            f"`score_chunks` must return shape {expected}, a row for each episode, the chunks of "
            f"the longest and a column for each of {names}, got {chunks.shape}"
        )
    wide = chunks.astype(np.float64)
    by_column = wide.sum(axis=1).astype(np.float32)  # (N, S)
    return {
        "scores": wide.sum(axis=(1, 2)).astype(np.float32),
        "stream_scores": dict(zip(names, by_column.T, strict=True)),
        "chunk_scores": chunks,
        "chunk_streams": names,
    }
