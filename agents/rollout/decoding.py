"""Decoding: the choice of a token from logits (greedy, temperature, epsilon)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GREEDY = 0.0
COLDEST = 1e-3


@dataclass(frozen=True)
class Decoding:
    """How actions are chosen.

    Attributes:
        temperature: 0 takes the most likely token, 1 samples from the policy.
        epsilon: With this probability a token is drawn uniformly instead (D-REX).
    """

    temperature: float = GREEDY
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        """Check both ranges."""
        # Dividing by less than this overflows; it is greedy to any purpose.
        if self.temperature != GREEDY and not self.temperature >= COLDEST:
            raise ValueError(
                f"`temperature` must be 0 (greedy) or at least {COLDEST}, got {self.temperature}"
            )
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"`epsilon` must be in [0, 1], got {self.epsilon}")


def choose(logits: Tensor, decoding: Decoding, noise: Tensor) -> Tensor:
    """Choose a token per row of `logits` (B, K) with uniform `noise` (3, B); shape (B,)."""
    n_tokens = logits.shape[-1]
    if decoding.temperature == GREEDY:
        chosen = logits.argmax(-1)
    else:
        tempered = logits if decoding.temperature == 1 else logits / decoding.temperature
        cumulative = tempered.softmax(-1).cumsum(-1)
        # Rounding may leave the sum just below 1: never step past the last token.
        chosen = (cumulative < noise[2][:, None]).sum(-1).clamp(max=n_tokens - 1)
    if decoding.epsilon == 0:
        return chosen
    random = (noise[1] * n_tokens).long().clamp(max=n_tokens - 1)
    return torch.where(noise[0] < decoding.epsilon, random, chosen)
