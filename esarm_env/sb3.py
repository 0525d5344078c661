"""The native vector environment as a Stable-Baselines3 `VecEnv`: `make_sb3_vec_env`.

Stable-Baselines3 logs return and length of episodes, nothing else of their infos. It hands an
environment neither itself nor its logger, in no call, and a callback would have to be asked for by
every user. So the `VecEnv` looks, when an episode ends, who called its `step`: if that is a method
of the algorithm that trains on it, metrics and reward terms are written beside return and length.
It only looks: methods of Stable-Baselines3 that are replaced are replaced for all environments.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnvIndices,
    VecEnvObs,
    VecEnvStepReturn,
)

from esarm_env.core.errors import InputError
from esarm_env.envs.environment_access import answers, attribute_of, set_by_row
from esarm_env.envs.options_and_infos import check_count
from esarm_env.envs.registration import ESARM_ID, vector_entry_of

if TYPE_CHECKING:
    from types import FrameType

_LONGEST_NAME = 16  # of a metric or reward in a tag


def make_sb3_vec_env(
    n_envs: int = 1,
    *,
    env_id: str = ESARM_ID,
    seed: int | None = None,
    observation: str | None = None,
    monitor: bool = True,
    **env_kwargs: Any,
) -> VecEnv:
    """Make `n_envs` environments in one, for Stable-Baselines3 and sb3-contrib.

    Args:
        n_envs: Episodes at once.
        env_id: A registered environment of ours, such as `ESARM-Short-v0`.
        seed: Environment `i` gets `seed + i` at the first reset.
        observation: `slim`, `full_sequence` or `flat`; None is what the environment has by default,
            `slim` of `ESARM-v0`.
        monitor: Whether to wrap in `VecMonitor`, which counts returns and lengths of episodes, and
            notes the metrics of `info` beside them. The algorithm that trains on it then logs, to
            TensorBoard and wherever else it does, `rollout/ep_lve_mean`, `ep_eve_mean` and the like
            of every metric, and `rollout/term_NAME` of every reward term before its weight: means
            over the last `stats_window_size` episodes, as of `rollout/ep_rew_mean`.
        env_kwargs: Of `SpeechAnimationEnv`.

    Raises:
        InputError: If an argument is not valid.
    """
    for name in ("autoreset_mode", "defer_rewards"):
        if name in env_kwargs:
            raise InputError(
                f"`{name}` must be left out (Stable-Baselines3 fixes it), got {env_kwargs[name]!r}"
            )
    if observation is not None:
        env_kwargs["observation"] = observation
    made = vector_entry_of(env_id)(
        check_count(n_envs, name="n_envs"), autoreset_mode=AutoresetMode.SAME_STEP, **env_kwargs
    )
    env: VecEnv = SB3VecEnv(made, log_episodes=monitor)
    if seed is not None:
        env.seed(seed)
    if not monitor:
        return env
    return VecMonitor(env, info_keywords=tuple(env.get_attr("metric_units")[0]))


class SB3VecEnv(VecEnv):
    """A `VecEnv` over one of Gymnasium's vector environments that resets in the same step.

    Attributes and methods of some `indices` concern those environments alone: of a vector
    environment that is one object, what all share cannot be set or called for some, and is refused.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], *, log_episodes: bool = False) -> None:
        """Wrap `env`.

        Args:
            env: Resets in the same step.
            log_episodes: Whether whoever trains on it logs metrics and reward terms of episodes.

        Raises:
            InputError: If `env` does not reset in the same step.
        """
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise InputError(
                f"`env` must reset in the same step, got {env.metadata.get('autoreset_mode')}; "
                "make it with `autoreset_mode='SameStep'`"
            )
        self._env = env
        self._log_episodes = log_episodes
        self._windows: dict[str, deque[float]] = {}
        self._windows_of: object = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    @property
    def vector_env(self) -> VectorEnv[Any, Any, Any]:
        """The vector environment behind this view, in its wrappers."""
        return self._env

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
        rows = [_row(infos, index) for index in range(self.num_envs)]
        for index in np.flatnonzero(dones).tolist():
            rows[index] = _row(infos["final_info"], index)
            rows[index]["terminal_observation"] = infos["final_obs"][index]
            self.reset_infos[index] = _row(infos, index, without=("final_info", "final_obs"))
        for index, row in enumerate(rows):
            row["TimeLimit.truncated"] = bool(cut[index])
        if self._log_episodes and dones.any():
            algorithm = _trainer_that_steps(self)
            if algorithm is not None:
                self._log([rows[index] for index in np.flatnonzero(dones)], algorithm)
        return obs, rewards.astype(np.float32), dones, rows

    def close(self) -> None:
        """Close the vector environment."""
        self._env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return a picture of every environment, (H, W, 3) uint8 each."""
        frames: Any = self._env.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return the attribute of every environment of `indices`."""
        rows = self._get_indices(indices)
        if attr_name in ("observation_space", "action_space"):  # as the outermost wrapper gives it
            return [getattr(self, attr_name) for _ in rows]
        owner = self._owner(attr_name)
        if isinstance(owner, SyncVectorEnv):
            return [owner.envs[row].get_wrapper_attr(attr_name) for row in rows]
        return [attribute_of(owner, attr_name, row) for row in rows]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute of the environments of `indices`, and of no other.

        Raises:
            InputError: If all environments share it and `indices` are some of them.
        """
        rows = list(self._get_indices(indices))
        owner = self._owner(attr_name)
        if isinstance(owner, SyncVectorEnv):
            for row in rows:
                owner.envs[row].set_wrapper_attr(attr_name, value)
        else:
            set_by_row(owner, attr_name, dict.fromkeys(rows, value), n_rows=self.num_envs)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of the environments of `indices`, and return the answer of each.

        Raises:
            InputError: If it would act on other environments, too.
        """
        rows = list(self._get_indices(indices))
        if method_name == "reset":
            return self._reset_some(rows, *method_args, **method_kwargs)
        owner = self._owner(method_name)
        if isinstance(owner, SyncVectorEnv):
            methods = [owner.envs[row].get_wrapper_attr(method_name) for row in rows]
            return [method(*method_args, **method_kwargs) for method in methods]
        return answers(
            owner, method_name, rows, n_rows=self.num_envs, args=method_args, kwargs=method_kwargs
        )

    def env_is_wrapped(
        self,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]],
        indices: VecEnvIndices = None,
    ) -> list[bool]:
        """Return False for every index: there are no scalar environments to wrap."""
        return [False for _ in self._get_indices(indices)]

    def _log(self, ended: list[dict[str, Any]], algorithm: BaseAlgorithm) -> None:
        """Log the figures of episodes that have ended, as means over the algorithm's window."""
        episodes = algorithm.ep_info_buffer
        assert episodes is not None, "`learn` makes it before the first step"
        if self._windows_of is not episodes:  # another algorithm, or a `learn` from the beginning
            self._windows, self._windows_of = {}, episodes
        metrics = self.get_attr("metric_units", indices=[0])[0]
        for info in ended:
            for tag, value in _figures_of(info, metrics):
                window = self._windows.setdefault(tag, deque(maxlen=episodes.maxlen))
                if np.isfinite(value):  # an error without a recording is nan
                    window.append(value)
                    algorithm.logger.record(tag, float(np.mean(window)))

    def _reset_some(
        self, rows: list[int], *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> list[tuple[Any, dict[str, Any]]]:
        """Start new episodes in `rows`; the others go on where they are."""
        mask = np.zeros(self.num_envs, dtype=np.bool_)
        mask[rows] = True
        seeds: Any = None if seed is None else [seed] * self.num_envs
        obs, infos = self._env.reset(seed=seeds, options={**(options or {}), "reset_mask": mask})
        return [(_take(obs, row), _row(infos, row)) for row in rows]

    def _owner(self, name: str) -> Any:
        """Return the outermost vector wrapper that has an attribute, else the environment."""
        env = self._env
        while env is not env.unwrapped:
            if name in vars(env) or hasattr(type(env), name):
                return env
            env = env.env  # type: ignore[attr-defined]
        return env


def _trainer_that_steps(env: SB3VecEnv) -> BaseAlgorithm | None:
    """Return the algorithm whose method has called `step` of `env`, which it trains on.

    Between the two stand only methods of `env` and of the wrappers around it. None for whoever else
    steps: an evaluation, of this environment or another, which a callback of the training starts,
    has a function of its own in between.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and isinstance(frame.f_locals.get("self"), VecEnv):
        frame = frame.f_back
    caller = None if frame is None else frame.f_locals.get("self")
    if not isinstance(caller, BaseAlgorithm):
        return None
    trained_on = caller.get_env()
    return caller if trained_on is not None and trained_on.unwrapped is env else None


def _figures_of(info: Mapping[str, Any], metrics: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Yield tag and value of each metric and reward term in the last `info` of an episode.

    Tags are short, and differ early: tables of Stable-Baselines3 cut them, and refuse equal ones.
    """
    told = [("ep_{}_mean", name, info[name]) for name in metrics if name in info]
    told += [("term_{}", name, value) for name, value in info.get("rewards", {}).items()]
    taken: set[str] = set()
    for form, name, value in told:
        short, number = name.partition(":")[0][:_LONGEST_NAME], 1
        tag = form.format(short)
        while tag in taken:
            number += 1
            tag = form.format(f"{short}{number}")
        taken.add(tag)
        yield f"rollout/{tag}", value


def _by_key(options: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn options by environment into values by option; all must set the same ones."""
    keys = {frozenset(each) for each in options}
    if len(keys) > 1:
        raise InputError(
            f"`options` must set the same in every environment, got {[*map(sorted, keys)]}"
        )
    return {key: [each[key] for each in options] for key in options[0]}


def _row(infos: dict[str, Any], index: int, *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Return one environment's infos, as a scalar environment would give them."""
    found = {}
    for key, values in infos.items():
        if f"_{key}" in infos and infos[f"_{key}"][index] and key not in without:
            found[key] = _row(values, index) if isinstance(values, dict) else _plain(values[index])
    return found


def _take(obs: Any, index: int) -> Any:
    """Return one environment's observation of a batch, a copy."""
    if isinstance(obs, dict):
        return {key: values[index].copy() for key, values in obs.items()}
    return obs[index].copy()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else copy(value)
