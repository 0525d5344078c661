"""What workers know of an environment: its task and the functions that score, sent once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.protocols import find_in_env
from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    import torch
    from stable_baselines3.common.vec_env import VecEnv

    from agents.network.transformer import MotionTransformer
    from agents.protocols import FloatArray
    from agents.rollout.wrappers import Wrapping

_READ = (
    *("sequence_task", "score_tokens", "score_streams", "score_chunks", "score_terms"),
    "reward_chunk_streams",
)


class Problem:
    """Task and scores of an environment, found as in an environment (`find_in_env`)."""

    def __init__(self, found: dict[str, Any]) -> None:
        """Know what was `found` in an environment."""
        self._found = found

    @classmethod
    def of(cls, env: VecEnv) -> Problem:
        """Return what roll-outs read of `env`."""
        found = {}
        for name in _READ:
            try:
                found[name] = find_in_env(env, name)
            except ValueError:  # which a roll-out that asks for it will say
                continue
        return cls(found)

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:
        """Return what an environment answers by this name.

        Raises:
            AttributeError: If it had nothing of the name.
        """
        if name not in self._found:
            raise AttributeError(name)
        return [self._found[name]]

    def is_still(self, env: VecEnv, reward: Any) -> bool:
        """Return whether `env` has the task still, and the reward that was known as `reward`."""
        same_task = find_in_env(env, "sequence_task") is self._found["sequence_task"]
        return same_task and reward_of(env) is reward


def reward_of(env: VecEnv) -> Any:
    """Return the reward object of `env`, by which another one is noticed; else who scores."""
    try:
        return find_in_env(env, "reward_function")
    except ValueError:
        score = find_in_env(env, "score_tokens")
        return getattr(score, "__self__", score)


def check_sendable(wrapping: Wrapping) -> None:
    """Check that no wrapper must be played, which can be done where the environment is alone.

    Raises:
        InputError: If one must.
    """
    if wrapping.inner:
        raise InputError(
            f"`collector` must be local (`workers` 0) where wrappers are played step by step, got "
            f"workers and {wrapping.names}; monitors and wrappers of the `VecEnv` are honoured"
        )


class Writer:
    """A network in a worker, which takes new weights once an iteration."""

    def __init__(self, network: MotionTransformer) -> None:
        """Keep `network`, whose weights do not matter."""
        self._network = network
        self._loaded: Any = None

    def with_weights(self, weights: dict[str, FloatArray]) -> MotionTransformer:
        """Return the network with `weights`; the same object again costs nothing."""
        if self._loaded is not weights:
            import torch

            state: dict[str, torch.Tensor] = {
                name: torch.from_numpy(array) for name, array in weights.items()
            }
            self._network.load_state_dict(state)
            self._loaded = weights
        return self._network
