"""Vertex loss of face curves: distances in mm at the lips and the upper face of a head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from esarm_env.core.types import BoolArray
    from esarm_env.face.head import Head

VERTICES_PER_REGION = 64
_LARGEST_WEIGHT, _CURVE_WEIGHT = 0.5, 2.0


class VertexLoss:
    """Mean and largest distance per region, in mm, and the mean absolute error of all curves.

    LVE and EVE are means over frames of the largest distance in a region. That alone pulls at one
    vertex a frame; the mean distance pulls at all.
    """

    def __init__(self, head: Head, captured: BoolArray | None = None) -> None:
        """Take evenly spaced vertices of both regions of `head`.

        Args:
            head: Where distances are measured.
            captured: Shape (52,), the curves that count; by default all.
        """
        self._captured = torch.ones(len(head.deltas))
        if captured is not None:
            self._captured = torch.from_numpy(np.asarray(captured, dtype=np.float32))
        self._regions = []
        for vertices in (head.regions["lips"], head.upper):
            chosen = np.asarray(vertices)[_evenly(len(vertices))]
            deltas = head.deltas[:, chosen].reshape(len(head.deltas), -1)  # (52, 3 V)
            self._regions.append(torch.from_numpy(deltas.astype(np.float32)))

    def __call__(self, curves: Tensor, target: Tensor, inside: Tensor) -> Tensor:
        """Return the loss of curves (B, T, 52) against `target`, where `inside` (B, T)."""
        error = (curves - target)[inside] * self._captured  # (F, 52)
        loss = _CURVE_WEIGHT * error.abs().mean()
        for deltas in self._regions:
            offsets = (error @ deltas).view(len(error), -1, 3)  # (F, V, 3) mm
            distance = (offsets.square().sum(-1) + 1e-6).sqrt()
            loss = loss + distance.mean() + _LARGEST_WEIGHT * distance.amax(-1).mean()
        return loss


def _evenly(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, VERTICES_PER_REGION)).astype(int))
