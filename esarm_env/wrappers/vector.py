"""Vector observation wrappers: twins of the scalar ones, for all three autoreset modes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from esarm_env.wrappers.flat import FlatEncoder
from esarm_env.wrappers.full_sequence import FullSequenceEncoder
from esarm_env.wrappers.observation import SLIM_KEYS, ObservationEncoder, check_slim, row_of

__all__ = ["FlatObservation", "FullSequenceObservation"]

if TYPE_CHECKING:
    from esarm_env.task.animation_task import AnimationTask

    AnyVectorEnv = VectorEnv[Any, Any, Any]
    AnyVectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:  # older versions of gymnasium have no type parameters here
    AnyVectorWrapper = VectorWrapper


class EncodedVectorObservation(AnyVectorWrapper):
    """Base class of the vector observation wrappers.

    Over an `AsyncVectorEnv`, which has no task of its own, a copy of the task is fetched from every
    worker; wrapping each of its environments with the scalar twin avoids that.
    """

    encoder_class: ClassVar[type[ObservationEncoder[Any]]]

    def __init__(self, env: AnyVectorEnv) -> None:
        """Wrap `env`, which must give slim observations and have or hold a `sequence_task`."""
        super().__init__(env)
        slim = check_slim(env.single_observation_space)
        encoder = self.encoder_class(_task_of(env), slim, n_envs=env.num_envs)
        self._encoder: ObservationEncoder[Any] = encoder
        self.single_observation_space = encoder.space
        self.observation_space = batch_space(encoder.space, env.num_envs)
        self._rows = np.arange(env.num_envs)

    def __getattr__(self, name: str) -> Any:
        """Return what `env` has beyond Gymnasium's interface, such as `autoreset_mode`."""
        if name.startswith("_") or name == "env":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.env, name)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those of `options["reset_mask"]`; the others stand still."""
        slim, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        return self._encoder.encode(slim, self._rows), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all environments; `infos["final_obs"]` is encoded, too, where there is one."""
        slim, rewards, terminations, truncations, infos = self.env.step(actions)
        if "final_obs" in infos:
            # First, because the first observation of the next episode clears the encoder's memory.
            infos = {**infos, "final_obs": self._encode_final(infos["final_obs"])}
        obs = self._encoder.encode(slim, self._rows)
        return obs, rewards, terminations, truncations, infos

    def _encode_final(self, final_obs: np.ndarray) -> np.ndarray:
        """Encode an object array (num_envs,) of slim observations, None where none has ended."""
        rows = np.array([row for row, obs in enumerate(final_obs) if obs is not None])
        slim = {key: np.stack([final_obs[row][key] for row in rows]) for key in SLIM_KEYS}
        batch = self._encoder.encode(slim, rows)
        encoded = np.full(len(final_obs), None, dtype=object)
        for place, row in enumerate(rows):
            encoded[row] = row_of(batch, place)
        return encoded


class FlatObservation(EncodedVectorObservation):
    """`esarm_env.wrappers.FlatObservation` for vector environments, equal to it row by row."""

    encoder_class = FlatEncoder
    _encoder: FlatEncoder

    @property
    def slices(self) -> dict[str, slice]:
        """Slice of each part in a row, by name."""
        return dict(self._encoder.slices)


class FullSequenceObservation(EncodedVectorObservation):
    """`esarm_env.wrappers.FullSequenceObservation` for vector environments, equal to it by row."""

    encoder_class = FullSequenceEncoder


def _task_of(env: AnyVectorEnv) -> AnimationTask:
    base = env.unwrapped
    found = getattr(base, "sequence_task", None)
    if found is None:  # a SyncVectorEnv or an AsyncVectorEnv: its environments know
        found = base.get_attr("sequence_task")[0]  # type: ignore[attr-defined]
    task: AnimationTask = found
    return task
