"""Survey of the wrappers around an environment: which must be played, and which are refused.

Sequence algorithms write whole utterances and score them in one batch, past `step` and `reset`.
Wrappers that would change or note something there are honoured all the same: episodes are then
played through those around single environments (`agents.rollout.playing`), and what came of it is
shown to Stable-Baselines3's, step by step. What cannot be honoured is refused by name. A wrapper
that has `score_tokens` itself is asked in place of all that it wraps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecCheckNan,
    VecEnv,
    VecEnvWrapper,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
    VecVideoRecorder,
)

from esarm_env.core.errors import InputError

SCORES = "score_tokens"
_NEUTRAL = (OrderEnforcing, PassiveEnvChecker)
_OBSERVERS = (VecFrameStack, VecExtractDictObs, VecTransposeImage)
_METHODS = ("step", "reset")
_VEC_METHODS = ("step", "step_async", "step_wait", "reset")
# What decides about episodes and scores; wrappers known to us have nothing of these names.
_OF_THE_ENVIRONMENT = (
    *("reward_function", "reward", "sequence_task", "task", "run", "corpus", "split", "sampling"),
    *("max_duration_s", "metrics", "reward_timing"),
)
# Their wrappers hand seeds and options of `reset` on as they are.
_PASSES_OPTIONS = ("gymnasium.", "stable_baselines3.", "esarm_env.")


@dataclass(frozen=True)
class Wrapping:
    """What lies between a sequence algorithm and its environments, as far as it matters.

    Attributes:
        inner: Names of what must be played, around single environments.
        outer: Names of the `VecEnvWrapper`s that must see every step.
        chooses: Whether one of `inner` may choose utterances or conditions in its `reset`.
        monitors: Plain monitors of each environment, which need no playing.
    """

    inner: tuple[str, ...] = ()
    outer: tuple[str, ...] = ()
    chooses: bool = False
    monitors: tuple[tuple[Any, ...], ...] = field(default=(), compare=False)

    @property
    def names(self) -> str:
        """All that must be played or shown, for messages."""
        return ", ".join(f"`{name}`" for name in (*self.inner, *self.outer))


def survey(env: VecEnv, *, longest: int) -> Wrapping:
    """Find out which wrappers of `env` must be played.

    Args:
        env: As a sequence algorithm has it.
        longest: Tokens of its longest utterance.

    Raises:
        InputError: If one can be neither left aside nor honoured; the message names it.
    """
    outer, base = _outer(env)
    if base is None:
        return Wrapping(outer=outer)
    _check_own_methods(base)
    if isinstance(base, DummyVecEnv):
        return _survey_inner(env, base, outer, longest=longest)
    if isinstance(base, SubprocVecEnv):
        return Wrapping(inner=_inner_of_processes(base), outer=outer)
    vector_env = getattr(base, "vector_env", None)
    if isinstance(vector_env, VectorEnv):
        _check_vector_env(vector_env, longest=longest)
    _check_keywords(env)
    return Wrapping(outer=outer)


def _outer(env: VecEnv) -> tuple[tuple[str, ...], VecEnv | None]:
    """Return the names of `VecEnvWrapper`s that must see every step, and what they wrap.

    It is None if one of them gives scores itself.
    """
    names: list[str] = []
    while isinstance(env, VecEnvWrapper):
        if hasattr(type(env), SCORES) or SCORES in vars(env):
            return tuple(names), None
        _check_set(env)
        if _must_see(env) or _assigned(env, _VEC_METHODS):
            names.append(type(env).__name__)
        env = env.venv
    return tuple(names), env


def _must_see(env: VecEnvWrapper) -> bool:
    name = type(env).__name__
    if isinstance(env, VecNormalize) and env.norm_obs:
        keys = list(env.norm_obs_keys or ())
        raise _refusal(
            f"`{name}` that normalises {keys}",
            "sequence algorithms hear the audio as the task has it; pass `norm_obs=False`. Stock "
            'algorithms take `norm_obs_keys=["audio"]`',
        )
    if isinstance(env, _OBSERVERS):
        remedy = "sequence algorithms keep the whole sequence by themselves; leave it out"
        raise _refusal(f"`{name}`, which changes observations", remedy)
    if isinstance(env, VecVideoRecorder):
        remedy = "roll-outs are not drawn; record an environment that `evaluate_policy` plays"
        raise _refusal(f"`{name}`", remedy)
    if type(env) is VecNormalize:
        return env.norm_reward
    if type(env) is VecMonitor:
        return env.results_writer is not None
    return type(env) is not VecCheckNan


def _survey_inner(
    env: VecEnv, base: DummyVecEnv, outer: tuple[str, ...], *, longest: int
) -> Wrapping:
    _check_alike(base)
    names: dict[str, None] = {}
    monitors: list[tuple[Any, ...]] = []
    chooses = False
    for one in base.envs:
        layers = list(_layers(one, longest=longest))
        monitors.append(tuple(each for each in layers if is_plain_monitor(each)))
        played = [each for each in layers if not is_plain_monitor(each)]
        names |= dict.fromkeys(type(each).__name__ for each in played)
        chooses = chooses or any(_may_choose(each) for each in played)
    if not names and _asks_for_infos(env):
        names["VecMonitor"] = None  # only who plays gets infos
    return Wrapping(tuple(names), outer, chooses, tuple(monitors))


def _check_alike(base: DummyVecEnv) -> None:
    """Check that all environments score the same way: the first one's scores are for all."""
    first = base.envs[0].unwrapped
    for number, env in enumerate(base.envs[1:], start=1):
        other = env.unwrapped
        unlike = [name for name in _SHARED if _shown(first, name) != _shown(other, name)]
        if unlike:
            raise InputError(
                f"`env` must hold environments of one task and reward, got another "
                f"{' and '.join(unlike)} in environment {number}; train on one kind at a time"
            )


