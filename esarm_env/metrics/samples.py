"""Metrics over several samples per utterance: energy score, diversity, mean and best error.

For systems that sample (after ProbTalk3D, MIG 2024). `sample_errors` gives the error of each, from
which `mean_of_errors` and `best_of_errors` are drawn; `error_of_mean` averages the motion instead.
Errors of samples reward a policy that merely varies less; `energy_score` does not.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from esarm_env.core.errors import InputError
from esarm_env.core.types import N_CHANNELS
from esarm_env.metrics.variant import Quantity, Variant
from esarm_env.metrics.vertex_error import vertex_error, vertex_error_of_meshes

if TYPE_CHECKING:
    from esarm_env.face.head import Head

LVE = Variant("lips")
REDUCTIONS = ("mean", "best", "error of mean")
DIVERSITY = Quantity(
    "diversity", "mean over pairs of samples, frames and all vertices, L2", unit="mm", better="none"
)


def energy_quantity(variant: Variant, *, n_samples: int) -> Quantity:
    """Return the table column of an energy score.

    >>> energy_quantity(LVE, n_samples=8).name
    'LVE energy score'

    Args:
        variant: The distance.
        n_samples: Samples of each utterance.
    """
    quantity = variant.quantity
    said = f"mean error of {n_samples} samples minus half their mean distance, {quantity.variant}"
    return dataclasses.replace(quantity, name=f"{quantity.name} energy score", variant=said)


def samples_quantity(variant: Variant, *, reduction: str, n_samples: int) -> Quantity:
    """Return the table column of a vertex error over several samples.

    >>> samples_quantity(LVE, reduction="best", n_samples=10).label
    'LVE (best of 10 samples, mean over frames of max over lip vertices, L2, mm)'

    Args:
        variant: The vertex error of one sample.
        reduction: "mean" (`mean_of_errors`), "best" (`best_of_errors`) or "error of mean"
            (`error_of_mean`).
        n_samples: Samples of each utterance.

    Raises:
        InputError: If `reduction` is unknown.
    """
    if reduction not in REDUCTIONS:
        raise InputError(f"`reduction` must be one of {REDUCTIONS}, got {reduction!r}")
    said = f"{reduction} of {n_samples} samples, {variant.quantity.variant}"
    return dataclasses.replace(variant.quantity, variant=said)


def sample_errors(
    samples: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    variant: Variant = LVE,
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return the vertex error of each sample.

    Args:
        samples: Coefficients of A animations of each utterance, shape (A, T, 52) or (B, A, T, 52).
        target: The truth, shape (T, 52) or (B, T, 52).
        head: Whose vertices are compared.
        variant: Which vertex error.
        captured: Shape (52,), bool; False channels count as equal on both sides.
        lengths: Shape (B,), the frames of each utterance that count; all by default.

    Returns:
        Shape (B, A), in the unit of `variant`.

    Raises:
        InputError: As `vertex_error` does, or if `samples` and `target` do not fit.
    """
    drawn, truth = _samples(samples), _as_batch(target)
    columns = [
        vertex_error(
            drawn[:, k], truth, head=head, captured=captured, lengths=lengths, **variant.options
        )
        for k in range(drawn.shape[1])
    ]
    return np.stack(columns, axis=1)


