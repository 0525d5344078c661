"""Automatically ranked demonstrations: roll-outs of one policy at rising noise (D-REX)."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esarm_env.cache import new_file
from esarm_env.errors import InputError
from esarm_env.types import FloatArray, Trajectories


@dataclass(frozen=True)
class Demonstrations:
    """Finished trajectories with the noise they were made with; less noise ranks higher.

    Attributes:
        trajectories: N animations.
        epsilon: Shape (N,), share of random actions.
    """

    trajectories: Trajectories
    epsilon: FloatArray

    def __post_init__(self) -> None:
        """Check that there is one noise level per trajectory."""
        if self.epsilon.shape != (len(self.trajectories),):
            raise ValueError(
                f"`epsilon` must have shape ({len(self.trajectories)},), got {self.epsilon.shape}"
            )

    def __len__(self) -> int:
        """Return the number of demonstrations."""
        return len(self.trajectories)

    def __getitem__(self, rows: Any) -> Demonstrations:
        """Return the selected `rows` (slice, index array or mask)."""
        return Demonstrations(self.trajectories[rows], self.epsilon[rows])

    @property
    def levels(self) -> FloatArray:
        """The noise levels, ascending."""
        return np.unique(self.epsilon)

    def save(self, path: Path) -> None:
        """Write everything to one `.npz` file, without pickle."""
        parts = self.trajectories
        with new_file(path) as draft, draft.open("wb") as file:
            np.savez_compressed(
                file,
                utterance=parts.utterance,
                tokens=parts.tokens.astype(np.int16),
                lengths=parts.lengths,
                condition=parts.condition,
                epsilon=self.epsilon,
            )


def load_demonstrations(path: Path) -> Demonstrations:
    """Read what `Demonstrations.save` wrote.

    Raises:
        InputError: If the file is missing, damaged, or something else.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            trajectories = Trajectories(
                file["utterance"],
                file["tokens"].astype(np.int64),
                file["lengths"],
                file["condition"],
            )
            return Demonstrations(trajectories, file["epsilon"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: must be a whole demonstrations file, got {error}; "
            "delete the stage and run it again"
        ) from error
