"""Held-out animations that a reward model is tried on, and how many of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.errors import InputError
from esarm_env.core.seeds import FirstSample
from reward.demonstrations import (
    POLICY,
    RECONSTRUCTION,
    RECORDING,
    RankedDemonstrations,
    RollOut,
    collect,
    damaged,
    ground_truth,
)
from reward.demonstrations.corruptions import FAMILIES, PolicyFamily
from reward.report import FAMILY_PROBES

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, IntArray
    from esarm_env.task.animation_task import AnimationTask

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


LEAST_WORSE = 0.25  # noise of what mixtures mix in


@dataclass(frozen=True)
class ReportAnimations:
    """N animations of U utterances.

    Attributes:
        demonstrations: Noise levels of the greedy clone, its samples at temperature 1, recordings
            (plain and through the tokenizer), and damage to the first sample.
        levels: Shape (L, U), rows of each noise level, ascending.
        samples: Shape (U, K), rows of the clone's samples.
        truth: By origin, shape (U,), rows of ground truth.
        base: Shape (N,), for damage the row of what it was done to; -1 for all else.
    """

    demonstrations: RankedDemonstrations
    levels: IntArray
    samples: IntArray
    truth: dict[str, IntArray]
    base: IntArray

    def __len__(self) -> int:
        """Return the number of animations."""
        return len(self.demonstrations)

    @property
    def plain_policy(self) -> BoolArray:
        """Shape (N,), True for roll-outs without damage: those that tokens tell all about."""
        return self.demonstrations.roll_outs

    def mask(self, rows: IntArray) -> BoolArray:
        """Return shape (N,), True at `rows`."""
        found = np.zeros(len(self), dtype=np.bool_)
        found[rows] = True
        return found

    def damage(self, family: str, strength: float) -> IntArray:
        """Return the rows of one family at one strength; none where it could not act."""
        making = self.demonstrations.making
        return np.flatnonzero((making.family == family) & np.isclose(making.strength, strength))


def make_cast(
    roll_out: RollOut,
    task: AnimationTask,
    utterances: IntArray,
    *,
    settings: ReportSettings,
    seed: int,
    families: Sequence[str] = tuple(FAMILIES),
    after: Callable[[], None] = lambda: None,
) -> ReportAnimations:
    """Roll out the clone, and damage what it makes.

    Args:
        roll_out: The clone.
        task: Theirs.
        utterances: Shape (U,), ascending.
        settings: How much of everything.
        seed: Of all random choices.
        families: Of damage; none for none at all.
        after: Called after each of `n_steps` steps.
    """
    common = {"task": task, "utterances": utterances, "seed": seed, "after_level": after}
    levels = collect(roll_out, epsilons=settings.levels, **common)  # type: ignore[arg-type]
    samples = collect(
        roll_out,
        epsilons=(0.0,),
        rollouts=settings.samples,
        temperature=1.0,
        first_sample=FirstSample.REPORT,
        **common,  # type: ignore[arg-type]
    )
    recorded = task.recorded(utterances)
    truth = [ground_truth(recorded, origin=origin) for origin in (RECORDING, RECONSTRUCTION)]
    parts = [levels, samples, *truth]
    for family in families:
        made = _damage(family, levels, samples, task=task, settings=settings, seed=seed,
                       roll_out=roll_out)  # fmt: skip
        parts += [] if made is None else [made]
        after()
    n, k, u = len(settings.levels), settings.samples, len(utterances)
    whole = RankedDemonstrations.concatenate(parts)
    first_truth = (n + k) * u
    return ReportAnimations(
        whole,
        levels=np.arange(n * u).reshape(n, u),
        samples=(n * u + np.arange(k * u)).reshape(k, u).T,
        truth={
            origin: first_truth + number * u + np.arange(u)
            for number, origin in enumerate((RECORDING, RECONSTRUCTION))
        },
        base=_bases(whole),
    )


def n_steps(settings: ReportSettings, families: Sequence[str] = tuple(FAMILIES)) -> int:
    """Return how many steps `make_cast` takes."""
    return len(settings.levels) + settings.samples + len(families)


def _damage(
    family: str,
    levels: RankedDemonstrations,
    samples: RankedDemonstrations,
    *,
    task: AnimationTask,
    settings: ReportSettings,
    seed: int,
    roll_out: RollOut,
) -> RankedDemonstrations | None:
    """Return the damage to the first sample of each utterance; None where there can be none.

    Families that ask the policy again start from its greedy roll-out, as their zero does, and so do
    mixtures, with roll-outs that are clearly noisier: a greedy one with a little noise is better
    than a sample. Motion of other utterances is the clone's own, so that its style marks no side.
    """
    kind = FAMILIES[family]
    from_greedy = isinstance(kind, PolicyFamily) or kind.needs_partner
    worse = levels.epsilon >= LEAST_WORSE
    clean = (levels.epsilon == 0) if from_greedy else samples.making.sample == FirstSample.REPORT
    start = levels[clean] if from_greedy else samples[clean]
    base = RankedDemonstrations.concatenate([start, levels[worse]]) if kind.needs_partner else start
    extra = [strength for name, strength in FAMILY_PROBES.values() if name == family]
    try:
        return damaged(
            base,
            task,
            families=(family,),
            strengths=sorted({*settings.strengths, *extra}),
            seed=seed,
            rows=np.arange(len(base)) < len(start),
            roll_out=roll_out,
            own_donors=True,
        )
    except ValueError:  # no donor, no partner: a corpus with one emotion, say
        return None


def _bases(whole: RankedDemonstrations) -> IntArray:
    """Return the row of what each damaged animation was made from; -1 for those without damage."""
    making = whole.making
    keys = list(zip(whole.utterance.tolist(), making.sample.tolist(), strict=True))
    plain = np.flatnonzero(making.untouched & (making.origin == POLICY))
    place = {keys[row]: row for row in plain.tolist()}
    bases = np.full(len(whole), -1, dtype=np.int64)
    for row in np.flatnonzero(~making.untouched).tolist():
        bases[row] = place[keys[row]]
    return bases
