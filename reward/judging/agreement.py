"""Agreement of raters with themselves, with each other, and with a reward.

Answers are compared by which animation they prefer, whatever side it was on. "Cannot tell" is no
answer here. Kappa (Cohen 1960) and alpha (Krippendorff 2004, nominal) are agreement beyond chance:
0 is chance, 1 is full agreement.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.intervals import UNKNOWN, Interval
from reward.pairs.preference_file import CANNOT_TELL

if TYPE_CHECKING:
    from reward.pairs.preference_file import Preference, RatedAnimation

TIE = "tie"
# An animation of an utterance: utterance, and digest or name.
Key = tuple[str, str]
_Pair = tuple[Key, Key]
_CONFIDENCE, _RESAMPLES = 0.95, 2000


@dataclass(frozen=True)
class Agreement:
    """How far the answers in a file agree; nan where nothing can be told.

    Attributes:
        answers: All of them, by rater.
        ties: How many of them are ties.
        cannot_tell: How many are "cannot tell".
        left: Share of the decided answers that prefer the left one; far from 0.5, a rater has a
            favourite side.
        repeats: Pairs that a rater answered twice.
        with_itself: Share of these that were answered alike.
        kappa_with_itself: The same beyond chance.
        shared: Pairs that two raters answered, counted for each two of them.
        between: Share of these that were answered alike.
        kappas: Agreement beyond chance of each two raters, `"anna, bob"`.
        alpha: Krippendorff's alpha over all raters.
    """

    answers: dict[str, int]
    ties: int
    cannot_tell: int
    left: float
    repeats: int
    with_itself: float
    kappa_with_itself: float
    shared: int
    between: float
    kappas: dict[str, float]
    alpha: float

    def to_dict(self) -> dict[str, Any]:
        """Return all figures for JSON; what is not known is None."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def agreement_of(judgements: Sequence[Preference]) -> Agreement:
    """Return how far answers agree."""
    told = [each for each in judgements if each.better != CANNOT_TELL]
    decided = [each for each in told if each.better != TIE]
    by_rater: dict[str, dict[_Pair, list[str]]] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, int] = defaultdict(int)
    for each in judgements:
        counts[each.rater] += 1
    for each in told:
        pair, winner = oriented(each)
        by_rater[each.rater][pair].append(winner)
    twice = [(said[0], said[1]) for own in by_rater.values() for said in own.values() if said[1:]]
    first = {
        rater: {pair: said[0] for pair, said in own.items()} for rater, own in by_rater.items()
    }
    kappas, between = {}, []
    for one, other in combinations(first, 2):
        both = [
            (first[one][pair], first[other][pair]) for pair in first[one] if pair in first[other]
        ]
        between += both
        if both:
            kappas[f"{one}, {other}"] = cohen_kappa(both)
    return Agreement(
        answers=dict(counts),
        ties=len(told) - len(decided),
        cannot_tell=len(judgements) - len(told),
        left=_mean([each.better == "a" for each in decided]),
        repeats=len(twice),
        with_itself=_mean([one == other for one, other in twice]),
        kappa_with_itself=cohen_kappa(twice),
        shared=len(between),
        between=_mean([one == other for one, other in between]),
        kappas=kappas,
        alpha=krippendorff_alpha(first),
    )


def agreement_with_scores(
    judgements: Sequence[Preference], scores: Mapping[Key, float]
) -> tuple[Interval, int]:
    """Return how often a reward prefers what a rater prefers, and of how many answers.

    Args:
        judgements: Answers; those without a decision, and of animations without a score, are left
            out.
        scores: Score of each animation by utterance and digest.

    Returns:
        The share of decided answers whose better animation scores more, equal scores counting one
        half, with a 95 % bootstrap interval over utterances; and how many these are.
    """
    right: dict[str, list[float]] = defaultdict(list)
    for each in judgements:
        keys = key_of(each, each.a), key_of(each, each.b)
        if each.better in (TIE, CANNOT_TELL) or not all(key in scores for key in keys):
            continue
        margin = scores[keys[0]] - scores[keys[1]]
        margin = margin if each.better == "a" else -margin
        right[each.utterance].append(float(margin > 0) + 0.5 * float(margin == 0))
    return share_by_group(list(right.values())), sum(map(len, right.values()))


def share_by_group(right: Sequence[Sequence[float]]) -> Interval:
    """Return the mean of figures that come in groups, such as utterances, drawn as wholes."""
    if not right:
        return UNKNOWN
    sums, counts = np.array([sum(g) for g in right]), np.array([len(g) for g in right])
    if len(right) == 1:
        return Interval(float(sums[0] / counts[0]), math.nan, math.nan)
    rows = np.random.default_rng(0).integers(len(right), size=(_RESAMPLES, len(right)))
    means = sums[rows].sum(axis=1) / counts[rows].sum(axis=1)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(sums.sum() / counts.sum()), float(low), float(high))


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Return the agreement of two series of labels beyond chance; nan without any.

    Of series that hold one label alone, the same, it is 1: nothing else was to be agreed on.
    """
    if not pairs:
        return math.nan
    labels = sorted({label for pair in pairs for label in pair})
    shares = np.array(
        [[sum(pair[side] == label for pair in pairs) for label in labels] for side in (0, 1)]
    ) / len(pairs)
    chance = float((shares[0] * shares[1]).sum())
    same = float(np.mean([one == other for one, other in pairs]))
    return 1.0 if chance == 1 else (same - chance) / (1 - chance)


def krippendorff_alpha(answers: Mapping[str, Mapping[_Pair, str]]) -> float:
    """Return alpha of labels by rater and unit, not all of which need to be there.

    Args:
        answers: Label of each unit, by rater.

    Returns:
        1 is full agreement, 0 chance; nan without a unit that two raters labelled.
    """
    units: dict[_Pair, list[str]] = defaultdict(list)
    for own in answers.values():
        for unit, label in own.items():
            units[unit].append(label)
    several = [labels for labels in units.values() if len(labels) > 1]
    if not several:
        return math.nan
    totals: dict[str, float] = defaultdict(float)
    apart = 0.0
    for labels in several:
        for label in labels:
            totals[label] += 1
        different = sum(one != other for one, other in combinations(labels, 2))
        apart += 2 * different / (len(labels) - 1)
    n = sum(totals.values())
    expected = n * n - sum(count * count for count in totals.values())
    return 1.0 if expected == 0 else 1 - (n - 1) * apart / expected


def oriented(judged: Preference) -> tuple[_Pair, str]:
    """Return a pair in an order of its own, and `first`, `second` or `tie` of that order."""
    a, b = key_of(judged, judged.a), key_of(judged, judged.b)
    winner = {"a": "first", "b": "second"}.get(judged.better, TIE)
    if a <= b:
        return (a, b), winner
    return (b, a), {"first": "second", "second": "first"}.get(winner, TIE)


def key_of(judged: Preference, shown: RatedAnimation) -> Key:
    """Return what tells an animation from all others: utterance, and digest (or name)."""
    return judged.utterance, shown.sha256 or shown.name


def _mean(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if values else math.nan


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
