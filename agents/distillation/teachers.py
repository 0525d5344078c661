"""Targets of distillation: which sequences of tokens are better than what a policy samples.

`expected-distance` writes the tokens of least expected distance under the teacher's distribution
(Eikema and Aziz 2022; distilled as in Finkelstein and Freitag 2024, arXiv:2309.10966). `best-of-n`
takes of several samples the one of highest score. `chunk-best` takes chunk by chunk, and stream by
stream, the sample that a reward by chunks prefers: errors add up over chunks, so that choosing in
each gains up to the root of their number over choosing once.

Shape letters: N episodes, G utterances, L tokens, C chunks, S columns of a score by chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.distillation.config import BEST_OF_N, CHUNK_BEST
from agents.protocols import find_in_env
from agents.rollout.buffer import PER_TOKEN, EpisodeBatch
from esarm_env.core.errors import InputError
from esarm_env.core.types import WHOLE_FACE, Trajectories

if TYPE_CHECKING:
    from agents.protocols import FloatArray, IntArray, ScoreFunction
    from esarm_env.core.types import BoolArray


def best_of_each(scores: FloatArray, utterances: IntArray) -> BoolArray:
    """Return which episode of each utterance scores highest, (N,); of equal ones the first."""
    best = np.zeros(len(scores), dtype=np.bool_)
    for utterance in np.unique(utterances):
        rows = np.flatnonzero(utterances == utterance)
        best[rows[scores[rows].argmax()]] = True
    return best


def check_chunks(env: Any) -> None:
    """Check that the reward of `env` can tell chunks apart.

    Raises:
        InputError: If it cannot.
    """
    if not _columns(env):
        raise InputError(
            f"`teacher` must not be {CHUNK_BEST!r} where the reward cannot tell chunks apart "
            f"(`chunk_streams`), got {env}; choose {BEST_OF_N!r}, or a reward that can, such as "
            "`accuracy`"
        )


def chunk_best(env: Any, samples: EpisodeBatch) -> EpisodeBatch:
    """Return one episode of each utterance of `samples`: stitched, if that scores above them all.

    What a token looks like depends on its neighbours, so the score of a stitched sequence is not
    the sum of its parts; it is scored as a whole, and the best sample stands where it falls short.

    Args:
        env: Its reward tells chunks apart.
        samples: Scored episodes, two or more of each utterance.
    """
    written = (samples.utterances, samples.tokens, samples.lengths, samples.condition)
    chunks = np.asarray(find_in_env(env, "reward_function").score_chunks(Trajectories(*written)))
    streams: tuple[str, ...] = find_in_env(env, "sequence_task").token_streams
    best = best_of_each(samples.scores, samples.utterances)
    made = rows_of(samples, np.flatnonzero(best))
    tokens = np.stack(
        [
            stitched(
                rows_of(samples, np.flatnonzero(samples.utterances == utterance)),
                chunks[samples.utterances == utterance],
                columns=_columns(env),
                token_streams=streams,
            )
            for utterance in made.utterances
        ]
    )
    score: ScoreFunction = find_in_env(env, "score_tokens")
    scores = score(made.utterances, tokens, made.lengths, made.condition)
    above = scores > made.scores  # NaN is not
    return replace(
        made,
        tokens=np.where(above[:, None], tokens, made.tokens),
        scores=np.where(above, scores, made.scores).astype(np.float32),
    )


def stitched(
    samples: EpisodeBatch,
    chunks: FloatArray,
    *,
    columns: Sequence[str],
    token_streams: Sequence[str],
) -> IntArray:
    """Return in each chunk and stream the tokens of the sample that earned most there, (L,).

    Args:
        samples: Of one utterance.
        chunks: Shape (N, C, S), what each sample earned.
        columns: Names of the S columns. What the whole face earned counts for every stream; tokens
            of a stream of which neither says anything are those of the sample of highest score.
        token_streams: Stream of each token of a chunk.
    """
    n_slots, width = len(token_streams), samples.tokens.shape[1]
    tokens = samples.tokens.reshape(len(samples), width // n_slots, n_slots).copy()
    made = tokens[0].copy()
    earned = chunks[:, : tokens.shape[1]]
    for stream in dict.fromkeys(token_streams):
        told = [number for number, name in enumerate(columns) if name in (stream, WHOLE_FACE)]
        slots = np.flatnonzero(np.array(token_streams) == stream)
        if told:
            best = earned[:, :, told].sum(axis=2).argmax(axis=0)  # (C,)
        else:
            best = np.full(tokens.shape[1], samples.scores.argmax())
        made[:, slots] = tokens[best, np.arange(tokens.shape[1])][:, slots]
    flat: IntArray = made.reshape(-1)
    return flat


def rows_of(batch: EpisodeBatch, rows: IntArray) -> EpisodeBatch:
    """Return the episodes `rows` of `batch`, padding kept."""
    return _changed(batch, lambda array: array[rows])


def joined(first: EpisodeBatch, second: EpisodeBatch) -> EpisodeBatch:
    """Return the episodes of both, padded to the longest of them; scores by stream are left out."""
    width = max(first.tokens.shape[1], second.tokens.shape[1])

    def padded(batch: EpisodeBatch, name: str) -> Any:
        array = getattr(batch, name)
        if name == "monitored" and array is None:
            array = batch.scores
        if name not in ("tokens", *PER_TOKEN):
            return array
        missing = ((0, 0), (0, width - array.shape[1]))
        return np.pad(array, missing, constant_values=-1 if name == "tokens" else 0)

    names = ("utterances", "condition", "tokens", "lengths", "scores", "monitored", *PER_TOKEN)
    both: dict[str, Any] = {
        name: np.concatenate([padded(first, name), padded(second, name)]) for name in names
    }
    return EpisodeBatch(**both)


def marked(batch: EpisodeBatch, targets: BoolArray) -> EpisodeBatch:
    """Return `batch` with advantage 1 at all tokens of the episodes `targets` (N,), else 0."""
    return replace(batch, advantages=(batch.inside & targets[:, None]).astype(np.float32))


def _columns(env: Any) -> tuple[str, ...]:
    try:
        function = find_in_env(env, "reward_function")
    except ValueError:
        return ()
    return tuple(getattr(function, "chunk_streams", ()))


def _changed(batch: EpisodeBatch, change: Callable[[Any], Any]) -> EpisodeBatch:
    names = ("utterances", "condition", "tokens", "lengths", "scores", *PER_TOKEN)
    changed = {name: change(getattr(batch, name)) for name in names}
    changed["stream_scores"] = {name: change(each) for name, each in batch.stream_scores.items()}
    changed["monitored"] = None if batch.monitored is None else change(batch.monitored)
    return replace(batch, **changed)
