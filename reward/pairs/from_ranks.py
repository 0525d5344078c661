"""Labelled pairs from ranked demonstrations, both animations cropped alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reward.demonstrations.corruptions import family_named
from reward.demonstrations.order import (
    ACROSS,
    EPSILON,
    GROUND_TRUTH,
    Order,
    OrderedPairs,
    SoftLabels,
)
from reward.pairs.labelled import BOTH_STREAMS, STREAM_FLAGS, LabelledPairs

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray, IntArray
    from reward.demonstrations.ranked import RankedDemonstrations

_ROUNDING = 1e-6  # of noise levels kept in 32 bits


class RankedPairs:
    """All pairs of some demonstrations that automatic ranking orders, to be drawn from.

    Drawing takes kinds (`epsilon`, `ground-truth`, `across`, each family) equally often, within a
    kind utterances equally often, and within an utterance its pairs, so that neither a family with
    many strengths nor an utterance with many roll-outs outweighs the others.
    """

    def __init__(
        self,
        demonstrations: RankedDemonstrations,
        *,
        min_gap: float = 0.1,
        min_strength_gap: float = 0.0,
        labels: SoftLabels | None = None,
        kinds: Sequence[str] | None = None,
    ) -> None:
        """Find the pairs.

        Args:
            demonstrations: Whose rows the pairs name.
            min_gap: Least difference in noise between two roll-outs.
            min_strength_gap: Least difference in strength within a family.
            labels: How far labels are to be believed; by default fully.
            kinds: Which kinds to use; by default all there are.

        Raises:
            ValueError: If nothing can be compared.
        """
        self._labels = SoftLabels() if labels is None else labels
        order = Order(demonstrations)
        self._names = order.kinds
        found = order.all_pairs()
        if not len(found):
            raise ValueError(_why_none(demonstrations))
        pairs = found[self._wanted(found, min_gap, min_strength_gap, kinds)]
        if not len(pairs):
            there = sorted({order.kinds[kind] for kind in found.kind.tolist()})
            raise ValueError(
                f"`min_gap` and `kinds` must leave a pair, got {min_gap} (strength "
                f"{min_strength_gap}) and {kinds}; the largest gap is {found.gap.max():g}, "
                f"and kinds are {', '.join(there)}"
            )
        pairs = pairs[np.lexsort((pairs.group, pairs.kind))]
        self._pairs = pairs
        fresh = (np.diff(pairs.kind) != 0) | (np.diff(pairs.group) != 0)
        self._starts = np.concatenate([[0], np.flatnonzero(fresh) + 1])
        self._sizes = np.diff([*self._starts, len(pairs)])
        per_kind = np.unique(pairs.kind[self._starts], return_index=True, return_counts=True)
        self._kinds, self._first_of_kind, self._n_of_kind = per_kind

    def __len__(self) -> int:
        """Return the number of pairs there are."""
        return len(self._pairs)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of pairs there are."""
        return tuple(self._names[kind] for kind in self._kinds)

    def draw(self, n: int, rng: np.random.Generator, *, by_stream: bool = False) -> LabelledPairs:
        """Draw `n` pairs, with replacement; in half of them the worse animation comes first.

        Args:
            n: Pairs.
            rng: What to draw with.
            by_stream: See `all`.
        """
        kind = rng.integers(len(self._kinds), size=n)
        numbers = rng.random((2, n))
        segment = self._first_of_kind[kind] + (numbers[0] * self._n_of_kind[kind]).astype(np.int64)
        row = self._starts[segment] + (numbers[1] * self._sizes[segment]).astype(np.int64)
        return self._labelled(row, rng.random(n) < 0.5, by_stream=by_stream)

    def all(self, *, by_stream: bool = False) -> LabelledPairs:
        """Return every pair once, the better animation first.

        Args:
            by_stream: False gives each pair once, its probability the mean over the streams that
                it concerns; True gives it once for each of these, with that stream's probability.
        """
        rows = np.arange(len(self._pairs))
        return self._labelled(rows, np.zeros(len(rows), dtype=np.bool_), by_stream=by_stream)

    def kind_of(self, rows: IntArray | None = None) -> list[str]:
        """Return the kind of every pair of `all()`, or of some."""
        kinds = self._pairs.kind if rows is None else self._pairs.kind[rows]
        return [self._names[kind] for kind in kinds.tolist()]

    def _wanted(
        self,
        pairs: OrderedPairs,
        min_gap: float,
        min_strength_gap: float,
        kinds: Sequence[str] | None,
    ) -> np.ndarray:
        least = np.full(len(self._names), min_strength_gap)
        least[:3] = [min_gap, 0, 0]
        wanted = pairs.gap >= least[pairs.kind] - _ROUNDING
        if kinds is not None:
            unknown = [name for name in kinds if name not in self._names]
            if unknown:
                raise ValueError(
                    f"`kinds` must be among {', '.join(self._names)}, got {', '.join(unknown)}"
                )
            wanted &= np.isin(pairs.kind, [self._names.index(name) for name in kinds])
        return wanted

    def _labelled(self, rows: IntArray, swapped: np.ndarray, *, by_stream: bool) -> LabelledPairs:
        chosen = self._pairs[rows]
        flags = np.array([_flags_of(name) for name in self._names], dtype=np.int8)[chosen.kind]
        right = {name: self._believed(chosen, name) for name in STREAM_FLAGS}
        concerned = {name: (flags & flag) > 0 for name, flag in STREAM_FLAGS.items()}
        if by_stream:
            parts = [
                _turned(chosen, swapped, right[name], np.full(len(rows), flag, dtype=np.int8))[
                    concerned[name]
                ]
                for name, flag in STREAM_FLAGS.items()
            ]
            return LabelledPairs.concatenate(parts)
        total = sum(right[name] * concerned[name] for name in STREAM_FLAGS)
        count = sum(concerned[name].astype(np.float32) for name in STREAM_FLAGS)
        return _turned(chosen, swapped, np.asarray(total / count, dtype=np.float32), flags)

    def _believed(self, pairs: OrderedPairs, stream: str) -> FloatArray:
        probability = np.zeros(len(pairs), dtype=np.float32)
        for kind in np.unique(pairs.kind):
            mine = pairs.kind == kind
            name = self._names[kind]
            probability[mine] = self._labels.probability(name, pairs.gap[mine], stream=stream)
        return probability


