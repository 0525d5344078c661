"""The figures of a label audit: pairs put together by levels, strengths, or distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reward.demonstrations.intervals import ClusterBootstrap, DoubleArray, Share
from reward.demonstrations.order import ACROSS, EPSILON, GROUND_TRUTH, Order, OrderedPairs
from reward.demonstrations.ranked import Demonstrations

# Differences in noise are put together up to these.
GAP_EDGES = (0.1, 0.23, 0.3, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class AuditCell:
    """Pairs of one kind and two levels.

    Attributes:
        kind: `epsilon`, `ground-truth`, `across` or a family.
        better: Noise level or strength of the animation that is labelled better; -1 is ground
            truth, nan stands for various.
        worse: Of the other one.
        gap: Mean difference.
        n_pairs: Pairs.
        n_utterances: Utterances that they come from.
        lve: Share of labels that the lip error confirms, with its interval; a tie counts one half.
        eve: The same of the upper-face error.
        both: Share that both confirm; the smaller of the two votes.
    """

    kind: str
    better: float
    worse: float
    gap: float
    n_pairs: int
    n_utterances: int
    lve: Share
    eve: Share
    both: Share


class CellMaker:
    """Makes cells of chosen pairs."""

    def __init__(
        self, votes: dict[str, DoubleArray], cluster: np.ndarray, bootstrap: ClusterBootstrap
    ) -> None:
        """Keep the votes.

        Args:
            votes: By error, shape (P,), 1 where it confirms the label; nan where it is not known.
            cluster: Shape (P,), the utterance of each pair.
            bootstrap: Of the intervals.
        """
        self._votes, self._cluster, self._bootstrap = votes, cluster, bootstrap

    def cell(
        self, pairs: OrderedPairs, chosen: np.ndarray, *, kind: str, better: float, worse: float
    ) -> AuditCell:
        """Return the cell of the pairs at the places `chosen`."""
        cluster = self._cluster[chosen]
        shares = {
            name: self._bootstrap.share(votes[chosen], cluster)
            for name, votes in self._votes.items()
        }
        return AuditCell(
            kind=kind,
            better=better,
            worse=worse,
            gap=float(pairs.gap[chosen].mean()),
            n_pairs=len(chosen),
            n_utterances=len(np.unique(cluster)),
            **shares,
        )


def level_cells(
    demonstrations: Demonstrations, order: Order, pairs: OrderedPairs, maker: CellMaker
) -> list[AuditCell]:
    """Return a cell per kind and pair of levels, in their order."""
    making = demonstrations.making
    ranked = np.isin(pairs.kind, [order.kinds.index(name) for name in (EPSILON, GROUND_TRUTH)])
    levels = [
        np.where(ranked, making.rank[rows], making.strength[rows]).round(6)
        for rows in (pairs.better, pairs.worse)
    ]
    for level in levels:
        level[pairs.kind == order.kinds.index(ACROSS)] = np.inf  # told apart no further
    keys = np.stack([pairs.kind, *levels], axis=1)
    found, place = np.unique(keys, axis=0, return_inverse=True)
    members = np.split(
        np.argsort(place.reshape(-1), kind="stable"),
        np.cumsum(np.bincount(place.reshape(-1)))[:-1],
    )
    return [
        maker.cell(
            pairs,
            chosen,
            kind=order.kinds[int(kind)],
            better=_level(better),
            worse=_level(worse),
        )
        for (kind, better, worse), chosen in zip(found, members, strict=True)
    ]


def _level(value: float) -> float:
    return round(float(value), 6) if np.isfinite(value) else float("nan")


def gap_cells(
    pairs: OrderedPairs, maker: CellMaker, *, edges: Sequence[float] = GAP_EDGES
) -> list[AuditCell]:
    """Return a cell per range of noise differences; `better` and `worse` are its ends."""
    cells = []
    for low, high in zip((0.0, *edges), edges, strict=False):
        gap = pairs.gap.round(6)
        chosen = np.flatnonzero((pairs.kind == 0) & (gap > low) & (gap <= high))
        if len(chosen):
            cells.append(maker.cell(pairs, chosen, kind=EPSILON, better=low, worse=high))
    return cells
