"""What a reward returns is checked before anybody learns from it; a failure names the culprit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from esarm_env.types import FloatArray, RewardFunction, Trajectories

Ids = Callable[[], list[str]]  # asked for only to say who failed: most episodes do not

_NAMED = 3  # utterances that a message about a whole batch names


class RewardError(RuntimeError):
    """A reward failed, or returned what is no score; the message names it and the utterance."""


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
        values = _as_array(function.score(trajectories))
    except Exception as error:
        raise _failure(name, function, trajectories, ids(), error) from error
    n = len(trajectories)
    if values.shape != (n,):
        raise RewardError(
            f"reward {name!r} must return shape ({n},), got {values.shape} for {_list(ids())}"
        )
    if values.dtype.kind not in "iuf":
        raise RewardError(
            f"reward {name!r} must return numbers, got {values.dtype} for {_list(ids())}"
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


def _as_array(values: Any) -> np.ndarray:
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
    blamed, shown = _list(ids), error
    for row in range(len(ids) if len(ids) > 1 else 0):
        try:
            _as_array(function.score(trajectories[row : row + 1]))
        except Exception as alone:
            blamed, shown = repr(ids[row]), alone
            break
    return RewardError(
        f"reward {name!r} must not raise, got {type(shown).__name__} for {blamed}: {shown}"
    )


def _list(ids: list[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(repr(each) for each in ids[:_NAMED]) + more
