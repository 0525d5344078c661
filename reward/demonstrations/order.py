"""Which of two demonstrations ranks higher, as far as automatic ranking can say.

Both must answer the same utterance under the same condition. Then

| kind | better | worse |
|---|---|---|
| `epsilon` | a roll-out with less noise | a roll-out of the same policy and temperature with more |
| `ground-truth` | the recording, or its reconstruction | any roll-out |
| a family's name | less of this damage, or none | more of it, to the same animation |
| `across` | an undamaged animation | damage of whatever ranks below it |

and nothing else has an order: over-smoothing may be better or worse than a little noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esarm_env.types import FloatArray, IntArray
from reward.demonstrations.making import POLICY
from reward.demonstrations.ranked import Demonstrations

EPSILON, GROUND_TRUTH, ACROSS = "epsilon", "ground-truth", "across"
_BLOCK = 1_000_000  # pairs that are compared at once


@dataclass(frozen=True)
class OrderedPairs:
    """Pairs of rows, the better one first.

    Attributes:
        better: Shape (P,), rows.
        worse: Shape (P,), rows.
        kind: Shape (P,), place of what orders them in `Order.kinds`.
        gap: Shape (P,), difference of ranks, or of strengths within a family, above 0.
        group: Shape (P,), number of their utterance and condition.
    """

    better: IntArray
    worse: IntArray
    kind: IntArray
    gap: FloatArray
    group: IntArray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.better)

    def __getitem__(self, rows: npt.NDArray[np.generic] | slice) -> OrderedPairs:
        """Return the selected pairs."""
        return OrderedPairs(**{name: values[rows] for name, values in vars(self).items()})

    @staticmethod
    def concatenate(parts: list[OrderedPairs]) -> OrderedPairs:
        """Join `parts`."""
        names = list(vars(parts[0]))
        return OrderedPairs(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


class Order:
    """The order of one set of demonstrations, looked up for many pairs at once."""

    def __init__(self, demonstrations: Demonstrations) -> None:
        """Find out which rows may be compared at all."""
        making = demonstrations.making
        families = sorted(set(making.family.tolist()) - {""})
        self.kinds: tuple[str, ...] = (EPSILON, GROUND_TRUTH, ACROSS, *families)
        self._family = np.array([0, *range(3, len(self.kinds))])[
            np.searchsorted(["", *families], making.family)
        ]  # 0 without damage, else its place in `kinds`
        self._rank, self._strength = making.rank, making.strength
        self._true = making.origin != POLICY
        condition = np.unique(demonstrations.trajectories.condition, axis=0, return_inverse=True)[1]
        self.group = _numbers(demonstrations.utterance, condition.reshape(-1))
        self._policy = _numbers(making.iteration, making.temperature)
        origin = np.unique(making.origin, return_inverse=True)[1]
        self._base = _numbers(
            self.group, origin, self._policy, demonstrations.epsilon, making.sample, making.rank
        )

    def compare(self, a: IntArray, b: IntArray) -> OrderedPairs:
        """Return those of the pairs of rows `a` (P,), `b` (P,) that have an order."""
        kind = np.full(len(a), -1)
        gap = np.zeros(len(a), dtype=np.float32)  # above 0 where a is the better
        plain_a, plain_b = self._family[a] == 0, self._family[b] == 0
        lower = self._rank[b] - self._rank[a]
        true = self._true[a] | self._true[b]
        same_policy = self._policy[a] == self._policy[b]

        noise = plain_a & plain_b & (true | same_policy)
        kind[noise] = np.where(true, 1, 0)[noise]
        gap[noise] = lower[noise]

        family = np.maximum(self._family[a], self._family[b])
        one = (self._family[a] == self._family[b]) | plain_a | plain_b
        ladder = (self._base[a] == self._base[b]) & one & ~(plain_a & plain_b)
        kind[ladder] = family[ladder]
        gap[ladder] = (self._strength[b] - self._strength[a])[ladder]

        downhill = np.where(plain_a, lower > 0, lower < 0)  # the undamaged one ranks higher anyway
        across = (plain_a != plain_b) & ~ladder & (true | same_policy) & downhill
        kind[across] = 2
        gap[across] = (lower + self._strength[b] - self._strength[a])[across]

        known = (kind >= 0) & (gap != 0) & (self.group[a] == self.group[b])
        first = gap > 0
        pairs = OrderedPairs(
            better=np.where(first, a, b),
            worse=np.where(first, b, a),
            kind=kind,
            gap=np.abs(gap),
            group=self.group[a],
        )
        return pairs[known]

    def all_pairs(self) -> OrderedPairs:
        """Return every pair that has an order, group by group."""
        blocks = [self.compare(a, b) for a, b in self._candidates()]
        empty = np.zeros(0, dtype=np.int64)
        return OrderedPairs.concatenate(blocks) if blocks else self.compare(empty, empty)

    def _candidates(self) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield all pairs of rows of one group, in blocks."""
        rows = np.argsort(self.group, kind="stable")
        parts: list[tuple[IntArray, IntArray]] = []
        for members in np.split(rows, np.flatnonzero(np.diff(self.group[rows])) + 1):
            first, second = np.triu_indices(len(members), 1)
            parts.append((members[first], members[second]))
            if sum(len(part[0]) for part in parts) > _BLOCK:
                yield _joined(parts)
                parts = []
        if parts:
            yield _joined(parts)


def _joined(parts: list[tuple[IntArray, IntArray]]) -> tuple[IntArray, IntArray]:
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def _numbers(*columns: np.ndarray) -> IntArray:
    """Return a number per row that equal rows of `columns` share."""
    stacked = np.stack([column.astype(np.float64) for column in columns], axis=1)
    numbers: IntArray = np.unique(stacked, axis=0, return_inverse=True)[1].reshape(-1)
    return numbers
