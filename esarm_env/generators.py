"""The random generators of many environments, one each, as scalar environments have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from esarm_env.errors import InputError
from esarm_env.types import IntArray

Seeds = int | Sequence[int | None] | None


class Generators:
    """N generators; one that is used without a seed gets a random one."""

    def __init__(self, n: int) -> None:
        """Make none yet."""
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
        """Make the generator of `row` anew from `seed`, from the system's entropy for None."""
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

    def spread(self, seed: Seeds) -> Sequence[int | None]:
        """Return a seed for every row: `seed + i` of a number, the given ones of a list.

        Raises:
            InputError: If it is not so, or negative.
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
