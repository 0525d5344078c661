"""Pair accuracy by kind, gap and emotion, and probes that a reward must not fall for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.task.episode_metrics import STREAM_OF_ERROR
from reward.demonstrations.order import EPSILON, GROUND_TRUTH, Order, OrderedPairs

if TYPE_CHECKING:
    from esarm_env.core.intervals import Resampler, Triple
    from esarm_env.core.types import BoolArray, DoubleArray, FloatArray, IntArray
    from reward.demonstrations import RankedDemonstrations

LOOP_FRAMES = 15  # half a second: a short word


def frozen_mean(motion: FloatArray) -> FloatArray:
    """Return the mean pose of `motion` (T, 52), held still."""
    return np.repeat(motion.mean(axis=0, keepdims=True), len(motion), axis=0)


def frozen_first(motion: FloatArray) -> FloatArray:
    """Return the first frame of `motion` (T, 52), held still."""
    return np.repeat(motion[:1], len(motion), axis=0)


def loop(motion: FloatArray) -> FloatArray:
    """Return the middle half second of `motion` (T, 52) again and again."""
    n = len(motion)
    begin = max(0, (n - LOOP_FRAMES) // 2)
    size = min(LOOP_FRAMES, n)
    return motion[begin + np.arange(n) % size]


# Beside these, the report asks the corruption families.
PLAIN_PROBES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "frozen face, mean pose": frozen_mean,
    "frozen face, first frame": frozen_first,
    "repetition, a loop of 0.5 s": loop,
}
# Name, family and strength of the others; the gain of an over-amplification is 1 + 2 * strength.
FAMILY_PROBES: dict[str, tuple[str, float]] = {
    "repetition, 0.3 to 1 s all along": ("repetition", 1.0),
    "over-amplification, 1.25 times": ("over-amplification", 0.125),
    "over-amplification, 1.5 times": ("over-amplification", 0.25),
    "over-amplification, 2 times": ("over-amplification", 0.5),
    "shuffled audio": ("shuffled-audio", 1.0),
    "wrong emotion, blended in": ("wrong-emotion", 1.0),
    "wrong emotion, asked of the clone": ("policy-emotion", 1.0),
}


@dataclass(frozen=True)
class PairCell:
    """Pairs that were put together.

    Attributes:
        label: What they have in common.
        n_pairs: How many.
        n_utterances: Of so many utterances.
        right: By scorer, share that it ranks as labelled; a tie counts one half.
        confirmed: By true error, share of labels that it confirms.
    """

    label: str
    n_pairs: int
    n_utterances: int
    right: dict[str, Triple]
    confirmed: dict[str, Triple]


class PairTable:
    """All pairs of some demonstrations that have an order, with everyone's vote on each."""

    def __init__(
        self,
        demonstrations: RankedDemonstrations,
        *,
        scores: dict[str, FloatArray],
        errors: dict[str, FloatArray],
        resampler: Resampler,
        chosen: BoolArray | None = None,
    ) -> None:
        """Find the pairs.

        Args:
            demonstrations: N animations.
            scores: By scorer, (N,); nan where it cannot tell.
            errors: `lve` and `eve` in mm, (N,).
            resampler: Over the demonstrations' utterances in ascending order.
            chosen: Shape (N,), which of them to pair; by default all.

        Raises:
            ValueError: If no two have an order.
        """
        rows = np.flatnonzero(np.ones(len(demonstrations), bool) if chosen is None else chosen)
        order = Order(demonstrations[rows])
        pairs = order.all_pairs()
        if not len(pairs):
            raise ValueError(
                f"`demonstrations` must hold two ranks of one utterance, got {len(rows)} animations"
                " of equal ranks"
            )
        self.demonstrations, self._resampler = demonstrations, resampler
        self.kind = np.array(order.kinds)[pairs.kind]
        self.gap = pairs.gap.round(6)
        self.better, self.worse = rows[pairs.better], rows[pairs.worse]
        places = np.unique(demonstrations.utterance, return_inverse=True)[1].reshape(-1)
        self.utterance: IntArray = places[self.better]
        self.differences = {
            name: self._over(values, pairs, rows) for name, values in scores.items()
        }
        self._right = {name: _votes(gap) for name, gap in self.differences.items()}
        self._confirmed = {
            name: _votes(-self._over(errors[name], pairs, rows)) for name in STREAM_OF_ERROR
        }

    def cell(self, label: str, wanted: BoolArray) -> PairCell | None:
        """Return the figures of the pairs that are `wanted` (P,); None if there are none."""
        if not wanted.any():
            return None
        places = self.utterance[wanted]
        shares: list[dict[str, Triple]] = [
            {n: self._resampler.mean(votes[wanted], places) for n, votes in group.items()}
            for group in (self._right, self._confirmed)
        ]
        return PairCell(label, int(wanted.sum()), len(np.unique(places)), *shares)

    def epsilons(self, better: float, worse: float) -> BoolArray:
        """Return which pairs are of these two noise levels, shape (P,)."""
        noise = self.demonstrations.epsilon
        same = np.isclose(noise[self.better], better) & np.isclose(noise[self.worse], worse)
        return self.of_kind(EPSILON) & same

    def of_kind(self, *kinds: str) -> BoolArray:
        """Return which pairs are of one of these kinds, shape (P,); see `Order`."""
        found: BoolArray = np.isin(self.kind, kinds)
        return found

    def truth_above(self, origin: str, others: BoolArray) -> BoolArray:
        """Return which pairs have ground truth of `origin` above one of `others` (N,)."""
        made: BoolArray = self.demonstrations.making.origin[self.better] == origin
        above: BoolArray = self.of_kind(GROUND_TRUTH) & made & others[self.worse]
        return above

    @staticmethod
    def _over(values: FloatArray, pairs: OrderedPairs, rows: IntArray) -> DoubleArray:
        chosen = values[rows].astype(np.float64)
        over: DoubleArray = chosen[pairs.better] - chosen[pairs.worse]
        return over


def _votes(difference: DoubleArray) -> DoubleArray:
    """Return 1 where the better one is above, 0.5 for a tie, nan where one is not known."""
    votes = (difference > 0) + 0.5 * (difference == 0)
    return np.where(np.isnan(difference), np.nan, votes)
