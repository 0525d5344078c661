"""Reader of the voice: which emotion an utterance sounds like, honest about how sure that is.

Emotion shifts prosody much alike in all voices (Scherer 2003), but from where, and how far, depends
on the voices: recorded ones wander wider than synthetic ones. A reader therefore knows two ways. A
voice like those of its training is named by the emotion stream. Any other is named by linear
discriminants of a few robust statistics, counted from the mean and in the spread of recorded acted
speech, which is written down here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from esarm_env.core.types import EMOTIONS, N_INTENSITIES
from esarm_env.encoder.prosody import N_STATISTICS, NAMES

if TYPE_CHECKING:
    from esarm_env.core.types import DoubleArray, FloatArray, IntArray

# Mean and spread over 120 recorded clips, all emotions alike often, of two acting speakers, a woman
# and a man; no label went in. Of the statistics that theory ties to emotion, these were chosen
# while looking at how well the same clips are then read.
RECORDED = {
    "pitch": (0.419, 0.520),
    "pitch spread": (0.267, 0.106),
    "pitch step": (0.060, 0.034),
    "loudness skew": (-0.322, 0.188),
    "loudness step": (0.259, 0.031),
    "flux": (0.339, 0.030),
    "voiced share": (0.640, 0.104),
    "onsets": (0.128, 0.034),
}
RECORDED_TEMPERATURE = 1.6  # so that the stated probability is right as often as it says there
# So many training voices are nearer to their mean; beyond, a voice counts as another kind. A wider
# circle takes in recorded voices that the emotion stream then names wrongly, and is sure of.
UNLIKE = 0.8
_COLUMNS = [NAMES.index(name) for name in RECORDED]
_N_LABELS = len(EMOTIONS) + N_INTENSITIES
_SHRINKAGE = 0.1  # of covariances, towards a multiple of the identity
_UNSEEN = -1e4  # a score of what no training utterance shows
_BOUND = 4.0  # standardised statistics of a strange recording reach no further


class VoiceReader(nn.Module):
    """Standardised statistics of prosody, and what a voice unlike those of training tells."""

    mean: Tensor
    scale: Tensor
    precision: Tensor
    farthest: Tensor
    directions: Tensor
    offsets: Tensor
    temperature: Tensor

    def __init__(self) -> None:
        """Build a reader that knows nothing: every voice is like those of its training."""
        super().__init__()
        n_named = len(NAMES)
        self.register_buffer("mean", torch.zeros(N_STATISTICS))
        self.register_buffer("scale", torch.ones(N_STATISTICS))
        self.register_buffer("precision", torch.zeros(n_named, n_named))
        self.register_buffer("farthest", torch.ones(()))
        self.register_buffer("directions", torch.zeros(_N_LABELS, len(_COLUMNS)))
        self.register_buffer("offsets", torch.zeros(_N_LABELS))
        self.register_buffer("temperature", torch.ones(()))

    def standardised(self, statistics: Tensor) -> Tensor:
        """Return statistics (..., N_STATISTICS) in spreads of training, bounded."""
        return ((statistics - self.mean) / self.scale).clamp(-_BOUND, _BOUND)

    def fit(self, statistics: FloatArray, emotions: IntArray, intensities: IntArray) -> None:
        """Learn from training utterances what is usual, and in which direction emotions lie.

        Args:
            statistics: Shape (N, N_STATISTICS).
            emotions: Shape (N,), positions in `EMOTIONS`.
            intensities: Shape (N,), from 0.
        """
        mean, scale = statistics.mean(0), statistics.std(0) + 1e-6
        known = ((statistics - mean) / scale).clip(-_BOUND, _BOUND).astype(np.float64)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))
        usual = known[:, : len(NAMES)]
        precision = np.linalg.inv(_shrunk(usual.T @ usual / len(usual), 0.02))
        distances = np.einsum("ni,ij,nj->n", usual, precision, usual)
        self.precision.copy_(torch.from_numpy(precision))
        self.farthest.fill_(float(np.quantile(distances, UNLIKE)))
        parts = [
            _discriminants(known[:, _COLUMNS], labels, n)
            for labels, n in ((emotions, len(EMOTIONS)), (intensities, N_INTENSITIES))
        ]
        self.directions.copy_(torch.from_numpy(np.concatenate([part[0] for part in parts])))
        self.offsets.copy_(torch.from_numpy(np.concatenate([part[1] for part in parts])))

    def calibrate(self, logits: Tensor, labels: Tensor) -> None:
        """Choose the temperature at which probabilities of the emotion stream are honest.

        Args:
            logits: Shape (N, 9), of utterances that were not trained on.
            labels: Shape (N,), positions in `EMOTIONS`.
        """
        choices = torch.linspace(-1, 2, 61).exp()
        losses = [
            torch.nn.functional.cross_entropy(logits / choice, labels).item() for choice in choices
        ]
        self.temperature.fill_(float(choices[int(np.argmin(losses))]))

    def is_unlike(self, statistics: Tensor) -> bool:
        """Return whether a voice (N_STATISTICS,) is unlike all but few of training."""
        offset = self.standardised(statistics)[: len(NAMES)]
        return bool(offset @ self.precision @ offset > self.farthest)

    def read_recorded(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """Return how likely each emotion (9,) and intensity (3,) is, by what recorded voices do.

        Args:
            statistics: Shape (N_STATISTICS,), not standardised.
        """
        usual = torch.tensor(list(RECORDED.values()))  # (8, 2)
        offset = ((statistics[_COLUMNS] - usual[:, 0]) / usual[:, 1]).clamp(-_BOUND, _BOUND)
        # What is farther than recorded voices go (noise, a tone) tells less than it seems to.
        far = float(offset.square().mean().clamp(min=1))
        scores = (self.directions @ offset + self.offsets) / (RECORDED_TEMPERATURE * far)
        n = len(EMOTIONS)
        return scores[:n].softmax(-1), scores[n:].softmax(-1)


def _discriminants(known: DoubleArray, labels: IntArray, n: int) -> tuple[DoubleArray, DoubleArray]:
    """Return directions (n, D) and offsets (n,) of linear discriminants, all labels alike likely.

    Args:
        known: Shape (N, D).
        labels: Shape (N,).
        n: How many labels there are.
    """
    seen = np.unique(labels)
    means = {int(label): known[labels == label].mean(0) for label in seen}
    within = known - np.array([means[int(label)] for label in labels])
    covariance = _shrunk(within.T @ within / len(within), _SHRINKAGE)
    directions = np.zeros((n, known.shape[1]))
    offsets = np.full(n, _UNSEEN)
    for label, mean in means.items():
        directions[label] = np.linalg.solve(covariance, mean)
        offsets[label] = -0.5 * directions[label] @ mean
    return directions, offsets


def _shrunk(covariance: DoubleArray, share: float) -> DoubleArray:
    """Return a covariance (D, D) that can be inverted."""
    n = len(covariance)
    shrunk: DoubleArray = (1 - share) * covariance + (
        share * np.trace(covariance) / n + 1e-6
    ) * np.eye(n)
    return shrunk
