"""Utterance sampling: uniform, weighted or length-bucketed, with one generator per environment.

A draw is one number in [0, 1) looked up in the cumulative weights, so that the scalar environment
and the vector environment, which looks up many at once, draw the same utterances. The vector
environment keeps one generator per row (`Generators`), seeded as its scalar twins would be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from esarm_env.core.errors import InputError
from esarm_env.core.types import DoubleArray, IntArray, Record

Weights = Mapping[str, float] | Callable[[Record], float]
_BELOW_ONE = float(np.nextafter(1, 0))  # upper bound of a draw: bucket + number may round up to 1
_BUCKET_SEED = 1_905  # of the order in which buckets come, equal in all environments
Seeds = int | Sequence[int | None] | None


@dataclass(frozen=True)
class Sampling:
    """Distribution over utterances: weights and length buckets.

    Attributes:
        weights: None for equal ones; ids to weights (0 for an id that is not named); or a function
            of a `Record`, for instance `lambda record: 2.0 if record.emotion == "sad" else 1.0`.
        n_buckets: With 1, every episode draws from all utterances. With more, utterances are sorted
            by length into buckets of equal weight, and the k-th episodes of all environments draw
            from one bucket: episodes of a vector environment then end at about the same time. How
            often an utterance is drawn stays as its weight says.
    """

    weights: Weights | None = None
    n_buckets: int = 1

    def __post_init__(self) -> None:
        """Check the types and the number of buckets."""
        n = self.n_buckets
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise InputError(f"`n_buckets` must be an integer of at least 1, got {n!r}")
        given = self.weights
        by_id = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
        if not (given is None or by_id or callable(given)):
            raise InputError(
                "`weights` must be None, ids with weights, or a function of a record, "
                f"got {given!r}"
            )


class UtteranceSampler:
    """Inverse-CDF sampler of utterances, on uniform numbers that the caller draws.

    Attributes:
        shares: How often each utterance is drawn, shape (n,), as they were given; None for equally
            often.
    """

    def __init__(
        self, sampling: Sampling, utterances: IntArray, *, records: tuple[Record, ...]
    ) -> None:
        """Prepare draws.

        Args:
            sampling: How to draw.
            utterances: Indices to draw from, shape (n,), at least one.
            records: Of the whole corpus.

        Raises:
            InputError: If an id is unknown, or the weights are not finite, not negative, and
                above 0 for at least one utterance.
        """
        n_frames = np.array([records[int(index)].n_frames for index in utterances])
        self._utterances = utterances[np.argsort(n_frames, kind="stable")]
        weights = _weights_of(sampling.weights, [records[int(i)] for i in self._utterances])
        drawn = weights > 0
        self._utterances = self._utterances[drawn]
        shares = weights[drawn] / weights.max()  # divided first: the sum of huge weights overflows
        self._cumulative = np.cumsum(shares / shares.sum())
        self._cumulative[-1] = 1.0  # exact, as rounding may leave it below a draw
        self._n_buckets = sampling.n_buckets
        self.shares: DoubleArray | None = None
        if sampling.weights is not None:
            by_utterance = np.zeros(int(utterances.max()) + 1)
            by_utterance[self._utterances] = shares / shares.sum()
            self.shares = by_utterance[utterances]

    def draw(self, number: float, episode: int) -> int:
        """Return the utterance for a uniform `number` in [0, 1) and an episode counter."""
        if self._n_buckets > 1:
            number = min((self._bucket(episode) + number) / self._n_buckets, _BELOW_ONE)
        return int(self._utterances[self._cumulative.searchsorted(number, side="right")])

    def draw_many(self, numbers: DoubleArray, episodes: IntArray) -> IntArray:
        """Return `draw` of each pair, shape (N,)."""
        if self._n_buckets > 1:
            buckets = [self._bucket(int(episode)) for episode in episodes]
            numbers = np.minimum((np.array(buckets) + numbers) / self._n_buckets, _BELOW_ONE)
        return self._utterances[self._cumulative.searchsorted(numbers, side="right")]

    def _bucket(self, episode: int) -> int:
        """Return the bucket of an episode number; each lap is a permutation of all buckets."""
        lap, place = divmod(episode, self._n_buckets)
        return _bucket_order(self._n_buckets, lap)[place]


@lru_cache(maxsize=64)
def _bucket_order(n_buckets: int, lap: int) -> tuple[int, ...]:
    order = np.random.default_rng([_BUCKET_SEED, n_buckets, lap]).permutation(n_buckets)
    return tuple(order.tolist())


def _weights_of(weights: Weights | None, records: list[Record]) -> DoubleArray:
    """Return one weight per record, shape (n,)."""
    if weights is None:
        return np.ones(len(records))
    if isinstance(weights, Mapping):
        known = weights
        unknown = sorted(set(weights) - {record.id for record in records})
        if unknown:
            raise InputError(
                "`weights` must name utterances of the split that are not too long "
                f"(such as {records[0].id!r}), got {', '.join(unknown[:3])}"
            )
        given = [known.get(record.id, 0.0) for record in records]
    else:
        given = [weights(record) for record in records]
    try:
        found = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`weights` must be numbers, got {error}") from error
    bad = ~(np.isfinite(found) & (found >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"`weights` must be finite and at least 0, got {found[row]} for {records[row].id!r}"
        )
    if not found.any():
        raise InputError("`weights` must be above 0 for at least one utterance, got none")
    return found


class Generators:
    """N random generators, created lazily; unseeded ones are seeded from the OS."""

    def __init__(self, n: int) -> None:
        """Reserve `n` generators without creating any."""
        self._generators: list[np.random.Generator | None] = [None] * n
        self._seeds = [-1] * n

    def __len__(self) -> int:
        return len(self._generators)

    def __getitem__(self, row: int) -> np.random.Generator:
        generator = self._generators[row]
        if generator is None:
            generator = self.seed(row, None)
        return generator

    def seed(self, row: int, seed: int | None) -> np.random.Generator:
        """Reseed the generator of `row`; None takes entropy from the OS."""
        generator, self._seeds[row] = seeding.np_random(seed)
        self._generators[row] = generator
        return generator

    def seed_of(self, row: int) -> int:
        """Return the seed that the generator of `row` was made from."""
        if self._generators[row] is None:
            self.seed(row, None)
        return self._seeds[row]

    def random(self, rows: IntArray) -> npt.NDArray[np.float64]:
        """Return one number in [0, 1) of each of `rows`, shape (n,)."""
        known = self._generators
        return np.array([(known[row] or self[row]).random() for row in rows.tolist()])

    def seeds_of_rows(self, seed: Seeds) -> Sequence[int | None]:
        """Return one seed per row: `seed + i` for a number, a list as it is.

        Raises:
            InputError: If `seed` is neither a number nor a list of `len(self)`, or negative.
        """
        if seed is None:
            return [None] * len(self)
        if _is_seed(seed):
            return [int(seed) + row for row in range(len(self))]
        if not isinstance(seed, Sequence) or len(seed) != len(self):
            raise InputError(f"`seed` must be one number or {len(self)}, got {seed!r}")
        wrong = [each for each in seed if each is not None and not _is_seed(each)]
        if wrong:
            raise InputError(f"`seed` must hold integers of at least 0 or None, got {wrong[0]!r}")
        return seed


def _is_seed(value: Any) -> TypeGuard[int]:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return bool(whole and value >= 0)
