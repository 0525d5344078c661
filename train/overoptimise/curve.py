"""One curve: what a series of policies, ever further from the clone, is worth on each utterance."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.common.paired import DoubleArray
from esarm_env.cache import new_file
from esarm_env.errors import InputError
from esarm_env.types import IntArray

ERRORS = ("lve", "eve")


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
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            parts = {name: file[name] for name in file.files}
        errors = {name: parts.pop(name) for name in ERRORS}
        return Curve(**parts, errors=errors)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: must be a measured curve, got {type(error).__name__}: {error}; delete "
            f"{path.parent} to measure it again"
        ) from error


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
