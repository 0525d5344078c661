"""The label audit: how often the true errors agree with what automatic ranking says.

Noise and damage make animations worse on average only. Each label is held against LVE and EVE,
which need ground truth: it is a check of the labels, never a source of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esarm_env.metrics.quantity import Quantity
from esarm_env.metrics.table import Figure, table
from esarm_env.types import FloatArray
from reward.demonstrations.audit_cells import AuditCell, CellMaker, gap_cells, level_cells
from reward.demonstrations.intervals import ClusterBootstrap, DoubleArray
from reward.demonstrations.motions import motions_of
from reward.demonstrations.order import ACROSS, EPSILON, GROUND_TRUTH, Order, OrderedPairs
from reward.demonstrations.ranked import Demonstrations
from reward.soft_labels import SoftLabels, fitted_curve

if TYPE_CHECKING:
    from esarm_env.task import AnimationTask

ERRORS = ("lve", "eve")
STREAM_OF_ERROR = {"lve": "mouth", "eve": "upper"}
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
    demonstrations: Demonstrations,
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
    votes["both"] = np.minimum(votes["lve"], votes["eve"])
    used, cluster = np.unique(demonstrations.utterance, return_inverse=True)
    bootstrap = ClusterBootstrap(len(used), resamples=resamples, confidence=confidence, seed=seed)
    counter = CellMaker(votes, cluster.reshape(-1)[pairs.better], bootstrap)
    return Audit(
        levels=tuple(level_cells(demonstrations, order, pairs, counter)),
        gaps=tuple(gap_cells(pairs, counter)),
        confidence=confidence,
        corpus=task.corpus.name,
    )


def errors_of(demonstrations: Demonstrations, task: AnimationTask) -> dict[str, FloatArray]:
    """Return `lve` and `eve` in mm of every demonstration, damage included, each (N,)."""
    from esarm_env.task import pad_stack

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
            ("lve", cell.lve),
            ("eve", cell.eve),
            ("both", cell.both),
        )
    }


_COLUMNS = {
    "lve": Quantity("LVE agrees", "share of labels", "%", "higher"),
    "eve": Quantity("EVE agrees", "share of labels", "%", "higher"),
    "both": Quantity("both agree", "share of labels", "%", "higher"),
}
