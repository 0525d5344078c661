"""Wrappers for environments; `esarm_env.wrappers.vector` has twins of those that change spaces."""

from typing import TYPE_CHECKING

from esarm_env.wrappers.flat import FlatObservation
from esarm_env.wrappers.full_sequence import FullSequenceObservation

__all__ = ["FlatObservation", "FullSequenceObservation", "RecordVideo"]

if TYPE_CHECKING:
    from esarm_env.wrappers.record_video import RecordVideo
else:

    def __getattr__(name: str) -> object:
        """Load `RecordVideo` at its first use: drawing takes the head, and that takes seconds."""
        if name != "RecordVideo":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from esarm_env.wrappers.record_video import RecordVideo

        return RecordVideo