# By attribute, what decides about scores and utterances.
_SHARED = ("reward_function", "utterances", "metric_units")


def _shown(env: Any, name: str) -> str:
    """Return what can be compared of an attribute; rewards go by their names."""
    value = getattr(env, name, None)
    return str(getattr(value, "name", None) or getattr(value, "tolist", lambda: value)())


def _layers(env: gymnasium.Env[Any, Any], *, longest: int) -> Iterator[gymnasium.Env[Any, Any]]:
    """Yield what must be played or told of episodes, from the outermost on."""
    while isinstance(env, gymnasium.Wrapper):
        if hasattr(type(env), SCORES) or SCORES in vars(env):
            return
        _check_set(env)
        limit = getattr(env, "_max_episode_steps", None) if isinstance(env, TimeLimit) else None
        if limit is not None and limit < longest:
            raise _refusal(
                f"`TimeLimit` of {limit} steps",
                f"it cuts episodes of up to {longest} tokens off before their score; "
                "`max_duration_s` leaves long utterances out instead",
            )
        if type(env) not in (*_NEUTRAL, TimeLimit) or _assigned(env):
            yield env
        env = env.env
    if overrides_episodes(type(env)) or _assigned(env):
        yield env


def is_plain_monitor(env: Any) -> bool:
    """Return whether `env` is a `Monitor` that notes nothing but returns, lengths and times."""
    plain = type(env) is Monitor and not env.info_keywords and not env.reset_keywords
    return plain and not _assigned(env)


def _assigned(env: Any, methods: tuple[str, ...] = _METHODS) -> list[str]:
    """Return which `methods` were assigned to this very object, over those of its class."""
    return [name for name in methods if name in vars(env)]


def _check_own_methods(base: VecEnv) -> None:
    """Check that the `VecEnv` itself, whose `step` is not called, has none of its own."""
    own = _assigned(base, _VEC_METHODS)
    for kind in (DummyVecEnv, SubprocVecEnv):
        if isinstance(base, kind):
            methods = ((name, getattr(type(base), name)) for name in _VEC_METHODS)
            own += [name for name, method in methods if method is not getattr(kind, name)]
    if own:
        raise _refusal(
            f"`{type(base).__name__}` with a `{own[0]}` of its own",
            "put it into a `VecEnvWrapper`, or into a wrapper of each environment",
        )


