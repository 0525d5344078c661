"""Training data of the speech encoder: features, curves and conditions, padded to minibatches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray, FloatArray, IntArray


class Minibatch(NamedTuple):
    """Padded utterances.

    Attributes:
        features: Shape (B, T, D).
        curves: Shape (B, T, 52).
        condition: Shape (B, K), a fresh copy.
        inside: Shape (B, T), False in padding.
    """

    features: Tensor
    curves: Tensor
    condition: Tensor
    inside: Tensor


@dataclass(frozen=True)
class SpeechData:
    """Utterances of a corpus, by index, as an encoder learns from them.

    Attributes:
        features: Audio features, (T, D) each; shorter or longer than the motion by no frame.
        curves: Recorded motion, (T, 52) each.
        conditions: Shape (N, K): emotion, intensity and speaker.
        emotions: Name of each one's emotion.
        groups: Parallel utterances.
        captured: Shape (52,), the curves that were measured.
        log_mel: Whether the features are those of `LogMel` alone.
    """

    features: Sequence[FloatArray]
    curves: Sequence[FloatArray]
    conditions: FloatArray
    emotions: Sequence[str]
    groups: Sequence[IntArray]
    captured: BoolArray
    log_mel: bool = False

    def rows(self, utterances: Sequence[int]) -> Minibatch:
        """Return utterances as a minibatch, zero-padded."""
        features, inside = padded([self.features[index] for index in utterances])
        curves, _ = padded([self.curves[index] for index in utterances])
        condition = torch.from_numpy(self.conditions[list(utterances)])
        return Minibatch(features, curves, condition, inside)

    def length(self, utterance: int) -> int:
        """Return the frames of an utterance."""
        return len(self.curves[utterance])


def padded(rows: Sequence[FloatArray]) -> tuple[Tensor, Tensor]:
    """Return rows (T_i, D) as one tensor (B, T, D), zero-padded, and what is inside, (B, T)."""
    width = max(len(row) for row in rows)
    out = np.zeros((len(rows), width, rows[0].shape[1]), dtype=np.float32)
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
    inside = np.arange(width) < np.array([len(row) for row in rows])[:, None]
    return torch.from_numpy(out), torch.from_numpy(inside)
