"""Credit by chunk: a token answers for what its chunk and those after it earned, not for it all.

A reward that tells chunks apart pays each of them; a token then gets its chunk's reward-to-go
instead of the score of the whole animation, and is compared with the same chunk of the utterance's
other samples. What was earned before a token could change anything is noise to it (Williams 1992;
Greensmith et al. 2004, JMLR 5). What its decoder joins is not: a token also moves the frames of the
`look_ahead` chunks before its own.

Shape letters: N episodes, L tokens, C chunks, S columns of scores by chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.common.checks import check_shares
from agents.protocols import find_in_env
from esarm_env.core.errors import InputError
from esarm_env.core.types import WHOLE_FACE, DoubleArray

if TYPE_CHECKING:
    from agents.protocols import FloatArray, IntArray
    from agents.rollout.buffer import EpisodeBatch

TERMINAL, CHUNK = "terminal", "chunk"
CREDITS = (TERMINAL, CHUNK)


@dataclass(frozen=True)
class ChunkCredit:
    """What a token answers for.

    Attributes:
        discount: By which what later chunks earn counts less, in [0, 1].
        look_ahead: Chunks before its own that a token changes, too, and answers for in full.
        by_stream: Whether it answers for its own stream (and the whole face) alone.
    """

    discount: float
    look_ahead: int
    by_stream: bool


def check_credit(credit: str, chunk_discount: float, look_ahead_chunks: int) -> None:
    """Check the settings of credit.

    Raises:
        ValueError: If one is out of range.
    """
    if credit not in CREDITS:
        raise ValueError(f"`credit` must be one of {', '.join(CREDITS)}, got {credit!r}")
    check_shares(chunk_discount=chunk_discount)
    whole = isinstance(look_ahead_chunks, int | np.integer)
    if not whole or isinstance(look_ahead_chunks, bool) or look_ahead_chunks < 0:
        raise ValueError(
            f"`look_ahead_chunks` must be a whole number of at least 0, got {look_ahead_chunks!r}"
        )


def check_chunks(env: Any, *, by_stream: bool) -> None:
    """Check that the reward of `env` tells chunks apart, and streams if so asked for.

    Raises:
        InputError: If it does not; the message says what else to do.
    """
    try:
        columns = tuple(find_in_env(env, "reward_chunk_streams"))
    except ValueError:
        columns = ()
    if not columns:
        raise InputError(
            "`credit` must be 'terminal' where the reward cannot tell chunks apart "
            f"(`chunk_streams`), got {CHUNK!r} and {env} whose reward has none; choose one that "
            "has, such as `learned` or `accuracy`, or leave `credit` out"
        )
    if not by_stream:
        return
    streams = getattr(find_in_env(env, "sequence_task"), "token_streams", ())
    unknown = [name for name in columns if name not in (*streams, WHOLE_FACE)]
    if unknown or not set(columns) & set(streams):
        raise InputError(
            "`stream_advantages` must be False where the chunks of a reward do not tell the "
            f"streams of the task apart, {sorted(set(streams))}, got True and {columns}"
        )


# By setting: its value that needs no parts of a score, the one that does, and which parts.
_ASKS_FOR = {
    "credit": ("'terminal'", "'chunk'", "chunks"),
    "stream_advantages": ("False", "True", "streams"),
    "normalise_terms": ("False", "True", "terms"),
}


def check_parts(
    env: Any, names: str, credit: str, stream_advantages: bool, normalise_terms: bool
) -> None:
    """Check that wrappers leave each part of a score that the settings ask for; see below.

    Args:
        env: An SB3 `VecEnv`.
        names: Of wrappers that must be played, which may change the score.
        credit: Of the algorithm, as are the other two.
        stream_advantages: Likewise.
        normalise_terms: Likewise.

    Raises:
        InputError: As of `check_wrappers`.
    """
    asked = {
        "credit": credit == CHUNK,
        "stream_advantages": stream_advantages and credit != CHUNK,
        "normalise_terms": normalise_terms,
    }
    for setting in (name for name, is_asked in asked.items() if is_asked):
        check_wrappers(env, names, setting=setting)


def check_wrappers(env: Any, names: str, *, setting: str) -> None:
    """Check that the parts of a score that a setting asks for are those of the score that is paid.

    Args:
        env: An SB3 `VecEnv`.
        names: Of wrappers that must be played, which may change the score.
        setting: `credit`, `stream_advantages` or `normalise_terms`.

    Raises:
        InputError: If wrappers change it, or one gives `score_tokens`, but not its parts.
    """
    rule, got, parts = _ASKS_FOR[setting]
    if names:
        raise InputError(
            f"`{setting}` must be {rule} where wrappers may change the score, of which they know "
            f"no {parts}, got {got} and {names}"
        )
    # Whoever has `score_tokens` is asked in place of what it wraps.
    methods = ("score_tokens", f"score_{parts}")
    whole, apart = (getattr(find_in_env(env, name), "__self__", None) for name in methods)
    if type(whole) is not type(apart):
        raise InputError(
            f"`{setting}` must be {rule} where a wrapper has `score_tokens` and no "
            f"`score_{parts}` of its own, got {got} and `{type(whole).__name__}`"
        )


def rewards_to_go(rewards: FloatArray, *, discount: float, look_ahead: int) -> DoubleArray:
    """Return the reward-to-go of every chunk, as `rewards` (N, C).

    That of chunk c is the sum over k of `discount ** max(0, k - c) * rewards[:, k]`, from chunk
    c - `look_ahead` on.
    """
    wide = rewards.astype(np.float64)
    to_go = np.zeros((len(wide), wide.shape[1] + 1))
    for chunk in reversed(range(wide.shape[1])):
        to_go[:, chunk] = wide[:, chunk] + discount * to_go[:, chunk + 1]
    earlier = [wide[:, : max(0, wide.shape[1] - back)] for back in range(1, look_ahead + 1)]
    for back, before in enumerate(earlier, start=1):
        to_go[:, back : back + before.shape[1]] += before
    return to_go[:, :-1]


def of_chunk(
    batch: EpisodeBatch, rows: IntArray, places: IntArray, to_go: FloatArray
) -> EpisodeBatch:
    """Return `rows` of `batch` as if they held nothing but the tokens at `places`.

    Args:
        batch: Whole episodes.
        rows: Those that have the chunk.
        places: Columns of the chunk's tokens, of one stream or of all.
        to_go: Shape (rows,), what they are scored with.
    """
    per_token = ("tokens", "log_probs", "values", "advantages", "returns")
    per_episode = ("utterances", "condition")
    return replace(
        batch,
        **{name: getattr(batch, name)[np.ix_(rows, places)] for name in per_token},
        **{name: getattr(batch, name)[rows] for name in per_episode},
        lengths=np.full(len(rows), len(places), dtype=np.int64),
        scores=to_go.astype(np.float32),
        stream_scores={},
        chunk_scores=None,
        chunk_streams=(),
        distances=None,
        monitored=None,
    )


def filled_by_chunk(
    batch: EpisodeBatch,
    token_streams: tuple[str, ...],
    credit: ChunkCredit,
    fill: Callable[[EpisodeBatch], EpisodeBatch],
) -> EpisodeBatch:
    """Return `batch` with advantages and returns of each chunk as `fill` gives them.

    Args:
        batch: Whole episodes with scores by chunk.
        token_streams: Stream of each slot of a chunk.
        credit: What a token answers for.
        fill: Returns its episodes with advantages and returns. They hold one chunk (of one stream
            with `credit.by_stream`), and its reward-to-go as their score.
    """
    assert batch.chunk_scores is not None, "asked for when they were written"
    slots_of = np.array(token_streams)
    advantages, returns = np.zeros_like(batch.advantages), np.zeros_like(batch.returns)
    for stream in dict.fromkeys(token_streams) if credit.by_stream else (None,):
        slots = np.flatnonzero(slots_of == stream) if stream else np.arange(len(slots_of))
        paid = [name in (stream, WHOLE_FACE) or stream is None for name in batch.chunk_streams]
        earned = batch.chunk_scores[:, :, paid].sum(axis=2, dtype=np.float64)  # (N, C)
        to_go = rewards_to_go(earned, discount=credit.discount, look_ahead=credit.look_ahead)
        for chunk in range(to_go.shape[1]):
            places = chunk * len(slots_of) + slots
            rows = np.flatnonzero(batch.lengths > places[0])
            part = of_chunk(batch, rows, places, to_go[rows, chunk])
            filled = fill(replace(part, stream=stream, chunk=chunk))
            cells = np.ix_(rows, places)
            advantages[cells], returns[cells] = filled.advantages, filled.returns
    return replace(batch, advantages=advantages, returns=returns)