def _turned(
    pairs: OrderedPairs, swapped: np.ndarray, right: FloatArray, stream: np.ndarray
) -> LabelledPairs:
    return LabelledPairs(
        np.where(swapped, pairs.worse, pairs.better),
        np.where(swapped, pairs.better, pairs.worse),
        np.where(swapped, 1 - right, right).astype(np.float32),
        np.ones(len(pairs), dtype=np.float32),
        stream,
    )


def _flags_of(kind: str) -> int:
    """Return which streams a pair of this kind judges."""
    if kind in (EPSILON, GROUND_TRUTH, ACROSS):
        return BOTH_STREAMS
    return sum(STREAM_FLAGS[stream] for stream in family_named(kind).damages)


def _why_none(demonstrations: RankedDemonstrations) -> str:
    levels = demonstrations.levels.tolist()
    plain = bool(demonstrations.roll_outs.all())
    if plain and len(levels) == 1:
        return f"`demonstrations` must hold at least two noise levels, got {levels} only"
    return (
        "`demonstrations` must hold two animations of one utterance and condition that differ in "
        f"rank, got equal ranks only ({len(demonstrations)} animations of "
        f"{len(np.unique(demonstrations.utterance))} utterances)"
    )


def crop_windows(
    n_chunks_a: IntArray,
    n_chunks_b: IntArray,
    *,
    shortest_share: float,
    rng: np.random.Generator,
    shortest: int = 1,
) -> tuple[IntArray, IntArray]:
    """Draw one stretch per pair, the same for both of its animations: they hear the same audio.

    Args:
        n_chunks_a: Shape (P,), length of each pair's first animation.
        n_chunks_b: Shape (P,), of its second.
        shortest_share: Least share of the animation that is kept, above 0, at most 1.
        rng: What to draw with.
        shortest: Least chunks that are kept, where there are as many.

    Returns:
        First chunk and number of chunks, each (P,).

    Raises:
        ValueError: If the lengths of a pair differ, or the share is out of range.
    """
    if not np.array_equal(n_chunks_a, n_chunks_b):
        row = int(np.flatnonzero(n_chunks_a != n_chunks_b)[0])
        raise ValueError(
            "both animations of a pair must be equally long, "
            f"got {n_chunks_a[row]} and {n_chunks_b[row]} chunks in pair {row}"
        )
    if not 0 < shortest_share <= 1:
        raise ValueError(f"`shortest_share` must be above 0 and at most 1, got {shortest_share}")
    share, place = rng.random((2, len(n_chunks_a)))
    wanted = np.ceil(n_chunks_a * (shortest_share + (1 - shortest_share) * share))
    kept = np.minimum(np.maximum(wanted, shortest), n_chunks_a).astype(np.int64)
    first = np.floor((n_chunks_a - kept + 1) * place).astype(np.int64)
    return first, kept
