"""Losses of behaviour cloning: cross-entropy, with labels that may be smooth or know distances."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, tokens: Tensor, *, smoothing: float) -> Tensor:
    """Return the mean cross-entropy per token in nats; padding is left out.

    With label smoothing (Szegedy et al. 2016, arXiv:1512.00567) the target is `1 - smoothing` on
    the token, plus `smoothing` spread evenly over all tokens.

    Args:
        logits: Shape (B, L, K).
        tokens: Shape (B, L), -1 in padding.
        smoothing: In [0, 1).
    """
    return functional.cross_entropy(
        logits.flatten(0, 1), tokens.flatten(), ignore_index=-1, label_smoothing=smoothing
    )


def look_alike_targets(distances: Tensor, *, scale_mm: float) -> Tensor:
    """Return, for each slot and token, shares of the tokens that look like it, (S, K, K).

    Shares fall off as `exp(-distance / scale)` and add up to 1: to miss by a hair shall cost less
    than to miss by a mile, which plain cross-entropy does not know.

    Args:
        distances: Shape (S, K, K), of decoded codes in mm.
        scale_mm: Distance at which the share has fallen to 1/e of the token's own.
    """
    return (-distances / scale_mm).softmax(-1)


def soft_cross_entropy(logits: Tensor, tokens: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy per token in nats against soft targets; padding is left out.

    Args:
        logits: Shape (B, L, K), L a multiple of the slots S.
        tokens: Shape (B, L), -1 in padding.
        targets: Shape (S, K, K), of `look_alike_targets`.
    """
    n_slots = len(targets)
    slots = torch.arange(tokens.shape[1], device=tokens.device) % n_slots  # (L,)
    inside = tokens >= 0
    wanted = targets[slots.expand_as(tokens)[inside], tokens[inside]]  # (n, K)
    return -(wanted * logits[inside].log_softmax(-1)).sum(-1).mean()
