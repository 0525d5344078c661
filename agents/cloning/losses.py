"""What cloning minimises, and what the network is shown of the past while it does."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from agents.transformer import MotionTransformer


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


@torch.no_grad()
def own_tokens(
    model: MotionTransformer, windows: Tensor, condition: Tensor, tokens: Tensor
) -> Tensor:
    """Return what the model itself would say at every step after the recorded past, (B, L).

    First of the two passes of scheduled sampling for transformers (Mihaylova and Martins 2019,
    arXiv:1906.07651). The tokens are sampled, as roll-outs sample them, and without dropout.

    Args:
        model: Left in the mode in which it came.
        windows: Shape (B, C, window_dim).
        condition: Shape (B, condition_dim).
        tokens: Shape (B, L), recorded, -1 in padding.
    """
    training = model.training
    model.eval()
    logits, _ = model(windows, condition, tokens)
    model.train(training)
    chances = logits.softmax(-1).flatten(0, 1)  # (B * L, K)
    return torch.multinomial(chances, 1).view(tokens.shape)


def mix_tokens(tokens: Tensor, others: Tensor, *, share: float) -> tuple[Tensor, Tensor]:
    """Replace each token by its counterpart in `others` with probability `share`.

    Args:
        tokens: Shape (B, L), -1 in padding, which stays.
        others: Shape (B, L).
        share: In [0, 1].

    Returns:
        The mixture and where it comes from `others`, both (B, L).
    """
    swap = (torch.rand(tokens.shape).to(tokens.device) < share) & (tokens >= 0)
    return torch.where(swap, others, tokens), swap
