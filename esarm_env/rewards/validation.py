"""Validation of what a reward returns: scores, and scores by stream of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.types import STREAMS, FloatArray, RewardFunction, StreamedReward, Trajectories

if TYPE_CHECKING:
    pass

Ids = Callable[[], list[str]]  # asked for only to say who failed: most episodes do not

_NAMED = 3  # utterances that a message about a whole batch names


class RewardError(RuntimeError):
    """A reward failed, or returned what is no score; the message names it and the utterance."""


class RewardServerError(RewardError):
    """A server that scores failed for a whole batch, whichever the utterances are."""


def checked_scores(
    name: str, function: RewardFunction, trajectories: Trajectories, ids: Ids
) -> FloatArray:
    """Return what `function` makes of `trajectories`, shape (N,), float32, a fresh array.

    Args:
        name: What messages call the reward.
        function: May return anything numpy reads as N numbers, also a tensor.
        trajectories: At least one.
        ids: Returns the utterance's id per trajectory.

    Raises:
        RewardError: If it raises, or does not return N finite numbers.
    """
    try:
        values = as_array(function.score(trajectories))
    except RewardServerError:  # asked for each alone, a server that is gone is waited for N times
        raise
    except Exception as error:
        raise _failure(name, function, trajectories, ids(), error) from error
    n = len(trajectories)
    if values.shape != (n,):
        raise RewardError(
            f"reward {name!r} must return shape ({n},), got {values.shape} for {listed(ids())}"
        )
    if values.dtype.kind not in "iuf":
        raise RewardError(
            f"reward {name!r} must return numbers, got {values.dtype} for {listed(ids())}"
        )
    return finite_scores(name, values, ids)


def finite_scores(name: str, values: np.ndarray, ids: Ids) -> FloatArray:
    """Return `values`, shape (N,), as a fresh float32 array.

    Raises:
        RewardError: If one is not finite, or too large for float32.
    """
    if values.dtype == np.float32:
        scores: FloatArray = values.copy()
    else:
        with np.errstate(over="ignore"):
            scores = values.astype(np.float32)
    finite = np.isfinite(scores)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        more = f" (and for {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise RewardError(
            f"reward {name!r} must be finite, got {values[bad[0]]} for {ids()[bad[0]]!r}{more}"
        )
    return scores


def as_array(values: Any) -> np.ndarray:
    """Return what a reward gave as an array."""
    if hasattr(values, "detach"):  # a tensor, maybe with gradients or on another device
        values = values.detach().cpu()
    return np.asarray(values)


def _failure(
    name: str,
    function: RewardFunction,
    trajectories: Trajectories,
    ids: list[str],
    error: Exception,
) -> RewardError:
    """Return the error to raise: scoring one by one finds the first utterance at fault."""
    blamed, shown = listed(ids), error
    for row in range(len(ids) if len(ids) > 1 else 0):
        try:
            as_array(function.score(trajectories[row : row + 1]))
        except Exception as alone:
            blamed, shown = repr(ids[row]), alone
            break
    return RewardError(
        f"reward {name!r} must not raise, got {type(shown).__name__} for {blamed}: {shown}"
    )


def listed(ids: list[str]) -> str:
    """Return the first utterances of a batch, for a message about all of it."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(repr(each) for each in ids[:_NAMED]) + more


StreamScores = dict[str, FloatArray]

TOLERANCE = 1e-4  # relative: float32 terms that were added up in another order


def streams_of(function: RewardFunction) -> tuple[str, ...]:
    """Return the streams that a reward can score apart; empty where it cannot.

    A reward with `score_streams` and without `streams` is of the old kind, which works for one
    version with a warning.
    """
    streams = getattr(function, "streams", None)
    if streams is not None:
        return tuple(streams)
    if not hasattr(function, "score_streams"):
        return ()
    from esarm_env.core.deprecation import warn_renamed

    kind = type(function).__name__
    warn_renamed(f"{kind} with score_streams alone", 'streams = ("mouth", "upper") beside it')
    return STREAMS  # all that there were


def checked_streams(
    name: str, function: StreamedReward, trajectories: Trajectories, scores: FloatArray, ids: Ids
) -> StreamScores:
    """Return what `function` makes of each stream, (N,) each, float32.

    Args:
        name: What messages call the reward.
        function: May return anything numpy reads as N numbers.
        trajectories: At least one.
        scores: Shape (N,), what it scores them with.
        ids: Returns the utterance's id per trajectory.

    Raises:
        RewardError: If a stream does not have N finite numbers, or they do not add up to `scores`.
    """
    streams: StreamScores = {}
    for stream, values in function.score_streams(trajectories).items():
        array = np.asarray(values)
        if array.shape != scores.shape:
            raise RewardError(
                f"reward {name!r} must return shape {scores.shape} for stream {stream!r}, "
                f"got {array.shape}"
            )
        streams[stream] = finite_scores(f"{name}[{stream}]", array, ids)
    total = np.zeros(len(scores))
    for share in streams.values():
        total += share
    off = np.abs(total - scores)
    if (off > TOLERANCE * (1 + np.abs(scores))).any():
        row = int(off.argmax())
        raise RewardError(
            f"the streams of reward {name!r} must add up to its score {scores[row]}, "
            f"got {total[row]} for {ids()[row]!r}"
        )
    return streams
