"""Guard of a climbed reward: what is watched and never climbed, and when it says stop.

The policy's animations of a fixed set of utterances, drawn with the same random numbers each time,
are compared with the reference's, utterance by utterance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from esarm_env.core.errors import InputError
from esarm_env.core.intervals import Change, paired_change

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, Trajectories

AUTO, DISAGREEMENT, RECORDED = "auto", "disagreement", "recorded"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Look:
    """One look at the policy through the guard.

    Attributes:
        name: Of the guard.
        change: Of its mean against the reference, in its own unit; higher is better.
        spread: Standard deviation among the reference's utterances, the unit of `tolerance`.
        tolerance: How far the guard may fall.
    """

    name: str
    change: Change
    spread: float
    tolerance: float

    @property
    def says_stop(self) -> bool:
        """Whether the whole interval of the change lies below what is tolerated."""
        return self.change.high < -self.tolerance * self.spread

    def __str__(self) -> str:
        """Return one clause."""
        return (
            f"the guard `{self.name}` changed by {self.change} against the reference, more than "
            f"{self.tolerance:g} times its spread {self.spread:.3g} among utterances"
        )


def compared(name: str, before: DoubleArray, after: DoubleArray, *, tolerance: float) -> Look:
    """Return what the guard called `name` says of figures (N,) `after`, against those `before`."""
    change = paired_change(before, after, confidence=CONFIDENCE)
    return Look(name, change, float(np.std(before)), tolerance)


def resolve_guard(name: str | None, reward: Any) -> str | None:
    """Return the guard that `name` stands for with the reward of an environment; None for none.

    `auto` is the members' disagreement; nothing where the reward measures true errors, which cannot
    be hacked. The head that tells recordings from samples is no default: where it is part of the
    score, it is climbed with it, and rises while faces get worse.

    Raises:
        InputError: If the reward has no such thing.
    """
    terms = tuple(getattr(reward, "terms", ()))
    offered = _heads(reward)
    if name == AUTO:
        if getattr(reward, "needs_ground_truth", False):
            return None
        return DISAGREEMENT
    if name is None or name == DISAGREEMENT or name in terms or (name == RECORDED and offered):
        return name
    raise InputError(
        f"`guard` must be None, {AUTO!r}, {DISAGREEMENT!r}, {RECORDED!r} where a term of the "
        "reward tells recordings from samples, or a term "
        f"({', '.join(terms) or 'there is none'}), "
        f"got {name!r}; a term of weight 0 is watched alone"
    )


def guard_figures(name: str, reward: Any, written: Trajectories, *, n_tokens: int) -> DoubleArray:
    """Return what the guard called `name` says of animations, (N,); higher is better.

    Args:
        name: From `resolve_guard`.
        reward: Of the environment.
        written: The animations.
        n_tokens: Tokens to choose from.
    """
    if name == DISAGREEMENT:
        choices = functional.one_hot(torch.from_numpy(written.tokens.clip(0)), n_tokens).float()
        with torch.no_grad():
            told = reward.differentiable_score(
                choices, written.utterance, written.lengths, written.condition
            )
        return np.asarray(-told.spread.numpy(), dtype=np.float64)
    if name == RECORDED:
        odds = [head.score_recorded(written) for head in _heads(reward)]
        return np.asarray(np.mean(odds, axis=0), dtype=np.float64)
    return np.asarray(reward.score_terms(written).terms[name], dtype=np.float64)


def _heads(reward: Any) -> list[Any]:
    """Return the terms of a reward that tell recordings from samples."""
    functions: dict[str, Any] = dict(getattr(reward, "functions", {}))
    return [each for each in functions.values() if getattr(each, "tells_recordings", False)]