def error_of_mean(
    samples: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    variant: Variant = LVE,
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return the vertex error of the mean of the samples (ProbTalk3D's MEE), shape (B,).

    The mean of many faces is smooth and often nearer than any of them: it is no error of an
    animation anyone would see. Arguments and errors are those of `sample_errors`.
    """
    mean = _samples(samples).mean(axis=1)  # (B, T, 52)
    return vertex_error(
        mean, _as_batch(target), head=head, captured=captured, lengths=lengths, **variant.options
    )


def mean_of_errors(errors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the mean error over samples, (B,), of errors (B, A)."""
    means: npt.NDArray[np.float64] = _errors(errors).mean(axis=1)
    return means


def best_of_errors(errors: npt.ArrayLike, *, k: int | None = None) -> npt.NDArray[np.float64]:
    """Return the least error of `k` samples, per utterance.

    With `k` below A the mean over all subsets of `k` of the A samples, which does not depend on
    their order; with all A the plain minimum, ProbTalk3D's CE. It falls with `k`, so figures of
    different `k` do not compare.

    Args:
        errors: Shape (B, A), from `sample_errors`.
        k: 1 to A; A by default.

    Returns:
        Shape (B,), in the unit of `errors`; nan where an error is.

    Raises:
        InputError: If the shape does not fit or `k` is not in 1..A.
    """
    table = _errors(errors)
    n_samples = table.shape[1]
    size = n_samples if k is None else k
    if not 1 <= size <= n_samples:
        raise InputError(f"`k` must be in 1..{n_samples}, got {size}")
    # The i-th smallest is the least of comb(A - 1 - i, k - 1) of the comb(A, k) subsets.
    shares = [
        math.comb(n_samples - 1 - i, size - 1) / math.comb(n_samples, size)
        for i in range(n_samples)
    ]
    return np.asarray(np.sort(table, axis=1) @ np.array(shares))


class EnergyParts(NamedTuple):
    """What an energy score is made of, shape (B,) each, in the unit of the distance.

    Attributes:
        error: Mean distance of the samples from the truth.
        spread: Mean distance of the samples from each other.
    """

    error: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]

    @property
    def score(self) -> npt.NDArray[np.float64]:
        """The energy score."""
        return self.error - self.spread / 2


def energy_score(
    samples: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    variant: Variant = LVE,
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return the energy score of sampled animations, shape (B,), in the unit of `variant`.

    E d(x, y) - E d(x, x') / 2 (Gneiting and Raftery 2007), d the vertex error, x and x' samples, y
    the truth: least in expectation for who samples as people speak. Samples nearer each other have
    a lower mean error and gain nothing here. Both expectations are unbiased means: over all A
    samples, and over all A (A - 1) / 2 pairs, so it may come out below 0.

    Args:
        samples: Coefficients, shape (A, T, 52) or (B, A, T, 52), A at least 2.
        target: The truth, shape (T, 52) or (B, T, 52).
        head: Whose vertices are compared.
        variant: The distance; its power must be 1, for which the score is proper.
        captured: Shape (52,), bool; False channels count as equal in all of them.
        lengths: Shape (B,), the frames of each utterance that count; all by default.

    Returns:
        Shape (B,); nan where too little of the region is captured.

    Raises:
        InputError: As `sample_errors` does, if there are fewer than 2 samples, or if the power is
            2, under which only the mean of the samples would count.
    """
    return energy_parts(
        samples, target, head=head, variant=variant, captured=captured, lengths=lengths
    ).score


def energy_parts(
    samples: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    head: Head,
    variant: Variant = LVE,
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> EnergyParts:
    """Return error and spread of sampled animations, of which `energy_score` is made.

    Arguments and errors are those of `energy_score`.
    """
    if variant.power != 1:
        raise InputError(f"`variant` must have power 1 in an energy score, got {variant.power}")
    drawn = _samples(samples)
    known: dict[str, Any] = {"head": head, "captured": captured, "lengths": lengths}

    def distance(i: int, j: int) -> npt.NDArray[np.float64]:
        return vertex_error(drawn[:, i], drawn[:, j], **known, **variant.options)

    spread = _mean_over(_pairs(drawn.shape[1], None), distance)
    errors = sample_errors(drawn, _as_batch(target), variant=variant, **known)
    return EnergyParts(errors.mean(axis=1), spread)


def diversity(
    samples: npt.ArrayLike,
    *,
    head: Head,
    region: str = "all",
    rng: np.random.Generator | None = None,
    captured: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Return the diversity: the mean vertex distance between samples of one utterance.

    Mean over pairs of samples of the mean over frames and vertices of their distance. Without
    `rng` over all A (A - 1) / 2 pairs; with it over A // 2 disjoint random pairs, which is what
    ProbTalk3D prints for A = 10 and has the same expectation.

    Args:
        samples: Coefficients, shape (A, T, 52) or (B, A, T, 52), A at least 2.
        head: Whose vertices are compared.
        region: "all" as in the paper, or a region of the head, which is faster.
        rng: Draws the pairs, the same for all utterances; None takes all pairs.
        captured: Shape (52,), bool; False channels count as equal in all samples.
        lengths: Shape (B,), the frames of each utterance that count; all by default.

    Returns:
        Shape (B,), in mm; nan where too little of the region is captured.

    Raises:
        InputError: As `vertex_error` does, or if there are fewer than 2 samples.
    """
    drawn = _samples(samples)

    def distance(i: int, j: int) -> npt.NDArray[np.float64]:
        return vertex_error(
            drawn[:, i],
            drawn[:, j],
            head=head,
            region=region,
            reduce="mean",
            captured=captured,
            lengths=lengths,
        )

    return _mean_over(_pairs(drawn.shape[1], rng), distance)


def diversity_of_meshes(
    samples: npt.ArrayLike,
    *,
    vertices: npt.ArrayLike,
    mesh_unit: str,
    rng: np.random.Generator | None = None,
    lengths: npt.ArrayLike | None = None,
    unit: str = "mm",
) -> npt.NDArray[np.float64]:
    """Return the diversity of sampled meshes of any topology, shape (B,), in `unit`.

    Args:
        samples: Vertex positions, shape (B, A, T, V, 3), A at least 2.
        vertices: Shape (R,), the indices of the region's vertices.
        mesh_unit: What the positions are in: "mm", "cm", "m" or "norm".
        rng: As for `diversity`.
        lengths: Shape (B,), the frames of each utterance that count; all by default.
        unit: "mm" or "m"; "norm" if and only if `mesh_unit` is.

    Raises:
        InputError: As `vertex_error_of_meshes` does, or if there are fewer than 2 samples.
    """
    drawn = np.asarray(samples)
    if drawn.ndim != 5:
        raise InputError(f"`samples` must have shape (B, A, T, V, 3), got {drawn.shape}")

    def distance(i: int, j: int) -> npt.NDArray[np.float64]:
        return vertex_error_of_meshes(
            drawn[:, i],
            drawn[:, j],
            vertices=vertices,
            mesh_unit=mesh_unit,
            reduce="mean",
            lengths=lengths,
            unit=unit,
        )

    return _mean_over(_pairs(drawn.shape[1], rng), distance)


def _pairs(n_samples: int, rng: np.random.Generator | None) -> list[tuple[int, int]]:
    """Return all pairs of samples, or disjoint random ones."""
    if n_samples < 2:
        raise InputError(f"`samples` must hold at least 2 of each utterance, got {n_samples}")
    if rng is None:
        return list(itertools.combinations(range(n_samples), 2))
    order = rng.permutation(n_samples).tolist()
    half = n_samples // 2
    return list(zip(order[:half], order[half : 2 * half], strict=True))


def _mean_over(
    pairs: Iterable[tuple[int, int]], distance: Callable[[int, int], npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Return the mean distance over the pairs."""
    mean: npt.NDArray[np.float64] = np.mean([distance(i, j) for i, j in pairs], axis=0)
    return mean


def _samples(samples: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Return samples as (B, A, T, 52)."""
    given = np.asarray(samples)
    if given.ndim not in (3, 4) or given.shape[-1] != N_CHANNELS or 0 in given.shape[-3:]:
        rule = f"(A, T, {N_CHANNELS}) or (B, A, T, {N_CHANNELS}) with A and T at least 1"
        raise InputError(f"`samples` must have shape {rule}, got {given.shape}")
    return given.reshape(-1, *given.shape[-3:])


def _as_batch(target: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Return (T, 52) as (1, T, 52), anything else as it is."""
    given = np.asarray(target)
    return given[None] if given.ndim == 2 else given


def _errors(errors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return errors checked to be (B, A)."""
    table = np.asarray(errors, dtype=np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise InputError(f"`errors` must have shape (B, A) with A at least 1, got {table.shape}")
    return table
