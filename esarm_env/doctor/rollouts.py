"""Seeded random roll-outs as streams of calls, so that two can be compared while they run."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from esarm_env.doctor.check import AnyEnv, AnyVectorEnv, CheckFailed
from esarm_env.doctor.comparison import differences

LONGEST = 2_000  # steps after which an episode that does not end is left
_STEP_KEYS = ("obs", "reward", "terminated", "truncated", "info")


@dataclass(frozen=True)
class Call:
    """Record of one call of `reset` or `step`.

    Attributes:
        name: For messages, such as `step 3 of episode 2`.
        returned: What it returned, under the names of the documentation.
        ended: Whether the episode is over; shape (num_envs,) for vector environments.
        action: What `step` was given; None for `reset`.
    """

    name: str
    returned: dict[str, Any]
    ended: Any
    action: Any = None


def rollout(
    env: AnyEnv, *, seed: int, options: Mapping[str, Any] | None = None, n_episodes: int = 1
) -> Iterator[Call]:
    """Play episodes with seeded random actions; only the first reset is seeded.

    An episode that has not ended after 2,000 steps is left.
    """
    actions = seeded(env.action_space, seed)
    for episode in range(n_episodes):
        of_episode = f" of episode {episode + 1}" if episode else ""
        given = None if options is None else dict(options)
        obs, info = env.reset(seed=None if episode else seed, options=given)
        yield Call(f"reset{of_episode}", {"obs": obs, "info": info}, False)
        for step in range(LONGEST):
            action = actions.sample()
            returned = dict(zip(_STEP_KEYS, env.step(action), strict=True))
            ended = bool(returned["terminated"] or returned["truncated"])
            yield Call(f"step {step + 1}{of_episode}", returned, ended, action)
            if ended:
                break


def vector_rollout(
    env: AnyVectorEnv, *, seed: int, mode: AutoresetMode, n_ends: int = 2
) -> Iterator[Call]:
    """Play until every environment has ended `n_ends` times, or for 2,000 steps.

    With `mode` DISABLED, those that end are reset through `reset_mask`.
    """
    actions = seeded(env.action_space, seed)
    obs, info = env.reset(seed=seed)
    yield Call("reset", {"obs": obs, "info": info}, np.zeros(env.num_envs, dtype=np.bool_))
    ends = np.zeros(env.num_envs, dtype=np.int64)
    for step in range(LONGEST):
        action = actions.sample()
        returned = dict(zip(_STEP_KEYS, env.step(action), strict=True))
        ended = np.logical_or(returned["terminated"], returned["truncated"])
        ends += ended
        yield Call(f"step {step + 1}", returned, ended, action)
        if ends.min() >= n_ends:
            break
        if mode is AutoresetMode.DISABLED and ended.any():
            obs, info = env.reset(options={"reset_mask": ended.copy()})
            name = f"reset of the ended after step {step + 1}"
            yield Call(name, {"obs": obs, "info": info}, np.zeros_like(ended))


def seeded(space: spaces.Space[Any], seed: int) -> spaces.Space[Any]:
    """Return a copy of `space`, seeded with `seed`."""
    copied = copy.deepcopy(space)
    copied.seed(seed)
    return copied


def expect_equal(
    ours: Iterator[Call],
    theirs: Iterator[Call],
    *,
    between: str,
    keys: tuple[str, ...] = _STEP_KEYS,
    tolerance: float = 0.0,
) -> list[Call]:
    """Compare two streams call by call; return the first of them.

    Args:
        ours: One stream.
        theirs: The other; it must be made by the same actions.
        between: What is compared, for the message: `two environments of equal seed`.
        keys: Which of the returned values count.
        tolerance: Of floats, but never of observations; see `differences`.

    Raises:
        CheckFailed: At the first difference; it names the call and the entry.
    """
    calls = []
    for one, other in zip(ours, theirs, strict=True):
        for key in keys:
            if key not in one.returned:
                continue
            found = differences(
                one.returned[key],
                other.returned[key],
                tolerance=0.0 if key == "obs" else tolerance,
                path=key,
            )
            if found:
                raise CheckFailed(f"{one.name} must be equal in {between}, got {found[0]}")
        calls.append(one)
    return calls
