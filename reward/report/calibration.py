"""Calibration of score differences under a Bradley-Terry model: ECE, Brier score, temperature.

A pair is turned so that its first animation is the better scored one; the model's confidence, one
half to one, is then held against how often it is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from esarm_env.core.intervals import Resampler, Triple
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray

N_BINS = 10
_COLDEST, _HOTTEST = 1e-3, 1e4


@dataclass(frozen=True)
class Bin:
    """Pairs of similar confidence.

    Attributes:
        confidence: Their mean confidence.
        right: Share of them that are ranked right, with its interval.
        n_pairs: How many.
    """

    confidence: float
    right: Triple
    n_pairs: int


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be trusted.

    Attributes:
        temperature: What differences of scores were divided by.
        accuracy: Share of pairs that are ranked right; a tie counts one half.
        ece: Expected calibration error (Guo et al. 2017): mean distance of confidence and accuracy
            over bins of equal width, weighted by their pairs.
        brier: Mean squared distance of the probability from what is true; 0.25 is a coin's.
        bins: Ascending; those without a pair are left out.
    """

    temperature: float
    accuracy: Triple
    ece: Triple
    brier: Triple
    bins: tuple[Bin, ...]


def right_probability(difference: FloatArray | DoubleArray, *, temperature: float) -> DoubleArray:
    """Return the probability that the model gives to what is labelled better, shape (P,).

    Args:
        difference: Shape (P,), score of the one labelled better minus that of the other.
        temperature: Above 0.

    Raises:
        ValueError: If the temperature is not above 0.
    """
    from scipy.special import expit

    if not temperature > 0:
        raise ValueError(f"`temperature` must be above 0, got {temperature}")
    probability: DoubleArray = expit(np.asarray(difference, dtype=np.float64) / temperature)
    return probability


def fitted_temperature(difference: FloatArray | DoubleArray) -> float:
    """Return the temperature of greatest likelihood, between 0.001 and 10 000.

    Args:
        difference: Shape (P,), score of the one labelled better minus that of the other.

    Raises:
        ValueError: If there is no pair.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_expit

    if not len(difference):
        raise ValueError("`difference` must hold at least one pair, got none")
    gaps = np.asarray(difference, dtype=np.float64)

    def loss(log_temperature: float) -> float:
        return float(-log_expit(gaps / np.exp(log_temperature)).mean())

    bounds = (float(np.log(_COLDEST)), float(np.log(_HOTTEST)))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def calibration(
    difference: FloatArray | DoubleArray,
    utterance: IntArray,
    resampler: Resampler,
    *,
    temperature: float = 1.0,
    n_bins: int = N_BINS,
) -> Calibration:
    """Hold the model's confidence against how often it is right.

    Args:
        difference: Shape (P,), score of the one that is truly better minus that of the other.
        utterance: Shape (P,), place of each pair's utterance among the resampler's.
        resampler: Of the intervals.
        temperature: Of the probabilities.
        n_bins: Of equal width between one half and one.
    """
    right = right_probability(difference, temperature=temperature)
    confidence = np.maximum(right, 1 - right)
    correct = (difference > 0) + 0.5 * (difference == 0)
    place = np.clip(((confidence - 0.5) * 2 * n_bins).astype(np.int64), 0, n_bins - 1)
    gap = np.zeros((len(right), n_bins + 1))
    gap[np.arange(len(right)), place] = confidence - correct
    gap[:, n_bins] = 1

    def expected_error(sums: DoubleArray) -> DoubleArray:
        error: DoubleArray = np.abs(sums[..., :n_bins]).sum(-1) / np.maximum(sums[..., n_bins], 1)
        return error

    bins = tuple(
        Bin(
            float(confidence[inside].mean()),
            resampler.mean(correct[inside], utterance[inside]),
            int(inside.sum()),
        )
        for inside in (place == number for number in range(n_bins))
        if inside.any()
    )
    return Calibration(
        temperature=temperature,
        accuracy=resampler.mean(correct, utterance),
        ece=resampler.of_sums(expected_error, gap, utterance),
        brier=resampler.mean(np.square(1 - right), utterance),
        bins=bins,
    )
