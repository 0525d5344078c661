"""Base of the paper's rivals: what each hears and sees, and what its training asks of it.

All rivals hear the same audio features, learn from the same minibatches by the same loop, and are
stopped by the same measure. What differs is the network and its losses.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from agents.protocols import FloatArray
    from esarm_env.core.types import BoolArray

EMOTION, INTENSITY, SPEAKER = "emotion", "intensity", "speaker"
PARTS = (EMOTION, INTENSITY, SPEAKER)  # of a condition, in this order


class Parallel(NamedTuple):
    """Rows of a minibatch that say the same with two emotions, aligned in time.

    Attributes:
        sources: Shape (P,), rows whose content is taken.
        targets: Shape (P,), rows of the same speaker and sentence under another emotion.
        places: Shape (P, T), for each frame of a target the frame of its source where the same is
            said; 0 in padding.
    """

    sources: Tensor
    targets: Tensor
    places: Tensor


class RivalBatch(NamedTuple):
    """Padded utterances.

    Attributes:
        features: Shape (B, T, D), audio features at 30 fps.
        curves: Shape (B, T, 52), recorded.
        condition: Shape (B, K), every part that the rival sees, and nothing else.
        inside: Shape (B, T), False in padding.
        emotions: Shape (B,), number of the recorded emotion; a label for losses, never an input.
        parallel: Pairs among the rows; None if there are none.
    """

    features: Tensor
    curves: Tensor
    condition: Tensor
    inside: Tensor
    emotions: Tensor
    parallel: Parallel | None = None


@dataclass(frozen=True)
class RivalSizes:
    """What a rival is built for.

    Attributes:
        feature_dim: Width D of the audio features.
        condition_dim: Width K of the parts of a condition that it sees.
        mean_pose: Shape (52,), mean of the training curves; where its output begins.
        n_emotions: Emotions of `RivalBatch.emotions`.
        width: Of the network's layers, a multiple of 16; what it means is told by each rival.
        mouth: Shape (52,), curves that move the mouth; the others move the upper face. For rivals
            whose losses tell the two apart.
        eyelids: Shape (52,), curves that close the eyes; likewise.
    """

    feature_dim: int
    condition_dim: int
    mean_pose: FloatArray
    n_emotions: int
    width: int = 128
    mouth: BoolArray | None = None
    eyelids: BoolArray | None = None


# Loss of curves (B, T, 52) against others where `inside` (B, T), a scalar: in mm on the head.
CurveLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Rival(nn.Module, abc.ABC):
    """A network that animates speech, and the losses that it is trained with.

    Attributes:
        paper: Where it was published.
        sees: Parts of a condition that its paper gives it, of `PARTS`.
        stages: Trainings one after the other; the loop calls `begin_stage` before each.
        samples: Whether `generate` draws: two calls with two states of torch's random numbers give
            two animations.
    """

    paper: ClassVar[str]
    sees: ClassVar[tuple[str, ...]]
    stages: ClassVar[int] = 1
    samples: ClassVar[bool] = False

    def __init__(self, sizes: RivalSizes, loss: CurveLoss) -> None:
        """Take the sizes, and the measure of curves that every rival is trained with."""
        super().__init__()
        self.sizes, self.curve_loss = sizes, loss
        self.register_buffer("mean_pose", torch.tensor(sizes.mean_pose, dtype=torch.float32))
        self.mean_pose: Tensor

    def begin_stage(self, stage: int) -> list[nn.Parameter]:
        """Return the weights that stage 0, 1, ... trains; the rest stays as it is.

        The loop switches gradients on for these alone. It is called again where a training goes on
        after an interruption, just before the saved weights are loaded.
        """
        del stage
        return list(self.parameters())

    @abc.abstractmethod
    def losses(self, batch: RivalBatch, stage: int) -> dict[str, Tensor]:
        """Return the weighted terms of the loss by name, scalars; their sum is minimised."""

    @abc.abstractmethod
    def generate(self, features: Tensor, condition: Tensor, inside: Tensor) -> Tensor:
        """Return curves (B, T, 52) in [0, 1] from features (B, T, D) and conditions (B, K)."""


def see(condition: Tensor, parts: tuple[str, ...], slices: dict[str, slice]) -> Tensor:
    """Return the columns (..., K') of conditions (..., K) that belong to `parts`, in their order.

    Args:
        condition: Emotion, intensity and speaker, as the task encodes them.
        parts: Of `PARTS`.
        slices: Columns of each part, by name.
    """
    none = condition[..., :0]
    return torch.cat([none, *(condition[..., slices[part]] for part in parts)], dim=-1)
