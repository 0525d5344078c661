"""What was left out of a corpus or mended in it, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something of a folder that the corpus does not hold, or not as it lies there.

    Attributes:
        source: Id of a take, or path of a file or folder relative to the corpus.
        reason: Why, or what was mended.
    """

    source: str
    reason: str
