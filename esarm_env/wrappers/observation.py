"""Observation encoders: the interface from slim observations that scalar and vector wrappers share.

An encoder reads nothing but the stream of slim observations and the task behind it, many
environments at once; a scalar wrapper is the case of one. So it also works over environments that
others have wrapped or derived.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from esarm_env.core.errors import InputError

if TYPE_CHECKING:  # importing a task imports tokenizer and head
    from esarm_env.core.types import IntArray
    from esarm_env.task.animation_task import AnimationTask

SLIM_KEYS = ("audio", "condition", "last_tokens", "step", "utterance")
SlimBatch = Mapping[str, np.ndarray]
Encoded = TypeVar("Encoded", np.ndarray, dict[str, np.ndarray])


class ObservationEncoder(ABC, Generic[Encoded]):
    """Base class of encoders from batches of slim observations to another observation.

    Attributes:
        space: Of one encoded observation, without the axis of environments.
    """

    space: spaces.Space[Any]

    def __init__(self, task: AnimationTask, slim: spaces.Dict, *, n_envs: int) -> None:
        """Prepare for the stream of `n_envs` environments.

        Args:
            task: Whose utterances the observations are of.
            slim: The space of one slim observation; `step` says how long the longest utterance is.
            n_envs: Rows of state to keep, where an encoder keeps any.
        """
        self.longest = int(_box(slim, "step").high[0])
        self.per_chunk = task.tokens_per_chunk
        self.lengths = task.lengths

    @abstractmethod
    def encode(self, slim: SlimBatch, rows: IntArray) -> Encoded:
        """Encode the newest observations.

        Args:
            slim: Slim observations, one array (n, ...) per key.
            rows: Which environments they are of, shape (n,), no two equal.

        Returns:
            Arrays (n, ...) that share memory with nothing.
        """


class EncodedObservation(
    gymnasium.ObservationWrapper[Encoded, np.int64, dict[str, np.ndarray]], RecordConstructorArgs
):
    """Base class of the scalar observation wrappers."""

    encoder_class: ClassVar[type[ObservationEncoder[Any]]]

    def __init__(self, env: gymnasium.Env[dict[str, np.ndarray], np.int64]) -> None:
        """Wrap `env`, which must give slim observations and have the attribute `sequence_task`."""
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        slim = check_slim(env.observation_space)
        task = env.get_wrapper_attr("sequence_task")
        self._encoder: ObservationEncoder[Encoded] = self.encoder_class(task, slim, n_envs=1)
        self.observation_space = self._encoder.space
        self._rows = np.zeros(1, dtype=np.int64)

    def observation(self, observation: dict[str, np.ndarray]) -> Encoded:
        """Encode a slim observation."""
        batch = {key: observation[key][None] for key in SLIM_KEYS}  # (1, ...)
        encoded: Encoded = row_of(self._encoder.encode(batch, self._rows), 0)
        return encoded


def check_slim(space: spaces.Space[Any]) -> spaces.Dict:
    """Return `space` if it is the slim observation space of one environment.

    Raises:
        InputError: If it is not that of the slim observation.
    """
    keys = list(space.spaces) if isinstance(space, spaces.Dict) else []
    if isinstance(space, spaces.Dict) and set(SLIM_KEYS) <= set(keys):
        return space
    got = ", ".join(keys) or type(space).__name__
    raise InputError(
        f"`env` must give the slim observation ({', '.join(SLIM_KEYS)}), got {got}; "
        "this wrapper comes before all others that change observations"
    )


def row_of(batch: Any, row: int) -> Any:
    """Return one observation of an encoded `batch`."""
    if isinstance(batch, dict):
        return {key: values[row] for key, values in batch.items()}
    return batch[row]


def bounds(slim: spaces.Dict, key: str) -> tuple[float, float]:
    """Return the lowest and the highest value that `key` of the slim observation may take."""
    box = _box(slim, key)
    return float(box.low.min()), float(box.high.max())


def _box(slim: spaces.Dict, key: str) -> spaces.Box:
    box = slim[key]
    if not isinstance(box, spaces.Box):
        raise InputError(f"`{key}` of the observation must be a Box, got {type(box).__name__}")
    return box
