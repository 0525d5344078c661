"""Frequencies of callbacks that can never fire: warned of before training, with both numbers.

Stable-Baselines3's callbacks count their calls (`n_calls`) or the algorithm's steps
(`num_timesteps`), and say nothing where training ends before the first time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    EventCallback,
    EveryNTimesteps,
)

# Attributes by which callbacks, SB3's and W&B's, say how many calls are between two times.
_FREQUENCIES = ("eval_freq", "save_freq", "model_save_freq")


class CallbackFrequencyWarning(UserWarning):
    """A callback waits for more steps than training will take."""


@dataclass(frozen=True)
class Plan:
    """What a call of `learn` will come to.

    Attributes:
        calls: How often callbacks are called.
        call: What a call is, for instance `token`.
        before: Steps (`num_timesteps`) before it.
        steps: Steps that it will take.
    """

    calls: int
    call: str
    before: int
    steps: int


@dataclass(frozen=True)
class _Wait:
    """A callback's setting, how much it waits for, and how much there will be."""

    owner: str
    name: str
    value: int
    left: int
    there: int
    unit: str


def warn_of_frequencies(callback: BaseCallback, plan: Plan) -> None:
    """Warn of every callback in `callback` that waits for more than `plan` holds."""
    for wait in _waits(callback, plan) if plan.steps > 0 else ():
        if wait.left > wait.there:
            since = "" if wait.left == wait.value else f", of which {wait.left} are left,"
            warnings.warn(
                f"`{wait.name}` of {wait.owner} is {wait.value} {wait.unit}{since} and this call "
                f"of `learn` makes about {wait.there}: it never fires; lower it, or raise "
                "`total_timesteps`",
                CallbackFrequencyWarning,
                stacklevel=2,
            )


def _waits(callback: BaseCallback, plan: Plan) -> Iterator[_Wait]:
    """Yield the settings of a callback and of those that it calls."""
    if isinstance(callback, CallbackList):
        for each in callback.callbacks:
            yield from _waits(each, plan)
        return
    owner, fired = type(callback).__name__, None
    if isinstance(callback, EveryNTimesteps):
        value, at = callback.n_steps, callback.last_time_trigger + callback.n_steps
        yield _Wait(owner, "n_steps", value, max(0, at - plan.before), plan.steps, "steps")
        fired = (plan.before + plan.steps - callback.last_time_trigger) // max(1, value)
    for name in _FREQUENCIES:
        every: object = getattr(callback, name, None)
        if isinstance(every, int) and not isinstance(every, bool) and every > 0:
            unit = f"calls (one per {plan.call})"
            yield _Wait(owner, name, every, every - callback.n_calls % every, plan.calls, unit)
            fired = plan.calls // every
    if isinstance(callback, EventCallback) and callback.callback is not None and fired:
        called = replace(plan, calls=fired, call=f"event of {owner}")
        yield from _waits(callback.callback, called)
