"""Choice of the next pair: by chance, or where the members of a reward disagree most."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esarm_env.core.errors import InputError

if TYPE_CHECKING:
    from esarm_env.core.types import FloatArray
    from reward.judging.pool import Pool

# Rows of a pool, the lower one first.
Pair = tuple[int, int]
_DRAWN = 256  # pairs among which the most doubtful are looked for
_DOUBTFUL = 8  # of these, one is taken by chance: the single worst would come from one utterance


class PairChoice(Protocol):
    """Chooses the next pair for a rater."""

    def pick(self, pool: Pool, known: Set[Pair], rng: np.random.Generator) -> Pair | None:
        """Return a pair that is not `known`; None if the rater knows them all.

        Args:
            pool: Whose rows a pair names.
            known: Pairs that the rater has judged.
            rng: What to draw with.
        """


class RandomPairs:
    """Utterances equally often, and of each its pairs."""

    def pick(self, pool: Pool, known: Set[Pair], rng: np.random.Generator) -> Pair | None:
        """Return a pair that is not `known`; see `PairChoice`."""
        for name in rng.permutation(list(pool.rows_of)).tolist():
            open_pairs = [pair for pair in _pairs_of(pool, name) if pair not in known]
            if open_pairs:
                return open_pairs[int(rng.integers(len(open_pairs)))]
        return None


class ActivePairs:
    """Pairs about which the members of a reward disagree; of one member, those it cannot decide.

    A pair's disagreement is the spread of the members' probabilities that the first is better
    (Christiano et al. 2017, query by committee).
    """

    def __init__(self, scores: FloatArray) -> None:
        """Choose by the scores of a reward's members.

        Args:
            scores: Shape (M, N), of the pool's animations by every member; one rater's unit is
                the spread of the scores.

        Raises:
            InputError: If it has another shape, or a score is not finite.
        """
        if scores.ndim != 2 or 0 in scores.shape or not np.isfinite(scores).all():
            raise InputError(
                f"`scores` must be finite, of shape (members, animations), got {scores.shape}"
            )
        self._scores = scores / max(float(scores.std(axis=1).mean()), 1e-9)

    def pick(self, pool: Pool, known: Set[Pair], rng: np.random.Generator) -> Pair | None:
        """Return a pair that is not `known`; see `PairChoice`."""
        if self._scores.shape[1] != len(pool.animations):
            raise InputError(
                f"`scores` must be of {len(pool.animations)} animations, "
                f"got {self._scores.shape[1]}"
            )
        drawn: set[Pair] = set()
        for name in rng.permutation(list(pool.rows_of)).tolist():
            drawn.update(pair for pair in _pairs_of(pool, name) if pair not in known)
            if len(drawn) >= _DRAWN:
                break
        if not drawn:
            return None
        pairs = sorted(drawn)
        doubt = self.doubt_of(np.array(pairs))
        worst = np.argsort(-doubt, kind="stable")[:_DOUBTFUL]
        return pairs[int(rng.choice(worst))]

    def doubt_of(self, pairs: np.ndarray) -> np.ndarray:
        """Return how much is in doubt of pairs (P, 2), shape (P,); only their order matters."""
        better = 1 / (1 + np.exp(-(self._scores[:, pairs[:, 0]] - self._scores[:, pairs[:, 1]])))
        doubt: np.ndarray
        if len(better) > 1:
            doubt = better.std(axis=0)
        else:
            doubt = -np.abs(better[0] - 0.5)
        return doubt


def _pairs_of(pool: Pool, utterance: str) -> list[Pair]:
    rows = pool.rows_of[utterance]
    first, second = np.triu_indices(len(rows), 1)
    return list(zip(rows[first].tolist(), rows[second].tolist(), strict=True))
