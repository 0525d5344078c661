"""What an environment must be for whole sequences to be written in it, checked at the start."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces

from agents.common.protocols import SequenceTask, find_in_env

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
    if len(find_in_env(env, "utterances")) == 0:
        raise ValueError("`env` must have at least one utterance, got an empty split")
    if not isinstance(action_space, spaces.Discrete) or action_space.n != task.n_tokens:
        raise ValueError(
            f"`action_space` must be Discrete({task.n_tokens}), one action per token of the task, "
            f"got {action_space}"
        )
    widths = (task.window_dim, task.condition_dim, task.tokens_per_chunk, 1)
    _check_observations(obs_space, dict(zip(KEYS, widths, strict=True)))


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


def _check_observations(space: spaces.Space[Any], widths: dict[str, int]) -> None:
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
                f"{space[key].shape}; wrappers must not change it"
            )
