"""Training data of the paper's rivals: features, curves and conditions, padded to minibatches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from agents.baselines.rivals.base import SPEAKER, CurveLoss, Parallel, RivalBatch, see

if TYPE_CHECKING:
    from agents.protocols import FloatArray, IntArray


class ByUtterance(Protocol):
    """Arrays by utterance: a list of them, or what reads them from a disk."""

    def __getitem__(self, index: int, /) -> FloatArray:
        """Return that of an utterance."""


class Couple(NamedTuple):
    """Two utterances of a minibatch; `parallel` if they say the same with two emotions."""

    first: int
    second: int
    parallel: bool


@dataclass(frozen=True)
class RivalData:
    """Utterances of a corpus, by index, as rivals learn from them.

    Attributes:
        features: Audio features at 30 fps, (T, D) each.
        curves: Recorded, (T, 52) each, as long.
        conditions: Shape (N, K): emotion, intensity and speaker.
        slices: Columns of each part of a condition, by the names in `base.PARTS`.
        emotions: Shape (N,), number of each one's emotion.
        train: Shape (N_train,), utterances to learn from.
        validation: Shape (N_validation,), utterances that choose the epoch.
        loss: What is minimised, in mm on the head.
        couples: Returns the training utterances in pairs, drawn anew by the generator it gets.
        align: Returns, for each frame of the second of two parallel utterances, the frame of the
            first where the same is said, shape (T_second,).
    """

    features: ByUtterance
    curves: ByUtterance
    conditions: FloatArray
    slices: dict[str, slice]
    emotions: IntArray
    train: IntArray
    validation: IntArray
    loss: CurveLoss
    couples: Callable[[np.random.Generator], Sequence[Couple]]
    align: Callable[[int, int], IntArray]

    def batch(
        self, utterances: Sequence[int], parts: tuple[str, ...], *, speaker_dropout: float = 0.0
    ) -> RivalBatch:
        """Return utterances as a padded batch, whose condition has `parts` alone.

        Args:
            utterances: Indices.
            parts: Of a condition, see `base.see`.
            speaker_dropout: How often the speaker is hidden; drawn by torch.
        """
        curves = _padded([self.curves[index] for index in utterances])
        lengths = torch.tensor([len(self.curves[index]) for index in utterances])
        condition = torch.from_numpy(self.conditions[list(utterances)])
        if speaker_dropout > 0:
            hidden = torch.rand(len(condition), 1) < speaker_dropout
            condition[:, self.slices[SPEAKER]] *= ~hidden
        return RivalBatch(
            features=_padded([self.features[index] for index in utterances]),
            curves=curves,
            condition=see(condition, parts, self.slices),
            inside=torch.arange(curves.shape[1]) < lengths[:, None],
            emotions=torch.from_numpy(self.emotions[list(utterances)]),
        )

    def parallel(self, couples: Sequence[Couple], n_frames: int) -> Parallel | None:
        """Return the parallel ones of `couples`, whose utterances stand side by side in a batch."""
        rows = [row for row, couple in enumerate(couples) if couple.parallel]
        if not rows:
            return None
        places = np.zeros((len(rows), n_frames), dtype=np.int64)
        for place, row in zip(places, rows, strict=True):
            found = self.align(couples[row].first, couples[row].second)
            place[: len(found)] = found
        sources = 2 * torch.tensor(rows)
        return Parallel(sources, sources + 1, torch.from_numpy(places))

    def mean_pose(self) -> FloatArray:
        """Return the mean of all frames of the training curves, shape (52,)."""
        frames = np.concatenate([self.curves[int(index)] for index in self.train])
        mean: FloatArray = frames.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean


def _padded(arrays: Sequence[FloatArray]) -> Tensor:
    """Return arrays (T, D) as one tensor (B, T, D), zero-padded."""
    rows = [torch.from_numpy(np.array(array, dtype=np.float32)) for array in arrays]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)
