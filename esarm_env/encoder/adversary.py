"""Adversary of the encoder: a classifier that looks for the emotion in the content.

Its gradient, reversed, takes out what it finds (Ganin et al. 2016). It has an optimiser of its own
and a step more than the encoder in every update: an adversary that lags behind takes nothing out.
It looks along time too, because content that is levelled tells nothing by its mean and spread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from esarm_env.core.types import EMOTIONS

if TYPE_CHECKING:
    from esarm_env.encoder.network import Streams

_WIDTH = 64
_LEARNING_RATE = 2e-3


class Adversary(nn.Module):
    """Classifier of emotion on the content of an utterance.

    Attributes:
        optimizer: Its own.
    """

    def __init__(self, n_inputs: int) -> None:
        """Build an untrained one for content of `n_inputs` columns a step."""
        super().__init__()
        self.along = nn.Conv1d(n_inputs, _WIDTH, 5, padding=2)
        self.layers = nn.Sequential(
            nn.Linear(2 * (_WIDTH + n_inputs), _WIDTH),
            nn.GELU(),
            nn.Linear(_WIDTH, len(EMOTIONS)),
        )
        self.optimizer = torch.optim.AdamW(self.parameters(), lr=_LEARNING_RATE)

    def learn(self, streams: Streams, labels: Tensor) -> None:
        """Get better at it by one step; the streams stay as they are.

        Args:
            streams: Of utterances.
            labels: Shape (B, 9), one-hot.
        """
        found = streams._replace(content=streams.content.detach())
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self._loss(found, labels))
        self.optimizer.step()

    def forward(self, streams: Streams, labels: Tensor) -> Tensor:
        """Return the cross-entropy in nats; its gradient pushes the streams to raise it."""
        content: Tensor = _Reversed.apply(streams.content)  # type: ignore[no-untyped-call]  # torch
        return self._loss(streams._replace(content=content), labels)

    def _loss(self, streams: Streams, labels: Tensor) -> Tensor:
        inside = streams.inside[..., None]
        content = streams.content * inside
        along = functional.gelu(self.along(content.transpose(1, 2)).transpose(1, 2))
        pooled = pool(torch.cat([content, along], dim=-1), streams.inside)
        return functional.cross_entropy(self.layers(pooled), labels)


def pool(rows: Tensor, inside: Tensor) -> Tensor:
    """Return mean and spread, (B, 2 D), of rows (B, S, D) where `inside` (B, S)."""
    weights = inside[..., None].float()
    count = weights.sum(1).clamp(min=1)
    mean = (rows * weights).sum(1) / count
    squared = ((rows - mean[:, None]) * weights).square().sum(1) / count
    return torch.cat([mean, (squared + 1e-5).sqrt()], dim=-1)


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return `x`."""
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        """Return the negative gradient."""
        return -outputs[0]
