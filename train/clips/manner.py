"""Manner in which recordings are animated, and clips as they come of it: what all here share.

A module of its own below them, so that none imports another for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esarm_env.core.types import SAMPLE_RATE_HZ
from train.animate import PLAINLY, Writing

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray
    from esarm_env.task.recording import AnimationCondition


@dataclass(frozen=True)
class Manner:
    """How recordings are animated, one or many.

    Attributes:
        voice: How they are to be said.
        writing: How the motion is written.
        alive: Whether the policy's blinks are replaced by others, and eye movements added where it
            wrote none, drawn from the seed.
    """

    voice: AnimationCondition
    writing: Writing = PLAINLY
    alive: bool = True


@dataclass(frozen=True, eq=False)
class AnimatedClip:
    """A clip as it was animated.

    Attributes:
        name: Of the recording.
        audio: Shape (n_samples,) at 16 kHz.
        motion: Shape (T, 52), 30 fps, as it is written.
        manner: How it was animated.
        seconds: That it took.
    """

    name: str
    audio: FloatArray
    motion: FloatArray
    manner: Manner
    seconds: float

    @property
    def duration_s(self) -> float:
        """Of the recording."""
        return len(self.audio) / SAMPLE_RATE_HZ
