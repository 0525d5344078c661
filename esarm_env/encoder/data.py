"""Training data of the speech encoder: features, curves and conditions, padded to minibatches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from esarm_env.core.types import N_CHANNELS
from esarm_env.task.animation_task import pad_stack

if TYPE_CHECKING:
    from pathlib import Path

    from esarm_env.core.types import BoolArray, FloatArray, IntArray


class ByUtterance(Protocol):
    """Arrays by utterance: a list of them, or what reads them from a disk."""

    def __getitem__(self, index: int, /) -> FloatArray:
        """Return that of an utterance."""


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
        features: Audio features, (T, D) each; shorter or longer than the motion by no frame. Read
            as they are needed, so that a corpus may be larger than the memory.
        curves: Recorded motion, (T, 52) each; the same.
        conditions: Shape (N, K): emotion, intensity and speaker.
        emotions: Name of each one's emotion.
        groups: Parallel utterances.
        captured: Shape (52,), the curves that were measured.
        prosody: Whether the last features are those of `LogMel`.
        audio: Samples at 16 kHz of an utterance, (n_samples,), where features are to be learnt.
    """

    features: ByUtterance
    curves: ByUtterance
    conditions: FloatArray
    emotions: Sequence[str]
    groups: Sequence[IntArray]
    captured: BoolArray
    prosody: bool = False
    audio: Callable[[int], FloatArray] | None = None

    def rows(self, utterances: Sequence[int]) -> Minibatch:
        """Return utterances as a minibatch, zero-padded."""
        features = [self.features[index] for index in utterances]
        curves = [self.curves[index] for index in utterances]
        lengths = np.array([len(row) for row in features])
        inside = np.arange(lengths.max()) < lengths[:, None]
        condition = self.conditions[list(utterances)]
        arrays = (pad_stack(features), pad_stack(curves), condition, inside)
        return Minibatch(*map(torch.from_numpy, arrays))

    def length(self, utterance: int) -> int:
        """Return the frames of an utterance."""
        return len(self.curves[utterance])


class MotionFile:
    """Motion of a whole corpus in a nameless file, read by the page: (T, 52) by utterance."""

    def __init__(self, motions: Iterable[FloatArray], folder: Path) -> None:
        """Write `motions`, (T, 52) each, once.

        Args:
            motions: In the order of the utterances.
            folder: On whose disk the file lies; it is gone with this object.
        """
        ends = [0]
        with tempfile.TemporaryFile(dir=folder) as file:
            for motion in motions:
                file.write(np.ascontiguousarray(motion, dtype=np.float32).tobytes())
                ends.append(ends[-1] + len(motion))
            file.flush()
            shape = (ends[-1], N_CHANNELS)
            self._frames = np.memmap(file, dtype=np.float32, mode="r", shape=shape)
        self._ends = ends

    def __getitem__(self, index: int) -> FloatArray:
        """Return the motion of an utterance."""
        if not 0 <= index < len(self._ends) - 1:
            raise IndexError(f"`index` must be in 0..{len(self._ends) - 2}, got {index}")
        return np.asarray(self._frames[self._ends[index] : self._ends[index + 1]])
