"""What a reward returns is checked before anybody learns from it; a failure names the culprit."""

from __future__ import annotations

from typing import Any

import numpy as np

from esarm_env.types import FloatArray, RewardFunction, Trajectories

_NAMED = 3  # utterances that a message about a whole batch names


class RewardError(RuntimeError):
    """A reward failed, or returned what is no score; the message names it and the utterance."""


def checked_scores(
    name: str, function: RewardFunction, trajectories: Trajectories, ids: list[str]
) -> FloatArray:
    """Return what `function` makes of `trajectories`, shape (N,), float32, a fresh array.

    Args:
        name: What messages call the reward.
        function: May return anything numpy reads as N numbers, also a tensor.
        trajectories: At least one.
        ids: The utterance's id per trajectory.

    Raises:
        RewardError: If it raises, or does not return N finite numbers.
    """
    try:
        values = _as_array(function.score(trajectories))
    except Exception as error:
        raise _failure(name, function, trajectories, ids, error) from error
    if values.shape != (len(ids),):
        raise RewardError(
            f"reward {name!r} must return shape ({len(ids)},), got {values.shape} for {_list(ids)}"
        )
    if values.dtype.kind not in "iuf":
        raise RewardError(
            f"reward {name!r} must return numbers, got {values.dtype} for {_list(ids)}"
        )
    with np.errstate(over="ignore"):
        scores = np.array(values, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        more = f" (and for {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise RewardError(
            f"reward {name!r} must be finite, got {values[bad[0]]} for {ids[bad[0]]!r}{more}"
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
