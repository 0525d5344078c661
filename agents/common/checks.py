"""Checks of environment and settings, made before a sequence algorithm is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

from agents.common.update import LOSS_MEANS
from agents.protocols import SequenceTask, find_in_env
from agents.rollout.decoding import COLDEST
from agents.rollout.playing import check_first_observation
from agents.rollout.wrappers import survey
from esarm_env.core.errors import InputError

KEYS = ("audio", "condition", "last_tokens", "step")


def check_env(env: Any, *, action_space: spaces.Space[Any], obs_space: spaces.Space[Any]) -> None:
    """Check that `env` offers a task with utterances, and has the spaces of that task.

    Args:
        env: An SB3 `VecEnv`.
        action_space: Of one environment.
        obs_space: Of one environment.

    Raises:
        ValueError: If something is missing or does not fit.
    """
    task: SequenceTask = find_in_env(env, "sequence_task")
    find_in_env(env, "score_tokens")
    utterances = find_in_env(env, "utterances")
    if len(utterances) == 0:
        raise ValueError("`env` must have at least one utterance, got an empty split")
    if not isinstance(action_space, spaces.Discrete) or action_space.n != task.n_tokens:
        raise ValueError(
            f"`action_space` must be Discrete({task.n_tokens}), one action per token of the task, "
            f"got {action_space}"
        )
    widths = (task.window_dim, task.condition_dim, task.tokens_per_chunk, 1)
    wrapping = survey(env, longest=int(task.lengths[utterances].max()))
    _check_observations(obs_space, dict(zip(KEYS, widths, strict=True)), wrapping.names)
    check_first_observation(env, wrapping)


def check_reward_timing(env: Any) -> None:
    """Check that every environment pays at the end, which is what sequence algorithms learn from.

    Raises:
        InputError: If one pays by chunk.
    """
    for index in range(env.num_envs):
        try:
            (timing,) = env.get_attr("reward_timing", indices=[index])
        except AttributeError:  # of an environment that is not ours
            continue
        if timing != "terminal":
            raise InputError(
                f"`env` must have `reward_timing='terminal'`, got {timing!r}: a sequence algorithm "
                "scores whole episodes by itself; leave it out and pass `credit='chunk'` to the "
                "algorithm, or train with a stock one"
            )


def check_n_episodes(n_episodes: int, *, n_envs: int) -> None:
    """Check that every environment can have an episode.

    Raises:
        ValueError: If there are fewer episodes.
    """
    if n_episodes < n_envs:
        raise ValueError(
            f"`n_episodes` must be at least the number of environments ({n_envs}), got "
            f"{n_episodes}; one environment is enough: episodes are written in batches anyway"
        )


def _check_observations(space: spaces.Space[Any], widths: dict[str, int], names: str) -> None:
    if not isinstance(space, spaces.Dict) or not set(widths) <= set(space.keys()):
        other = f"a {type(space).__name__} of shape {space.shape}"
        got = sorted(space.keys()) if isinstance(space, spaces.Dict) else other
        raise ValueError(
            f"`observation_space` must be a Dict with {', '.join(widths)} (that of `slim` "
            f"observations), got {got}; stock algorithms take `full_sequence` with "
            "`TransformerActorCriticPolicy`, and `flat` with an MLP"
        )
    for key, width in widths.items():
        if space[key].shape != (width,):
            raise ValueError(
                f"`observation_space[{key!r}]` must have shape {(width,)} as the task says, got "
                f"{space[key].shape}; wrappers must not change it{f' ({names})' if names else ''}"
            )


def check_episodes(*, n_episodes: int, samples_per_utterance: int) -> None:
    """Check that an iteration is made of whole groups.

    Raises:
        ValueError: If `n_episodes` is no positive multiple of `samples_per_utterance`.
    """
    if samples_per_utterance < 1:
        raise ValueError(f"`samples_per_utterance` must be at least 1, got {samples_per_utterance}")
    if n_episodes < 1 or n_episodes % samples_per_utterance:
        raise ValueError(
            "`n_episodes` must be a positive multiple of `samples_per_utterance` "
            f"({samples_per_utterance}), got {n_episodes}"
        )


def check_counts(**counts: int) -> None:
    """Check that each is at least 1.

    Raises:
        ValueError: If one is not.
    """
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}")


def check_shares(**shares: float) -> None:
    """Check that each is in [0, 1].

    Raises:
        ValueError: If one is not.
    """
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"`{name}` must be in [0, 1], got {share}")


def check_temperature(temperature: float) -> None:
    """Check that tokens can be sampled at `temperature`.

    Raises:
        ValueError: If it is not finite, or so low that nothing is left to chance.
    """
    if not COLDEST <= temperature < math.inf:
        raise ValueError(
            f"`temperature` must be at least {COLDEST} and finite, got {temperature}: "
            "what is not sampled has no ratio to learn from"
        )


def check_divergence(
    *, kl_coef: float, reference_kl_target: float | None, target_kl: float | None, loss_mean: str
) -> None:
    """Check `kl_coef`, `reference_kl_target`, `target_kl` and `loss_mean`.

    Raises:
        ValueError: If one is out of range, or `reference_kl_target` would adapt a coefficient of 0.
    """
    if not kl_coef >= 0:
        raise ValueError(f"`kl_coef` must be at least 0, got {kl_coef}")
    for name, value in (("reference_kl_target", reference_kl_target), ("target_kl", target_kl)):
        if value is not None and not value > 0:
            raise ValueError(f"`{name}` must be above 0 or None, got {value}")
    if reference_kl_target is not None and kl_coef == 0:
        raise ValueError(
            f"`kl_coef` must be above 0 where `reference_kl_target` adapts it, got {kl_coef}: "
            "a product with 0 stays 0"
        )
    if loss_mean not in LOSS_MEANS:
        raise ValueError(f"`loss_mean` must be one of {', '.join(LOSS_MEANS)}, got {loss_mean!r}")


def check_term_settings(settings: Mapping[str, Any]) -> None:
    """Check `normalise_terms` against the settings that it does not go with.

    Args:
        settings: Of an algorithm, by name.

    Raises:
        ValueError: If they do not go together.
    """
    if not settings["normalise_terms"]:
        return
    for name, needed in (("credit", "terminal"), ("stream_advantages", False), ("spread_coef", 0)):
        if settings[name] != needed:
            raise ValueError(
                f"`{name}` must be {needed!r} with `normalise_terms`, which knows the terms of "
                f"whole scores alone, got {settings[name]!r}"
            )
    if settings["samples_per_utterance"] < 2:
        raise ValueError(
            "`samples_per_utterance` must be at least 2 with `normalise_terms`, got "
            f"{settings['samples_per_utterance']}: a group of one has nothing to be normalised by"
        )
