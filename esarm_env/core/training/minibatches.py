"""Minibatch steps that trainers of sequences share: learning rate, order, an epoch's row.

The speech encoder and the rivals that it is compared with are trained alike, by these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from esarm_env.core.types import IntArray

_WARM_UP = 0.15  # share of training in which the learning rate rises
_JITTER = 12  # frames by which lengths are disturbed, so that batches differ between epochs


def one_cycle(progress: float) -> float:
    """Return the share of the highest learning rate: up along a cosine, then down (Smith 2018).

    Args:
        progress: Share of training that is done, from 0 to 1.
    """
    if progress < _WARM_UP:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * progress / _WARM_UP))
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))


def batches_of_like_length(
    lengths: Sequence[int], size: int, rng: np.random.Generator
) -> list[IntArray]:
    """Return rows of like length together, `size` at most, the minibatches in random order."""
    order = np.argsort(lengths + rng.random(len(lengths)) * _JITTER, kind="stable")
    batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
    return [batches[number] for number in rng.permutation(len(batches))]


def step_down(optimizer: Optimizer, loss: Tensor) -> None:
    """Take one step of `optimizer` down `loss`, each group's gradient clipped to a norm of 1."""
    import torch

    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    for group in optimizer.param_groups:
        torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
    optimizer.step()


def means_of_terms(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return `train_NAME`: the mean of each term over the minibatches that have it."""
    names = {name for row in rows for name in row}
    return {
        f"train_{name}": float(np.mean([row[name] for row in rows if name in row]))
        for name in sorted(names)
    }
