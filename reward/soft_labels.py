"""How likely an automatic label is right, by what orders the pair and how far apart it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from esarm_env.types import FloatArray

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
