"""The environment that is looked at: an id, its arguments, and the ways to make it."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv

AnyEnv = gymnasium.Env[Any, Any]
AnyVectorEnv = VectorEnv[Any, Any, Any]

DEFAULT_ENV = "ESARM-v0"


@dataclass(frozen=True)
class Subject:
    """A registered environment with arguments.

    Attributes:
        env_id: As `gymnasium.make` takes it; `module:Name-v0` imports the module first.
        kwargs: What the environment is made with.
    """

    env_id: str = DEFAULT_ENV
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def spec(self) -> EnvSpec:
        """What is registered under the id.

        Raises:
            gymnasium.error.Error: If nothing is.
            ImportError: If the module before the colon cannot be imported.
        """
        module, _, name = self.env_id.rpartition(":")
        if module:
            importlib.import_module(module)
        return gymnasium.spec(name)

    def make(self, **more: Any) -> AnyEnv:
        """Make it as users do, but for the passive checker; `more` are further arguments."""
        return gymnasium.make(self.spec, disable_env_checker=True, **{**self.kwargs, **more})

    def make_checked(self) -> AnyEnv:
        """Make it with the passive checker, also if it is registered without."""
        return gymnasium.make(self.spec, disable_env_checker=False, **self.kwargs)

    def make_bare(self) -> AnyEnv:
        """Make what the entry point returns, without any wrapper that `gymnasium.make` adds.

        That is more than `unwrapped` where the entry point itself wraps, as for ESARM's
        `observation="flat"`.
        """
        bare = dataclasses.replace(
            self.spec,
            order_enforce=False,
            disable_env_checker=True,
            max_episode_steps=None,
            additional_wrappers=(),
        )
        return gymnasium.make(bare, **self.kwargs)

    def make_vector(self, num_envs: int, mode: AutoresetMode) -> AnyVectorEnv:
        """Make the vector environment that is registered beside the scalar one."""
        return gymnasium.make_vec(
            self.spec,
            num_envs=num_envs,
            vectorization_mode="vector_entry_point",
            autoreset_mode=mode,
            **self.kwargs,
        )


def is_esarm(env: AnyEnv) -> bool:
    """Return whether `env` keeps the contract of `ESARM-v0`: whether it has a `sequence_task`."""
    return env.has_wrapper_attr("sequence_task")
