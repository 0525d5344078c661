"""Straight-through choices: sampled tokens forward, soft probabilities backward.

A token is drawn, so a score has no slope in the logits. An estimator lends it one: what is decoded
and judged is the sampled token, exactly one-hot; backward, the one-hot row is taken for a soft one.

| estimator | backward, the row is | expected gradient |
|---|---|---|
| `gumbel` | softmax((logits + noise) / relaxation), noise that drew the token | of relaxed rows |
| `straight-through` | softmax(logits) | exact where the score is linear in each row |
| `reinmax` | twice the midpoint of row and softmax, less half the softmax | exact up to squares |

`gumbel` is the straight-through Gumbel softmax (Jang et al. 2017, arXiv:1611.01144) as DiffRO takes
it (Gao et al. 2025, arXiv:2507.05911). The tokens are there already, so the noise is drawn given
the token (Maddison et al. 2014; Paulus et al. 2021, arXiv:2010.04838), which is the same as drawing
the token by it. `straight-through` is that of Bengio et al. (2013, arXiv:1308.3432), `reinmax` that
of Liu et al. (2023, arXiv:2304.08612). None knows what a token does to the tokens after it: the
history counts as given.

Shape letters: N episodes, L tokens, K tokens to choose from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

GUMBEL, STRAIGHT_THROUGH, REINMAX = "gumbel", "straight-through", "reinmax"
ESTIMATORS = (GUMBEL, STRAIGHT_THROUGH, REINMAX)
_LEAST = 1e-30  # of a probability, so that its logarithm stays finite


def choose_straight_through(
    logits: Tensor,
    tokens: Tensor,
    *,
    estimator: str = GUMBEL,
    relaxation: float = 1.0,
    seed: int = 0,
) -> Tensor:
    """Return choices (N, L, K): one-hot at the `tokens`, with a gradient to the `logits`.

    Args:
        logits: Shape (N, L, K), of the distribution that the tokens were drawn from.
        tokens: Shape (N, L); -1 pads, and gives a row of zeros without a gradient.
        estimator: One of `ESTIMATORS`.
        relaxation: Temperature of the soft row of `gumbel`, above 0: towards 0 the bias goes, and
            the gradient's noise grows. The others do not read it.
        seed: Of the noise of `gumbel`.

    Raises:
        ValueError: If the estimator is unknown.
    """
    written = (tokens >= 0)[..., None]  # (N, L, 1)
    hard = functional.one_hot(tokens.clamp(min=0), logits.shape[-1]).to(logits.dtype)
    log_p = logits.log_softmax(-1)
    if estimator == GUMBEL:
        noise = gumbel_given_tokens(log_p.detach(), tokens.clamp(min=0), seed=seed)
        soft = ((log_p + noise) / relaxation).softmax(-1)
    elif estimator == STRAIGHT_THROUGH:
        soft = log_p.exp()
    elif estimator == REINMAX:
        p = log_p.exp()
        middle = (p.detach() + hard) / 2
        # In value the midpoint, in slope the softmax there.
        moved = (log_p + (middle.clamp(min=_LEAST).log() - log_p).detach()).softmax(-1)
        soft = 2 * moved - p / 2
    else:
        raise ValueError(f"`estimator` must be one of {', '.join(ESTIMATORS)}, got {estimator!r}")
    return (hard + (soft - soft.detach())) * written


def gumbel_given_tokens(log_p: Tensor, tokens: Tensor, *, seed: int) -> Tensor:
    """Return Gumbel noise (N, L, K) under which `tokens` are the largest of `log_p` + noise.

    Of independent exponential numbers E, the largest sum is -log E of the token itself, and another
    is -log(E / p + that of the token).

    Args:
        log_p: Shape (N, L, K), normalised.
        tokens: Shape (N, L), 0 or more.
        seed: Of the random numbers, which do not depend on the device.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.empty(log_p.shape).exponential_(generator=generator).to(log_p)
    place = tokens[..., None]
    own = drawn.gather(-1, place).clamp(min=_LEAST)  # (N, L, 1)
    sums = -(drawn / log_p.exp().clamp(min=_LEAST) + own).log()
    sums = sums.scatter(-1, place, -own.log())
    return sums - log_p
