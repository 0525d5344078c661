"""How far, how often and on how much over-optimisation is measured."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from esarm_env.errors import InputError


@dataclass(frozen=True)
class OveroptimiseConfig:
    """Settings of `esarm overoptimise`.

    Attributes:
        kl_coefs: Weights of the divergence per token from the clone, one curve each.
        seeds: Of training; each strength is trained once per seed.
        iterations: Roll-outs and updates of each curve.
        measure_every: Iterations between two measurements; `iterations` is a multiple of it.
        utterances: Test utterances measured on, evenly spaced; 0 means all.
        samples: Sampled animations per utterance and measurement.
        best_of: Greatest n of best-of-n; twice as many are drawn of each utterance.
    """

    kl_coefs: tuple[float, ...] = (0.0, 0.03, 0.1, 0.3)
    seeds: tuple[int, ...] = (0,)
    iterations: int = 60
    measure_every: int = 10
    utterances: int = 32
    samples: int = 4
    best_of: int = 64

    def __post_init__(self) -> None:
        """Check every setting.

        Raises:
            InputError: If one is out of range.
        """
        for name, least in (("iterations", 1), ("measure_every", 1), ("samples", 1)):
            self._check_at_least(name, least)
        self._check_at_least("best_of", 1)
        self._check_at_least("utterances", 0)
        if self.utterances == 1:
            raise InputError("`utterances` must be 0 (all) or at least 2, got 1")
        if self.iterations % self.measure_every:
            raise InputError(
                f"`iterations` must be a multiple of `measure_every`, got {self.iterations} and "
                f"{self.measure_every}"
            )
        for name in ("kl_coefs", "seeds"):
            given = getattr(self, name)
            if not given or len(set(given)) < len(given):
                raise InputError(f"`{name}` must be different numbers, got {list(given)}")
            if not all(math.isfinite(value) and value >= 0 for value in given):
                raise InputError(f"`{name}` must be at least 0, got {list(given)}")

    def _check_at_least(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise InputError(f"`{name}` must be at least {least}, got {getattr(self, name)}")

    @property
    def best_of_counts(self) -> tuple[int, ...]:
        """The n of best-of-n: powers of two up to `best_of`, and `best_of`."""
        powers = [2**k for k in range(self.best_of.bit_length()) if 2**k < self.best_of]
        return (*powers, self.best_of)

    def shared(self) -> dict[str, int]:
        """Return what all curves of one figure must have in common."""
        values = dataclasses.asdict(self)
        return {name: values[name] for name in values if name not in ("kl_coefs", "seeds")}


QUICK = OveroptimiseConfig(
    kl_coefs=(0.0, 0.3), iterations=6, measure_every=3, utterances=8, samples=2, best_of=8
)
