"""Label audit: how often LVE and EVE confirm automatic ranks, by level, strength and distance.

Noise and damage make animations worse on average only. Each label is held against LVE and EVE,
which need ground truth: it is a check of the labels, never a source of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.core.intervals import Interval, Resampler
from esarm_env.metrics.table import Figure, table
from esarm_env.metrics.variant import Quantity
from esarm_env.task.episode_metrics import EVE, LVE, STREAM_OF_ERROR
from reward.demonstrations.motions import motions_of
from reward.demonstrations.order import (
    ACROSS,
    EPSILON,
    GROUND_TRUTH,
    Order,
    OrderedPairs,
    SoftLabels,
    fitted_curve,
)

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray
    from esarm_env.task.animation_task import AnimationTask
    from reward.demonstrations.ranked import RankedDemonstrations

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
    lve: Interval
    eve: Interval
    both: Interval


class CellMaker:
    """Makes cells of chosen pairs."""

    def __init__(
        self, votes: dict[str, DoubleArray], cluster: np.ndarray, bootstrap: Resampler
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
            name: self._bootstrap.mean(votes[chosen], cluster)
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
    demonstrations: RankedDemonstrations, order: Order, pairs: OrderedPairs, maker: CellMaker
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


ERRORS = (LVE, EVE)
_BATCH = 256


@dataclass(frozen=True)
class Audit:
    """Figures of one set of demonstrations.

    Attributes:
        levels: Every pair of levels, and each family's every pair of strengths.
        gaps: Pairs of noise levels put together by their difference.
        confidence: Of all intervals.
        corpus: Its name.
    """

    levels: tuple[AuditCell, ...]
    gaps: tuple[AuditCell, ...]
    confidence: float
    corpus: str

    def markdown(self) -> str:
        """Return both tables."""
        by_gap = {_counted(f"{c.better:g} < Δε ≤ {c.worse:g}", c): _figures(c) for c in self.gaps}
        by_level = {_counted(_name(cell), cell): _figures(cell) for cell in self.levels}
        note = (
            f"Share of automatic labels that the true errors confirm, a tie counting one half, "
            f"on {self.corpus}; {100 * self.confidence:g} % bootstrap intervals, utterances drawn "
            "as wholes. The recording has no error, so that its labels are right by definition."
        )
        parts = [note]
        titles = ("noise apart by (pairs)", "better, worse (pairs)")
        for title, rows in zip(titles, (by_gap, by_level), strict=True):
            parts += [table(rows, _COLUMNS, first=title)] if rows else []
        return "\n\n".join(parts) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON; None where nothing is known."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: plain(entry) for key, entry in value.items()}
            if isinstance(value, (list, tuple)):
                return [plain(entry) for entry in value]
            return None if isinstance(value, float) and np.isnan(value) else value

        made: dict[str, Any] = plain(asdict(self))
        return made

    def soft_labels(self) -> SoftLabels:
        """Return how likely a label is right by kind, stream and gap.

        Fit them on training utterances: the probabilities have seen the ground truth of these.
        """
        curves: dict[str, dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {}
        for kind in sorted({cell.kind for cell in self.levels}):
            cells = [cell for cell in self.levels if cell.kind == kind]
            for error, stream in STREAM_OF_ERROR.items():
                known = [cell for cell in cells if not np.isnan(getattr(cell, error)[0])]
                if known:
                    curves.setdefault(kind, {})[stream] = fitted_curve(
                        [cell.gap for cell in known],
                        [getattr(cell, error)[0] for cell in known],
                        weights=[cell.n_pairs for cell in known],
                    )
        return SoftLabels(curves)


def audit_labels(
    demonstrations: RankedDemonstrations,
    task: AnimationTask,
    *,
    errors: dict[str, FloatArray] | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Audit:
    """Hold every automatic label against the true errors.

    Args:
        demonstrations: What is ranked.
        task: Theirs; its recordings are the truth.
        errors: `lve` and `eve` in mm, each (N,), where they are known already.
        resamples: Bootstrap resamples.
        confidence: Of the intervals.
        seed: Of the resampling.

    Raises:
        ValueError: If no two demonstrations have an order.
    """
    order = Order(demonstrations)
    pairs = order.all_pairs()
    if not len(pairs):
        raise ValueError(
            f"`demonstrations` must hold two ranks within some utterance, got equal ranks only "
            f"({len(demonstrations)} animations)"
        )
    errors = errors_of(demonstrations, task) if errors is None else errors
    votes = {name: _votes(errors[name], pairs) for name in ERRORS}
    votes["both"] = np.minimum(votes[LVE], votes[EVE])
    used, cluster = np.unique(demonstrations.utterance, return_inverse=True)
    bootstrap = Resampler(len(used), resamples=resamples, confidence=confidence, seed=seed)
    counter = CellMaker(votes, cluster.reshape(-1)[pairs.better], bootstrap)
    return Audit(
        levels=tuple(level_cells(demonstrations, order, pairs, counter)),
        gaps=tuple(gap_cells(pairs, counter)),
        confidence=confidence,
        corpus=task.corpus.name,
    )


def errors_of(demonstrations: RankedDemonstrations, task: AnimationTask) -> dict[str, FloatArray]:
    """Return `lve` and `eve` in mm of every demonstration, damage included, each (N,)."""
    from esarm_env.task.animation_task import pad_stack

    parts: dict[str, list[FloatArray]] = {name: [] for name in ERRORS}
    for begin in range(0, len(demonstrations), _BATCH):
        some = demonstrations[begin : begin + _BATCH]
        motion = pad_stack(motions_of(some, task), edge=True)
        found = task.errors_of_motion(motion, some.utterance)
        for name in ERRORS:
            parts[name].append(found[name])
    return {name: np.concatenate(part) for name, part in parts.items()}


def _votes(error: FloatArray, pairs: OrderedPairs) -> DoubleArray:
    """Return 1 where the better one has the smaller error, 0.5 for a tie; nan if unknown."""
    better, worse = error[pairs.better], error[pairs.worse]
    votes = (better < worse) + 0.5 * (better == worse)
    return np.where(np.isnan(better + worse), np.nan, votes)


def _name(cell: AuditCell) -> str:
    """Return the label of a row of levels."""
    if cell.kind == ACROSS:
        return "undamaged above damage of a lower rank"
    if cell.kind == GROUND_TRUTH:
        return f"ground truth, ε = {cell.worse:g}"
    what = "ε =" if cell.kind == EPSILON else cell.kind
    return f"{what} {cell.better:g}, {cell.worse:g}"


def _counted(label: str, cell: AuditCell) -> str:
    return f"{label} ({cell.n_pairs})"


def _figures(cell: AuditCell) -> dict[str, Figure]:
    return {
        name: (100 * share, 100 * low, 100 * high)
        for name, (share, low, high) in (
            (LVE, cell.lve),
            (EVE, cell.eve),
            ("both", cell.both),
        )
    }


_COLUMNS = {
    LVE: Quantity("LVE agrees", "share of labels", "%", "higher"),
    EVE: Quantity("EVE agrees", "share of labels", "%", "higher"),
    "both": Quantity("both agree", "share of labels", "%", "higher"),
}
