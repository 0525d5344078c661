"""Checks of what a checkpoint holds, made before anything is built from it: a file is a stranger's.

Settings and counters by name, with the rule of each; the sizes of the policy against the weights
that the file has; and weights and optimiser states against those of a fresh policy.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

import numpy as np
from stable_baselines3.common import utils
from stable_baselines3.common.policies import BaseModel
from torch import Tensor, nn

from agents.common.plain_data import SCHEDULES
from agents.network.acceleration import Acceleration
from agents.network.transformer import DISTANCES
from esarm_env.core.errors import InputError
from esarm_env.core.training import states
from esarm_env.core.training.states import broken, is_number

Rule = tuple[str, Callable[[Any], bool]]
LARGEST = 2**53  # counts beyond are rounded wherever they meet a float
_METHODS = (FunctionType, classmethod, staticmethod, property)
_MADE_ANEW = (
    *("env", "policy", "device", "rollout_buffer", "reference", "kept", "_logger", "trainer"),
    "collector",
)


def check_values(algorithm: type, values: Mapping[str, Any], *, label: str) -> None:
    """Check attributes that a file, or a caller of `load`, gives an algorithm.

    Args:
        algorithm: Its class, whose methods no attribute may replace.
        values: Attributes by name; those with a name that is not known here are left to it.
        label: Of the file, for messages.

    Raises:
        InputError: If a value breaks the rule of its name.
    """
    for name, value in values.items():
        is_method = isinstance(inspect.getattr_static(algorithm, name, None), _METHODS)
        if is_method and not callable(value):
            raise broken(label, name, f"left out: {algorithm.__name__} has a method of it", value)
        if name in _MADE_ANEW and _is_plain(value):
            raise broken(label, name, "left out: `load` makes it", value)
        if name in _RULES:
            rule, holds = _RULES[name]
            if not holds(value):
                raise broken(label, name, rule, value)


def check_learning_rate(value: Any) -> None:
    """Check a learning rate: a number, or a schedule whose numbers are checked where we know it.

    Raises:
        InputError: If it is neither.
    """
    if not _is_rate(value):
        raise InputError(f"`learning_rate` must be {_RATE}, got {value!r}")


def check_policy(
    policy_class: type[BaseModel],
    arguments: tuple[Any, ...],
    settings: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    label: str,
) -> None:
    """Build a policy without memory, and check that it is no larger than its `weights`.

    Args:
        policy_class: A class of policies.
        arguments: Spaces and schedule.
        settings: All its other arguments.
        weights: Of the policy, by name.
        label: Of the file, for messages.

    Raises:
        InputError: If it outgrows them, or cannot be built.
    """
    from esarm_env.core.weights import OutgrownError, check_sizes

    def build(**sizes: Any) -> nn.Module:
        return policy_class(*arguments, **sizes)

    tensors = {key: each for key, each in weights.items() if isinstance(each, Tensor)}
    try:
        check_sizes(build, tensors, **settings)
    except OutgrownError as error:
        raise broken(label, "policy_kwargs", f"those of its weights, not {error}", settings) from (
            error
        )
    except Exception:
        # A policy of somebody's own may need numbers while it is built; ours fails as it did.
        try:
            build(**settings)
        except Exception as error:
            raise broken(label, "policy_kwargs", _reason(error), settings) from error


def attribute_of(algorithm: object, name: str) -> Any:
    """Return what `name`, with dots, stands for in an algorithm; None if there is no such."""
    try:
        return operator.attrgetter(name)(algorithm)
    except AttributeError:
        return None


def check_states(
    found: Mapping[str, Any], owners: Mapping[str, Any], *, exact: bool, label: str
) -> None:
    """Check state dicts against those of a fresh algorithm: names, shapes, and finite numbers.

    Args:
        found: State dicts by name, of a file.
        owners: Modules and optimisers by the same names.
        exact: Whether a module must have all of its weights, and no others.
        label: Of the file, for messages.

    Raises:
        InputError: If one does not fit.
    """
    # Files of before codes had distances lack these, and load as knowing none.
    states.check_states(found, owners, exact=exact, label=label, may_lack=(DISTANCES,))


def _reason(error: BaseException) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"what a policy can be built with ({type(error).__name__}: {first})"


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | list | tuple | dict | np.ndarray | Tensor)


def _is_count(value: Any, least: int = 0, most: int = LARGEST) -> bool:
    return isinstance(value, int | np.integer) and is_number(value, least, most)


def _is_rate(value: Any) -> bool:
    if type(value).__name__ in SCHEDULES and type(value).__module__ == utils.__name__:
        try:
            return all(is_number(value(left), 0, 1e30) for left in (1.0, 0.5, 0.0))
        except Exception:  # of whatever a file put into it
            return False
    return callable(value) or is_number(value, 0, 1e30)


def _counts(least: int = 0, most: int = LARGEST) -> Rule:
    if most == LARGEST:
        return f"a whole number of at least {least}", lambda value: _is_count(value, least)
    return f"a whole number from {least} to {most}", lambda value: _is_count(value, least, most)


def _numbers(rule: str, least: float = -math.inf, most: float = math.inf) -> Rule:
    return rule, lambda value: is_number(value, least, most)


def _kind(rule: str, kind: Any) -> Rule:
    return rule, lambda value: isinstance(value, kind)


def _or_none(rule: Rule) -> Rule:
    return f"{rule[0]}, or None", lambda value: value is None or rule[1](value)


def _is_mapping(value: Any, *, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and of(each) for key, each in value.items()
    )


def _are_episodes(value: Any) -> bool:
    """Return whether a buffer holds what the logger takes means of."""
    return isinstance(value, deque) and all(
        isinstance(each, int | float)
        or _is_mapping({key: each.get(key) for key in ("r", "l")}, of=is_number)
        if isinstance(each, int | float | Mapping)
        else False
        for each in value
    )


def _is_observation(value: Any) -> bool:
    parts: Iterable[Any] = value.values() if isinstance(value, Mapping) else [value]
    return all(isinstance(each, np.ndarray) for each in parts)


_RATE = "a finite number of at least 0, or a schedule of such"
_ABOVE_0 = _numbers("a number above 0", math.ulp(0.0))
_AT_LEAST_0 = _numbers("a number of at least 0", 0)
_SHARE = _numbers("a number from 0 to 1", 0, 1)
_BOOL = _kind("True or False", bool)
_RULES: dict[str, Rule] = {
    "learning_rate": (_RATE, _is_rate),
    "verbose": _counts(0, 2),
    "n_envs": _counts(1, 65_536),
    "seed": _or_none(_counts(0, 2**32 - 1)),
    "policy_kwargs": ("a mapping by text", lambda value: _is_mapping(value, of=lambda _: True)),
    "tensorboard_log": _or_none(_kind("the path of a folder", str)),
    "_stats_window_size": _counts(1, 10_000_000),
    "_current_progress_remaining": _SHARE,
    "ep_info_buffer": _or_none(("a deque of episodes with `r` and `l`", _are_episodes)),
    "ep_success_buffer": _or_none(("a deque of numbers", _are_episodes)),
    "_last_obs": _or_none(("arrays", _is_observation)),
    "_last_episode_starts": _or_none(("an array", _is_observation)),
    "acceleration": _kind("an `Acceleration`", Acceleration),
    "task_fingerprint": _or_none(
        ("a text by name", lambda value: _is_mapping(value, of=lambda each: isinstance(each, str)))
    ),
    "_moving_means": (
        "a finite number by name",
        lambda value: _is_mapping(value, of=lambda each: is_number(each, -1e300, 1e300)),
    ),
    **{
        name: _counts()
        for name in (
            *("num_timesteps", "_total_timesteps", "_num_timesteps_at_start", "_n_updates"),
            *("_episode_num", "n_iterations", "_untrained_timesteps", "value_warmup"),
            "look_ahead_chunks",
        )
    },
    "guard": _or_none(_kind("a text", str)),
    "guard_every": _counts(1),
    "guard_utterances": _counts(2),
    "stopped": _BOOL,
    **{name: _AT_LEAST_0 for name in ("caution", "guard_tolerance")},
    **{name: _counts(1) for name in ("n_steps", "n_episodes", "samples_per_utterance", "n_epochs")},
    "start_time": _numbers("a number of at least 0", 0),
    "batch_tokens": _or_none(_counts(1)),
    **{name: _SHARE for name in ("gamma", "gae_lambda", "chunk_discount")},
    **{name: _AT_LEAST_0 for name in ("vf_coef", "kl_coef", "max_grad_norm", "spread_coef")},
    "ent_coef": _numbers("a number"),
    **{name: _ABOVE_0 for name in ("clip_range", "temperature", "relaxation")},
    **{name: _or_none(_ABOVE_0) for name in ("reference_kl_target", "target_kl")},
    **{name: _kind("a text", str) for name in ("loss_mean", "baseline", "credit", "estimator")},
    **{name: _BOOL for name in ("stream_advantages", "normalise_terms")},
    **{name: _BOOL for name in ("_has_random_reference", "use_sde")},
}
