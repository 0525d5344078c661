"""`Take`, a recording of a corpus folder before it is read, and `Fault`, what is wrong with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Take:
    """Paths and labels of one recording, not yet read; a layout finds it, a corpus cuts it.

    Attributes:
        id: Unique in its corpus, stable when the folder moves: the relative path without suffix.
        audio: A sound file, or a video whose sound is used; None where it is missing.
        motion: A file of blendshape curves, or None where there is none.
        speaker: Name of the speaker.
        emotion: One of `EMOTIONS`.
        intensity: 1 to 3.
        text: The sentence, or None.
        sentence: What two takes share if they say the same; None where that is unknown.
        split: The official split (`train`, `validation`, `test`), or None.
        rate_hz: Frame rate of the motion as the user states it, whatever its file says; or None.
    """

    id: str
    audio: Path | None
    motion: Path | None
    speaker: str
    emotion: str = "neutral"
    intensity: int = 1
    text: str | None = None
    sentence: str | None = None
    split: str | None = None
    rate_hz: float | None = None


@dataclass(frozen=True)
class Fault:
    """A file or take that was left out or repaired, with the reason.

    Attributes:
        source: Id of a take, or path of a file or folder relative to the corpus.
        reason: Why, or what was mended.
    """

    source: str
    reason: str
