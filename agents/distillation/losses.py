"""Losses of distillation: cross-entropy on targets at a temperature of its own, and what keeps.

Shape letters: N episodes, L tokens, K tokens to choose from, S slots of a chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from esarm_env.core.training.replicas import Part

_FARTHEST_MM = 60.0  # that codes of a face can look apart


def expected_distances(logits: Tensor, distances: Tensor) -> Tensor:
    """Return how far each token is, on average, from what `logits` expect, (N, L, K), in mm.

    Args:
        logits: Shape (N, L, K), L a multiple of S.
        distances: Shape (S, K, K), symmetric, in mm.
    """
    n_slots, n_tokens = distances.shape[:2]
    chances = logits.to(distances.dtype).softmax(-1).view(len(logits), -1, n_slots, n_tokens)
    return (chances.transpose(1, 2) @ distances).transpose(1, 2).reshape(logits.shape)


def soft_targets(logits: Tensor, distances: Tensor, *, scale_mm: float) -> Tensor:
    """Return shares of tokens that fall off with their expected distance, (N, L, K).

    `exp(-distance / scale)`, to a sum of 1: a token that is a hair farther off is a hair less
    wanted, where a hard target would not want it at all.

    Args:
        logits: Shape (N, L, K), of the teacher.
        distances: As of `expected_distances`.
        scale_mm: Distance at which the share has fallen to 1/e.
    """
    return (-expected_distances(logits, distances) / scale_mm).softmax(-1)


def fit(logits: Tensor, targets: Tensor, *, temperature: float) -> Tensor:
    """Return the cross-entropy of the policy at `temperature` on the targets, (N, L), in nats.

    It is multiplied by the temperature, which leaves the size of the gradient of the logits as it
    is. At a low temperature the loss is that of a large-margin classifier: a policy whose likeliest
    token is the target by a little has nothing left to gain, and keeps the rest of its spread.

    Args:
        logits: Shape (N, L, K), of the policy.
        targets: Tokens (N, L), padding ignored, or shares of tokens (N, L, K).
        temperature: Above 0; 1 is plain cross-entropy.
    """
    log_probs = (logits / temperature).log_softmax(-1)
    if targets.ndim == logits.ndim:
        return -temperature * (targets * log_probs).sum(-1)
    chosen = log_probs.gather(2, targets.clamp(min=0)[..., None])[..., 0]
    return -temperature * chosen


def nearest_tokens(logits: Tensor, distances: Tensor, tokens: Tensor) -> Tensor:
    """Return the tokens (N, L) that `logits` would write by expected distance; padding stays.

    Args:
        logits: Shape (N, L, K), of the teacher.
        distances: As of `expected_distances`.
        tokens: Shape (N, L), what was written, -1 in padding.
    """
    nearest = expected_distances(logits, distances).argmin(-1)
    return torch.where(tokens >= 0, nearest, tokens)


def risk(logits: Tensor, teacher: Tensor, distances: Tensor, *, temperature: float) -> Tensor:
    """Return how much farther off the policy's tokens are than the nearest one, (N, L), in mm.

    An expectation over the policy at `temperature` (minimum risk training, Shen et al. 2016).
    Cross-entropy asks for the nearest token however little it is nearer than another; here what
    looks alike costs nothing, and leaves the policy its spread.

    Args:
        logits: Shape (N, L, K), of the policy.
        teacher: Shape (N, L, K), logits from which distances are expected.
        distances: As of `expected_distances`. A slot that is decoded by likelihood has codes as far
            apart as no face moves (as finest codebooks have); there another code costs half a
            millimetre, whichever it is, or nothing else would count.
        temperature: Above 0; at a low one it is the risk of greedy decoding.
    """
    widest = distances.amax(dim=(1, 2), keepdim=True)
    counted = torch.where(widest > _FARTHEST_MM, 0.5 * distances / widest, distances)
    expected = expected_distances(teacher, counted)
    beyond = expected - expected.amin(-1, keepdim=True)
    return ((logits / temperature).softmax(-1) * beyond).sum(-1)


def divergence(log_probs: Tensor, others: Tensor) -> Tensor:
    """Return KL(p ‖ q) per token, (N, L), of `log_probs` of p and `others` of q, (N, L, K) each."""
    return functional.kl_div(others, log_probs, reduction="none", log_target=True).sum(-1)


def entropy(log_probs: Tensor) -> Tensor:
    """Return the entropy per token, (N, L), of log-probabilities (N, L, K)."""
    return -(log_probs.exp() * log_probs).sum(-1)


def mean_inside(per_token: Tensor, inside: Tensor, part: Part) -> Tensor:
    """Return the share of a part of a minibatch in the mean of (N, L) over tokens `inside`.

    Args:
        per_token: Of the part.
        inside: Shape (N, L), bool, some in each row.
        part: Which rows these are.
    """
    return per_token[inside].mean() * part.scale(int(inside.sum()))


def mean_where(per_token: Tensor, chosen: Tensor, part: Part) -> Tensor:
    """Do as `mean_inside`, where none may be `chosen`; of no token at all the mean is 0."""
    mean = torch.where(chosen, per_token, 0).sum() / chosen.sum().clamp(min=1)
    return mean * part.scale(int(chosen.sum()))


def positive(share: Tensor, part: Part) -> Tensor:
    """Return the share of a part in a figure of the minibatch, 0 where that figure is below 0."""
    total = part.sums({"figure": share.item()})["figure"]
    return share if total > 0 else share.new_zeros(())
