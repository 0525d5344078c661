"""How much a report on a reward model looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace

from esarm_env.errors import InputError

# Noise levels that are asked for whatever was trained on: the bars name the first two.
TOLD_APART = (0.02, 0.1)
LEVELS = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class ReportSettings:
    """How many animations of how many utterances.

    Attributes:
        utterances: Test utterances (evenly spaced ones); 0 means all.
        validation_utterances: Validation utterances that temperatures are fitted on; likewise.
        samples: Clone samples of each, at temperature 1: the top band; at least 2.
        levels: Shares of random actions of the greedy clone, one roll-out each.
        strengths: Of the damage to a clone sample.
        resamples: Bootstrap resamples over utterances.
        confidence: Of all intervals.
    """

    utterances: int = 0
    validation_utterances: int = 60
    samples: int = 16
    levels: tuple[float, ...] = LEVELS
    strengths: tuple[float, ...] = (0.25, 0.5, 1.0)
    resamples: int = 2000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Check what the command line can get wrong."""
        for name in ("utterances", "validation_utterances"):
            if getattr(self, name) < 0:
                raise InputError(f"`{name}` must be at least 0, got {getattr(self, name)}")
        if self.samples < 2:
            raise InputError(f"`samples` must be at least 2, got {self.samples}")

    def quick(self) -> ReportSettings:
        """Return the same for a first look: few utterances, wide intervals."""
        return replace(self, utterances=24, validation_utterances=12, strengths=(0.5, 1.0))
