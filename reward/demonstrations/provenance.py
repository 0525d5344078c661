"""Provenance of a demonstration: enough to make it again and to rank it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray, IntArray

StrArray = npt.NDArray[np.str_]

POLICY, RECONSTRUCTION, RECORDING = "policy", "reconstruction", "recording"
ORIGINS = (POLICY, RECONSTRUCTION, RECORDING)
# Ground truth stands before every noise level.
GROUND_TRUTH_RANK = -1.0


@dataclass(frozen=True)
class Making:
    """One entry per demonstration.

    Attributes:
        origin: Shape (N,): `policy` (a roll-out), `reconstruction` (the recording through the
            tokenizer) or `recording` (the motion itself).
        iteration: Shape (N,), which policy: 0 the clone, then one more per round of improvement.
        sample: Shape (N,), number of the roll-out within its utterance and iteration; no two levels
            share one.
        temperature: Shape (N,), of the roll-out's sampling; 0 is greedy.
        family: Shape (N,), the corruption done to it; empty for none.
        strength: Shape (N,), of the corruption, 0 to 1; 0 for none.
        seed: Shape (N,), of the corruption.
        rank: Shape (N,), of what was there before the corruption, lower is better: the noise level
            of a roll-out, -1 for ground truth. `reward.demonstrations.order` says which ranks may
            be compared.
    """

    origin: StrArray
    iteration: IntArray
    sample: IntArray
    temperature: FloatArray
    family: StrArray
    strength: FloatArray
    seed: IntArray
    rank: FloatArray

    def __post_init__(self) -> None:
        """Check that there is one entry per demonstration, in range."""
        for field in fields(self):
            shape = getattr(self, field.name).shape
            if shape != (len(self),):
                raise ValueError(f"`{field.name}` must have shape ({len(self)},), got {shape}")
        unknown = sorted(set(self.origin.tolist()) - set(ORIGINS))
        if unknown:
            raise ValueError(f"`origin` must be one of {', '.join(ORIGINS)}, got {unknown[0]!r}")
        if not ((self.strength >= 0) & (self.strength <= 1)).all():
            raise ValueError(f"`strength` must be in [0, 1], got {self.strength.tolist()}")
        if not np.array_equal(self.strength > 0, self.family != ""):
            raise ValueError("`strength` must be above 0 just where `family` names one, got others")
        if not np.isfinite(self.rank).all():
            raise ValueError(f"`rank` must be finite, got {self.rank.tolist()}")

    @classmethod
    def of(
        cls,
        n: int,
        *,
        rank: FloatArray | float,
        origin: str = POLICY,
        iteration: int = 0,
        sample: IntArray | int = 0,
        temperature: float = 0.0,
    ) -> Making:
        """Return the entries of `n` undamaged animations."""

        def column(value: Any, kind: Any) -> Any:
            return np.broadcast_to(np.asarray(value, dtype=kind), (n,)).copy()

        return cls(
            origin=column(origin, np.str_),
            iteration=column(iteration, np.int64),
            sample=column(sample, np.int64),
            temperature=column(temperature, np.float32),
            family=column("", np.str_),
            strength=column(0, np.float32),
            seed=column(0, np.int64),
            rank=column(rank, np.float32),
        )

    @property
    def untouched(self) -> BoolArray:
        """Shape (N,), True where there is no corruption."""
        untouched: BoolArray = self.family == ""
        return untouched

    @property
    def source(self) -> StrArray:
        """Shape (N,), the corruption family, or the origin of what is not corrupted."""
        return np.where(self.untouched, self.origin, self.family)

    def __len__(self) -> int:
        """Return the number of demonstrations."""
        return len(self.origin)

    def __getitem__(self, rows: Any) -> Making:
        """Return the selected `rows` (slice, index array or mask)."""
        return Making(**{name: values[rows] for name, values in self.columns().items()})

    def columns(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def concatenate(parts: Sequence[Making]) -> Making:
        """Join `parts`."""
        names = [field.name for field in fields(Making)]
        return Making(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})