def _check_set(env: Any) -> None:
    """Check that nothing was set on a wrapper that was meant for the environment within.

    `VecEnv.set_attr` sets it on the outermost wrapper of each environment, where nobody reads it.
    """
    kind = type(env)
    known = kind.__module__.startswith(_PASSES_OPTIONS)
    found = [name for name in _OF_THE_ENVIRONMENT if name in vars(env)] if known else []
    if found:
        raise InputError(
            f"`{found[0]}` must be set on the environment itself, got it on the wrapper "
            f"`{kind.__name__}` round it (as `VecEnv.set_attr` does), where it has no effect; use "
            f"`env_method('set_wrapper_attr', '{found[0]}', ...)` before, which finds its owner"
        )


def overrides_episodes(kind: type, methods: tuple[str, ...] = _METHODS) -> bool:
    """Return whether a subclass has other `methods` than the class that gives its scores."""
    for each in kind.__mro__:
        if SCORES in vars(each):
            return False
        if set(methods) & vars(each).keys():
            return True
    return False


def _may_choose(env: gymnasium.Env[Any, Any]) -> bool:
    if _assigned(env, ("reset",)):
        return True
    if isinstance(env, gymnasium.Wrapper):
        return not type(env).reset.__module__.startswith(_PASSES_OPTIONS)
    return overrides_episodes(type(env), ("reset",))


def _inner_of_processes(base: SubprocVecEnv) -> tuple[str, ...]:
    """Return what must be played in other processes, of which only names are known."""
    known = {kind.__name__ for kind in (*_NEUTRAL, Monitor)}
    found: dict[str, None] = {}
    for text in base.env_method("__str__"):
        # `<Outer<Inner<...>>>`, as Gymnasium writes wrappers; the last is the environment itself.
        names = [name for name in str(text).replace(">", "").split("<") if name]
        n_wrappers = len(names) - (1 if " " in names[-1] else 2)  # `Env instance` or `Env<id>`
        found |= dict.fromkeys(names[:n_wrappers])
    others = [name for name in found if name not in known]
    if others:
        listed = ", ".join(f"`{name}`" for name in others)
        raise _refusal(f"{listed} in other processes", "use `DummyVecEnv`")
    return ("Monitor",) if "Monitor" in found else ()


def _check_vector_env(env: VectorEnv[Any, Any, Any], *, longest: int) -> None:
    """Check that nothing around or within a vector environment would be passed over."""
    remedy = "wrap single environments in a `DummyVecEnv`, or the `VecEnv` in a `VecEnvWrapper`"
    while isinstance(env, VectorWrapper):
        if hasattr(type(env), SCORES) or SCORES in vars(env):
            return
        if not type(env).__module__.startswith("esarm_env.") or _assigned(env):
            raise _refusal(f"`{type(env).__name__}` around a vector environment", remedy)
        env = env.env
    if isinstance(env, SyncVectorEnv):
        layers = [each for one in env.envs for each in _layers(one, longest=longest)]
        if layers:
            raise _refusal(f"`{type(layers[0]).__name__}` in a `SyncVectorEnv`", remedy)
    elif overrides_episodes(type(env)) or _assigned(env):
        raise _refusal(f"`{type(env).__name__}` with a `step` or `reset` of its own", remedy)


def _asks_for_infos(env: VecEnv) -> list[str]:
    """Return the `info_keywords` of a `VecMonitor` with a file."""
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, VecMonitor) and env.results_writer and env.info_keywords:
            return list(env.info_keywords)
        env = env.venv
    return []


def _check_keywords(env: VecEnv) -> None:
    """Check that nobody asks for infos of a vector environment, which is not played."""
    keywords = _asks_for_infos(env)
    if keywords:
        raise _refusal(
            f"`VecMonitor` with a file and `info_keywords` {keywords}",
            "roll-outs are scored without metrics; leave them out, or use `DummyVecEnv`",
        )


def _refusal(what: str, remedy: str) -> InputError:
    return InputError(
        f"`env` must have no wrapper that a sequence algorithm cannot honour, got {what}: {remedy}"
    )
