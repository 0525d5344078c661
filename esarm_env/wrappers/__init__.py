"""Observation wrappers and a video recorder for `ESARM-v0`, in Gymnasium's manner.

- `observation`: the encoder interface that scalar and vector wrappers share.
- `flat`: `FlatObservation`, one vector for MLPs and DQN.
- `full_sequence`: `FullSequenceObservation`, the whole state as padded sequences (Markov).
- `vector`: the same two for vector environments (`esarm_env.wrappers.vector`).
- `record_video`: `RecordVideo`, Gymnasium's recorder with sound.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from esarm_env.wrappers.flat import FlatObservation
from esarm_env.wrappers.full_sequence import FullSequenceObservation

__all__ = ["FlatObservation", "FullSequenceObservation", "RecordVideo"]

if TYPE_CHECKING:
    from esarm_env.wrappers.record_video import RecordVideo
else:

    def __getattr__(name: str) -> object:
        """Load `RecordVideo` at its first use: drawing takes the head, and that takes seconds.

        The twins for vector environments are loaded likewise, as `esarm_env.wrappers.vector`.
        """
        if name == "vector":
            return import_module("esarm_env.wrappers.vector")
        if name != "RecordVideo":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from esarm_env.wrappers.record_video import RecordVideo

        return RecordVideo
