"""Over-optimisation curve of a series of policies, and the settings of measuring one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from esarm_env.core.cache import new_file
from esarm_env.core.errors import InputError
from esarm_env.formats.archives import read_npz
from esarm_env.formats.files import reading
from esarm_env.task.episode_metrics import EVE, LVE

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, IntArray


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


ERRORS = (LVE, EVE)


@dataclass(frozen=True)
class Curve:
    """P points of N utterances; the first is the clone.

    Attributes:
        steps: Shape (P,): iterations, or n of best-of-n.
        lengths: Shape (N,), tokens of each utterance.
        divergence: Shape (P, N), nats per utterance from the clone.
        proxy: Shape (P, N), score of the reward that is climbed.
        errors: True errors by name, shape (P, N) each, mm; nan where a corpus lacks the region.
    """

    steps: IntArray
    lengths: IntArray
    divergence: DoubleArray
    proxy: DoubleArray
    errors: dict[str, DoubleArray]

    def __post_init__(self) -> None:
        """Check the shapes."""
        shape = (len(self.steps), len(self.lengths))
        for name, values in {"divergence": self.divergence, **self.figures()}.items():
            if values.shape != shape:
                raise ValueError(f"`{name}` must have shape {shape}, got {values.shape}")

    def figures(self) -> dict[str, DoubleArray]:
        """Return proxy and errors by name, (P, N) each."""
        return {"proxy": self.proxy, **self.errors}

    def save(self, path: Path) -> None:
        """Write everything to one `.npz` file."""
        parts = {"steps": self.steps, "lengths": self.lengths, "divergence": self.divergence}
        with new_file(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **parts, **self.figures())


def load_curve(path: Path) -> Curve:
    """Read what `Curve.save` wrote.

    Raises:
        InputError: If the file is damaged or something else.
    """
    what, remedy = "a measured curve", f"delete {path.parent} to measure it again"
    parts = read_npz(path, what, remedy=remedy)
    with reading(path, what, remedy=remedy):
        errors = {name: parts.pop(name) for name in ERRORS}
        return Curve(**parts, errors=errors)


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean over seeds, utterance by utterance.

    Raises:
        ValueError: If they do not have the same steps and utterances.
    """
    first = curves[0]
    for other in curves[1:]:
        same = np.array_equal(first.steps, other.steps)
        if not same or not np.array_equal(first.lengths, other.lengths):
            raise ValueError(
                f"`curves` must have the same steps and utterances, got {first.steps.tolist()} of "
                f"{len(first.lengths)} and {other.steps.tolist()} of {len(other.lengths)}"
            )
    return Curve(
        steps=first.steps,
        lengths=first.lengths,
        divergence=np.mean([curve.divergence for curve in curves], axis=0),
        proxy=np.mean([curve.proxy for curve in curves], axis=0),
        errors={
            name: np.mean([curve.errors[name] for curve in curves], axis=0) for name in first.errors
        },
    )
