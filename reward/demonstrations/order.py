"""Order between two demonstrations, and the probability that its label is right.

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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reward.demonstrations.provenance import POLICY

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from reward.demonstrations.ranked import RankedDemonstrations

BELIEVED = 1.0  # of a kind that was never audited
FLOOR, CEILING = 0.5, 0.99


@dataclass(frozen=True)
class SoftLabels:
    """Probabilities that labels are right; without curves, all labels are believed.

    Attributes:
        curves: By kind (`epsilon`, `ground-truth`, `across`, a family), by stream (`mouth`,
            `upper`): gaps, ascending, and the probability at each. Between gaps it is linear, at a
            gap of 0 it is one half, and beyond the last it stays.
        otherwise: Of kinds and streams without a curve.
    """

    curves: Mapping[str, Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = field(
        default_factory=dict
    )
    otherwise: float = BELIEVED

    def probability(self, kind: str, gap: FloatArray, *, stream: str) -> FloatArray:
        """Return the probability, shape (P,), for pairs of one kind `gap` (P,) apart."""
        curve = self.curves.get(kind, {}).get(stream)
        if curve is None:
            return np.full(len(gap), self.otherwise, dtype=np.float32)
        gaps, shares = curve
        return np.interp(gap, (0.0, *gaps), (FLOOR, *shares)).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for JSON."""
        curves = {
            kind: {stream: [list(gaps), list(shares)] for stream, (gaps, shares) in streams.items()}
            for kind, streams in self.curves.items()
        }
        return {"curves": curves, "otherwise": self.otherwise}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SoftLabels:
        """Return what `as_dict` gave."""
        curves = {
            kind: {name: (tuple(gaps), tuple(shares)) for name, (gaps, shares) in streams.items()}
            for kind, streams in values["curves"].items()
        }
        return cls(curves, values["otherwise"])


def fitted_curve(
    gaps: Sequence[float], shares: Sequence[float], *, weights: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return a rising curve through the shares of right labels at some gaps.

    Least squares among curves that never fall (pool adjacent violators), held within 0.5 and 0.99:
    a label that is wrong more often than right is worth nothing, and is not turned round, for then
    the metric would be the teacher.

    Args:
        gaps: Shape (G,), each above 0; equal ones are pooled.
        shares: Shape (G,), share of right labels.
        weights: Shape (G,), pairs behind each share.

    Raises:
        ValueError: If there is no gap, or one is not above 0.
    """
    if len(gaps) == 0 or not min(gaps) > 0:
        raise ValueError(f"`gaps` must be above 0, at least one, got {list(gaps)}")
    order = np.argsort(gaps, kind="stable")
    blocks: list[list[float]] = []  # last gap, mean share, weight
    members: list[list[float]] = []  # all gaps of each block
    for place in order:
        gap, share, weight = float(gaps[place]), float(shares[place]), float(weights[place])
        blocks.append([gap, share, weight])
        members.append([gap])
        while len(blocks) > 1 and (
            blocks[-2][1] >= blocks[-1][1] or blocks[-2][0] == blocks[-1][0]
        ):
            last, before = blocks.pop(), blocks[-1]
            total = before[2] + last[2]
            before[1] = (before[1] * before[2] + last[1] * last[2]) / total
            before[0], before[2] = last[0], total
            inside = members.pop()
            members[-1] += inside
    knots = {gap: block[1] for block, inside in zip(blocks, members, strict=True) for gap in inside}
    values = np.clip(list(knots.values()), FLOOR, CEILING)
    return tuple(knots), tuple(float(value) for value in values)


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

    def __init__(self, demonstrations: RankedDemonstrations) -> None:
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
