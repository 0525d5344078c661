"""What was left out of a corpus, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something of a folder that the corpus does not hold.

    Attributes:
        source: Id of a take, or path of a file or folder relative to the corpus.
        reason: Why, as the end of a sentence that begins with the source.
    """

    source: str
    reason: str
