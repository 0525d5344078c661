"""The native vector environment as a Stable-Baselines3 `VecEnv`: `make_sb3_vec_env`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnvIndices,
    VecEnvObs,
    VecEnvStepReturn,
)

from esarm_env.core.errors import InputError
from esarm_env.envs.options_and_infos import check_count
from esarm_env.envs.registration import SLIM, make_vector_env

# Methods whose result has a row per environment; of all others every environment gives the same.
_METHODS_BY_ROW = ("action_masks", "render")


def make_sb3_vec_env(
    n_envs: int = 1,
    *,
    seed: int | None = None,
    observation: str = SLIM,
    monitor: bool = True,
    **env_kwargs: Any,
) -> VecEnv:
    """Make `n_envs` environments in one, for Stable-Baselines3 and sb3-contrib.

    Args:
        n_envs: Episodes at once.
        seed: Environment `i` gets `seed + i` at the first reset.
        observation: `slim`, `full_sequence` or `flat`.
        monitor: Whether to wrap in `VecMonitor`, which counts returns and lengths of episodes, and
            notes the metrics of `info` beside them.
        env_kwargs: Of `SpeechAnimationEnv`.

    Raises:
        InputError: If an argument is not valid.
    """
    for name in ("autoreset_mode", "defer_rewards"):
        if name in env_kwargs:
            raise InputError(
                f"`{name}` must be left out (Stable-Baselines3 fixes it), got {env_kwargs[name]!r}"
            )
    made = make_vector_env(
        check_count(n_envs, name="n_envs"),
        observation=observation,
        autoreset_mode=AutoresetMode.SAME_STEP,
        **env_kwargs,
    )
    env: VecEnv = SB3VecEnv(made)
    if seed is not None:
        env.seed(seed)
    if not monitor:
        return env
    return VecMonitor(env, info_keywords=tuple(env.get_attr("metric_units")[0]))


class SB3VecEnv(VecEnv):
    """A `VecEnv` over one of Gymnasium's vector environments that resets in the same step.

    Attributes that it is asked for are those of the vector environment, equal for every index.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Wrap `env`.

        Raises:
            InputError: If `env` does not reset in the same step.
        """
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise InputError(
                f"`env` must reset in the same step, got {env.metadata.get('autoreset_mode')}; "
                "make it with `autoreset_mode='SameStep'`"
            )
        self._env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> VecEnvObs:
        """Start episodes, with the seeds and options that were set since the last reset."""
        options = _by_key(self._options) if any(self._options) else None
        seeds: Any = self._seeds  # Gymnasium declares a number alone, and takes a list
        obs, infos = self._env.reset(seed=seeds, options=options)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [_row(infos, index) for index in range(self.num_envs)]
        return obs  # type: ignore[no-any-return]

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions, shape (n_envs,), of the next step."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Do the step."""
        obs, rewards, terminated, truncated, infos = self._env.step(self._actions)
        dones = terminated | truncated
        cut = truncated & ~terminated
        rows: list[dict[str, Any]] = [{"TimeLimit.truncated": bool(each)} for each in cut]
        for index in np.flatnonzero(dones).tolist():
            rows[index] |= _row(infos["final_info"], index)
            rows[index]["terminal_observation"] = infos["final_obs"][index]
            self.reset_infos[index] = {"utterance_id": infos["utterance_id"][index]}
        return obs, rewards.astype(np.float32), dones, rows

    def close(self) -> None:
        """Close the vector environment."""
        self._env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return a picture of every environment, (H, W, 3) uint8 each."""
        frames: Any = self._env.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return the attribute of the vector environment, once per index."""
        # The vector environment's own spaces are those of all environments together.
        of_one = attr_name in ("observation_space", "action_space")
        value = getattr(self, attr_name) if of_one else self._find(attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute of the vector environment, which all indices share."""
        setattr(self._env.unwrapped, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of the vector environment, once, and return each index' share."""
        result = self._find(method_name)(*method_args, **method_kwargs)
        by_row = method_name in _METHODS_BY_ROW
        return [result[index] if by_row else result for index in self._get_indices(indices)]

    def env_is_wrapped(
        self,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]],
        indices: VecEnvIndices = None,
    ) -> list[bool]:
        """Return False for every index: there are no scalar environments to wrap."""
        return [False for _ in self._get_indices(indices)]

    def _find(self, name: str) -> Any:
        """Return an attribute of the outermost wrapper that has it."""
        env = self._env
        while not hasattr(env, name) and env is not env.unwrapped:
            env = env.env  # type: ignore[attr-defined]
        return getattr(env, name)


def _by_key(options: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn options by environment into values by option; all must set the same ones."""
    keys = {frozenset(each) for each in options}
    if len(keys) > 1:
        raise InputError(
            f"`options` must set the same in every environment, got {[*map(sorted, keys)]}"
        )
    return {key: [each[key] for each in options] for key in options[0]}


def _row(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """Return one environment's infos, as a scalar environment would give them."""
    found = {}
    for key, values in infos.items():
        if f"_{key}" in infos and infos[f"_{key}"][index]:
            found[key] = _row(values, index) if isinstance(values, dict) else _plain(values[index])
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else copy(value)
