"""Entry points of `ESARM-v0` for `gymnasium.make` and `gymnasium.make_vec`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict, cast

import gymnasium
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import VectorEnv

from esarm_env import wrappers
from esarm_env.core.errors import InputError
from esarm_env.envs.scalar import SpeechAnimationEnv
from esarm_env.envs.vector import SpeechAnimationVectorEnv
from esarm_env.wrappers import vector as vector_wrappers
from esarm_env.wrappers.observation import bounds, check_slim

ESARM_ID = "ESARM-v0"
SLIM = "slim"
_WRAPPERS = {"full_sequence": "FullSequenceObservation", "flat": "FlatObservation"}
OBSERVATIONS = (SLIM, *_WRAPPERS)


class EnvOptions(TypedDict, total=False):
    """Arguments of the environment `ESARM-v0` that a shell can give; see `examples/` for the use.

    Attributes:
        run: Folder of a run of `esarm run`, whose corpus, tokenizer and learned reward are used.
        corpus: Corpus instead of the shipped one: a name such as `synthetic-mead`, or a folder.
        reward: Name of a reward, such as `lve`; `esarm plugins` lists them.
        reward_timing: `terminal` pays the score with the last token, `chunk` as it is earned.
        max_duration_s: Longest utterance in seconds; longer ones are left out.
    """

    run: str
    corpus: str
    reward: str
    reward_timing: Literal["terminal", "chunk"]
    max_duration_s: float


def make_env(*, observation: str = SLIM, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """Make `SpeechAnimationEnv`, in the wrapper that `observation` names.

    Args:
        observation: `slim`, `full_sequence` (the whole state, padded) or `flat` (one vector).
        kwargs: Of `SpeechAnimationEnv`.

    Raises:
        InputError: If `observation` or another argument is not valid.
    """
    _check(observation)
    env = SpeechAnimationEnv(**kwargs)
    if observation == SLIM:
        return env
    wrapped: gymnasium.Env[Any, Any] = getattr(wrappers, _WRAPPERS[observation])(env)
    return wrapped


def make_vector_env(
    num_envs: int = 1,
    *,
    observation: str = SLIM,
    max_episode_steps: int | None = None,
    **kwargs: Any,
) -> VectorEnv[Any, Any, Any]:
    """Make `SpeechAnimationVectorEnv`, in the wrapper that `observation` names.

    Args:
        num_envs: Episodes at once.
        observation: As of `make_env`.
        max_episode_steps: As `gymnasium.make_vec` hands it on; one that would cut an episode off
            before its score is refused. None and -1 set no limit.
        kwargs: Of `SpeechAnimationVectorEnv`.

    Raises:
        InputError: If `observation` or another argument is not valid.
    """
    _check(observation)
    env = SpeechAnimationVectorEnv(num_envs, **kwargs)
    longest = int(bounds(check_slim(env.single_observation_space), "step")[1])
    _check_limit(max_episode_steps, longest=longest)
    if observation == SLIM:
        return env
    wrapped: VectorEnv[Any, Any, Any] = getattr(vector_wrappers, _WRAPPERS[observation])(env)
    return wrapped


def vector_entry_of(env_id: str) -> Callable[..., VectorEnv[Any, Any, Any]]:
    """Return what makes the native vector environment that is registered as `env_id`.

    Raises:
        InputError: If nothing is registered so, or has no vector environment of its own.
    """
    try:
        point = gymnasium.spec(env_id).vector_entry_point
    except gymnasium.error.Error as error:
        raise InputError(f"`env_id` must be registered: {error}") from error
    if point is None:
        raise InputError(
            f"`env_id` must have a vector environment of its own, got {env_id!r} with none"
        )
    made: Any = load_env_creator(point) if isinstance(point, str) else point
    return cast("Callable[..., VectorEnv[Any, Any, Any]]", made)


def _check(observation: str) -> None:
    if observation not in OBSERVATIONS:
        known = ", ".join(OBSERVATIONS)
        raise InputError(f"`observation` must be one of {known}, got {observation!r}")


def _check_limit(max_episode_steps: int | None, *, longest: int) -> None:
    """Check that a limit cuts no episode of up to `longest` tokens."""
    if max_episode_steps in (None, -1):
        return
    whole = isinstance(max_episode_steps, int) and not isinstance(max_episode_steps, bool)
    if not whole or max_episode_steps < longest:
        raise InputError(
            f"`max_episode_steps` must be at least {longest}, the longest utterance, or None, got "
            f"{max_episode_steps!r}: an episode ends with its audio, and one that is cut off has "
            "no score; `max_duration_s` leaves long utterances out, and "
            "`vectorization_mode='sync'` cuts them off all the same"
        )


# `gymnasium.make` looks here for the render modes before it makes anything.
make_env.metadata = SpeechAnimationEnv.metadata  # type: ignore[attr-defined]
